//! Frames as librosa makes them: `scripts/golden_audio.py` computes the values.

use std::path::{Path, PathBuf};

use data::audio::{Extractor, FeatureConfig, decode, resample};
use data::npy::Npz;
use serde_json::{Value, json};

use crate::TestResult;

/// Of values up to 80 decibels; librosa keeps its filters in `f32`.
const TOLERANCE: f32 = 1e-4;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

#[test]
fn frames_are_those_of_librosa() -> TestResult {
    let mut arrays = Npz::open(golden("audio.npz"))?;
    let clip = arrays.read("clip")?.to_f32();
    let plain = json!({"normalize": "none", "n_mels": 40, "window": 200, "hop": 80});
    let with = |keys: Value| {
        let mut table = plain.clone();
        for (key, value) in keys.as_object().into_iter().flatten() {
            table[key] = value.clone();
        }
        table
    };
    for (name, table) in [
        ("log_mel_db", plain.clone()),
        (
            "log_mel_ln_htk",
            with(json!({
                "window": 160, "hop": 100, "n_fft": 512, "n_mels": 30, "mel": "htk", "f_min": 60.0,
                "f_max": 3800.0, "scale": "ln"
            })),
        ),
        (
            "log_mel_db_whole",
            with(json!({"window": 256, "hop": 128, "n_mels": 20, "top_db": 0.0})),
        ),
        ("mfcc", with(json!({"kind": "mfcc"}))),
        ("mfcc_deltas", with(json!({"kind": "mfcc", "deltas": 2}))),
        ("normalized", with(json!({"normalize": "clip"}))),
    ] {
        let config: FeatureConfig = serde_json::from_value(table)?;
        let extractor = Extractor::new(&config, 8000)?;
        let got = extractor.extract(&clip);
        let want = arrays.read(name)?;
        assert_eq!(
            want.shape,
            [extractor.n_frames(clip.len()), extractor.width()],
            "{name}"
        );
        for (i, (got, want)) in got.iter().zip(want.to_f32()).enumerate() {
            let (frame, column) = (i / extractor.width(), i % extractor.width());
            assert!(
                (got - want).abs() < TOLERANCE,
                "{name}, frame {frame}, column {column}: {got}, librosa {want}"
            );
        }
    }
    Ok(())
}

/// Kaldi's filter bank: `scripts/parity/golden_fbank.py` computes the values. Of 128 bands
/// some lie between two frequencies.
#[test]
fn a_filter_bank_is_that_of_transformers() -> TestResult {
    let mut arrays = Npz::open(golden("fbank.npz"))?;
    let clip = arrays.read("clip")?.to_f32();
    let (mean, deviation) = (-4.2677393, 2.0 * 4.5689974);
    for (name, table) in [
        ("fbank", json!({"n_mels": 24, "normalize": "none"})),
        (
            "ast",
            json!({"n_mels": 128, "normalize": {"fixed": {"mean": mean, "deviation": deviation}}}),
        ),
    ] {
        let mut table = table;
        table["kind"] = json!("fbank");
        let config: FeatureConfig = serde_json::from_value(table)?;
        let extractor = Extractor::new(&config, 16_000)?;
        let got = extractor.extract(&clip);
        let want = arrays.read(name)?;
        let shape = [extractor.n_frames(clip.len()), extractor.width()];
        assert_eq!(want.shape, shape, "{name}");
        for (i, (got, want)) in got.iter().zip(want.to_f32()).enumerate() {
            let (frame, column) = (i / shape[1], i % shape[1]);
            // Its spectrum is `f32`.
            assert!(
                (got - want).abs() < 2e-5,
                "{name}, frame {frame}, column {column}: {got}, transformers {want}"
            );
        }
    }
    Ok(())
}

#[test]
fn every_format_holds_the_same_tone() -> TestResult {
    for extension in ["wav", "flac", "ogg", "mp3"] {
        let sound = decode(golden(&format!("tone.{extension}")))?;
        assert_eq!(sound.rate, 22_050, "{extension}");
        // An MP3 is padded to whole frames.
        let n = sound.samples.len();
        assert!((11_025..13_500).contains(&n), "{extension}: {n} samples");
        let samples = resample(sound, 8_000)?;
        // Of a tone every sample is twice the cosine of its pitch times the last, less the
        // one before it, whatever its phase.
        let turn = 2.0 * (std::f32::consts::TAU * 440.0 / 8000.0).cos();
        let loudness = 0.5;
        for at in 1500..2500 {
            let next = turn * samples[at] - samples[at - 1];
            let error = (samples[at + 1] - next).abs() / loudness;
            assert!(error < 0.02, "{extension}, {at}: {error}");
        }
        let power: f32 = samples[1500..2500].iter().map(|x| x * x).sum::<f32>() / 1000.0;
        assert!((power - 0.125).abs() < 0.01, "{extension}: {power}");
    }
    Ok(())
}
