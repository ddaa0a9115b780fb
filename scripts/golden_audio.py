#!/usr/bin/env python3
"""Golden values of sound: what librosa computes, for the Rust tests to compare with.

    python scripts/golden_audio.py           # write the file
    python scripts/golden_audio.py --check   # recompute, and compare with the file

Needs librosa==0.11.0, soundfile and numpy. Writes
crates/data/tests/golden/audio.npz: `clip` is the sound, 8 kHz; every other
array is what the case of its name in crates/data/tests/data/audio_golden.rs gives,
frame by frame. Everything is computed in f64 and rounded to f32 once. Beside it lie a
tone of 440 Hz, half a second at 22,050 Hz, as tone.{wav,flac,ogg,mp3} by libsndfile.
"""

import argparse
import sys
from pathlib import Path

import librosa
import numpy as np
import soundfile

FILE = Path(__file__).resolve().parent.parent / "crates/data/tests/golden/audio.npz"
RATE = 8000


def clip():
    """A third of a second of chirp, tone, noise and silence."""
    rng = np.random.Generator(np.random.PCG64(7))
    t = np.arange(2700) / RATE
    sound = 0.5 * np.sin(2 * np.pi * (300 * t + 1500 * t * t)) + 0.2 * np.sin(2 * np.pi * 1234 * t)
    sound += 0.01 * rng.standard_normal(t.size)
    sound[1200:1600] = 0
    return sound.astype(np.float32)


def mel(y, *, window, hop, n_fft, n_mels, htk=False, fmin=0.0, fmax=None):
    return librosa.feature.melspectrogram(
        y=y, sr=RATE, n_fft=n_fft, win_length=window, hop_length=hop, n_mels=n_mels,
        htk=htk, fmin=fmin, fmax=fmax, dtype=np.float64,
    )


def cases():
    y = clip().astype(np.float64)
    db = librosa.power_to_db(mel(y, window=200, hop=80, n_fft=256, n_mels=40), ref=1.0, top_db=80.0)
    yield "log_mel_db", db
    yield "log_mel_ln_htk", np.log(
        np.maximum(1e-10, mel(y, window=160, hop=100, n_fft=512, n_mels=30, htk=True, fmin=60.0, fmax=3800.0))
    )
    yield "log_mel_db_whole", librosa.power_to_db(
        mel(y, window=256, hop=128, n_fft=256, n_mels=20), ref=1.0, top_db=None
    )
    mfcc = librosa.feature.mfcc(S=db, n_mfcc=13)
    yield "mfcc", mfcc
    slope = librosa.feature.delta(mfcc, width=9, mode="nearest")
    yield "mfcc_deltas", np.concatenate([mfcc, slope, librosa.feature.delta(slope, width=9, mode="nearest")])
    centred = db - db.mean(axis=1, keepdims=True)
    yield "normalized", centred / (db.std(axis=1, keepdims=True) + 1e-5)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    arrays = {name: np.ascontiguousarray(value.T.astype(np.float32)) for name, value in cases()}
    arrays["clip"] = clip()
    if not check:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        np.savez(FILE, **arrays)
        tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(11025) / 22050)
        for extension in ("wav", "flac", "ogg", "mp3"):
            soundfile.write(FILE.parent / f"tone.{extension}", tone, 22050)
        print(f"{FILE}: {len(arrays)} arrays, {FILE.stat().st_size} bytes")
        return
    there = dict(np.load(FILE))
    worst = max(float(np.abs(there[name] - value).max()) for name, value in arrays.items())
    if there.keys() != arrays.keys() or worst > 1e-5:
        sys.exit(f"{FILE} differs, by up to {worst}")
    print(f"{FILE} is what librosa computes, to {worst:.1g}")


if __name__ == "__main__":
    main()
