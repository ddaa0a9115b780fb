#!/usr/bin/env python3
"""Frames of Kaldi's filter bank as transformers makes them, for the tests of `data`.

    python scripts/parity/golden_fbank.py           # write the file
    python scripts/parity/golden_fbank.py --check   # recompute, and compare with the file

Needs torch, transformers==5.24.0 and numpy, without torchaudio, so that it is the definition
in numpy that speaks. Writes crates/data/tests/golden/fbank.npz: `clip`, 0.08 s of tones and
noise at 16 kHz with an offset, and what ASTFeatureExtractor makes of it, `fbank` of 24 bands
and `ast` of 128, normalised, as it stands in preprocessor_config.json.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import transformers as hf

FILE = Path(__file__).resolve().parents[2] / "crates/data/tests/golden/fbank.npz"
RATE, N = 16000, 1280
FRAMES = 1 + (N - 400) // 160


def frames(clip, bands, **keys):
    extractor = hf.ASTFeatureExtractor(num_mel_bins=bands, max_length=FRAMES, **keys)
    return extractor(clip, sampling_rate=RATE, return_tensors="np")["input_values"][0]


def make():
    rng = np.random.Generator(np.random.PCG64(1))
    t = np.arange(N) / RATE
    clip = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 3100 * t)
    clip = (clip * np.linspace(0, 1, N) + 0.02 * rng.standard_normal(N) + 0.05).astype(np.float32)
    return {
        "clip": clip,
        "fbank": frames(clip, 24, do_normalize=False).astype(np.float32),
        "ast": frames(clip, 128).astype(np.float32),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    if hf.utils.is_speech_available():
        sys.exit("torchaudio is here; take it away, so that numpy computes the frames")
    arrays = make()
    if not check:
        np.savez(FILE, **arrays)
        return
    stored = np.load(FILE)
    for name, array in arrays.items():
        error = float(np.max(np.abs(array - stored[name])))
        print(f"{name}: {error:.1e}")
        if not error <= 1e-5:
            sys.exit(f"{name} is not what this script computes")


if __name__ == "__main__":
    main()
