//! A model of patches of sound in Hugging Face's form: asked about a file, written back, and
//! the start of a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::train;
use crate::speech::wav;
use crate::tiny_run::TestResult;

/// The folder that transformers wrote: `scripts/parity/make_golden.py`.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/tests/golden/ast")
}

/// Shapes and bytes of tensors by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

/// The tensors of a file.
fn tensors(file: &Path) -> TestResult<Tensors> {
    let bytes = fs::read(file)?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    let one = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        (name, (view.shape().to_vec(), view.data().to_vec()))
    };
    Ok(tensors.tensors().into_iter().map(one).collect())
}

fn numbers(name: &str) -> TestResult<Vec<f32>> {
    let tensors = tensors(&golden().join("golden.safetensors"))?;
    let (_, bytes) = &tensors[name];
    let number = |bytes: &[u8]| {
        Ok::<_, std::array::TryFromSliceError>(f32::from_le_bytes(bytes.try_into()?))
    };
    Ok(bytes
        .chunks_exact(4)
        .map(number)
        .collect::<Result<_, _>>()?)
}

/// A WAV file of the samples at 16 kHz.
fn clip() -> TestResult<Vec<u8>> {
    let samples = numbers("samples")?;
    let samples: Vec<i16> = samples.iter().map(|x| (x * 32768.0) as i16).collect();
    let mut file = wav(&samples);
    file[24..28].copy_from_slice(&16_000u32.to_le_bytes());
    file[28..32].copy_from_slice(&32_000u32.to_le_bytes());
    Ok(file)
}

/// What `model` says of the clip, by class.
fn probabilities(folder: &Path, model: &str) -> TestResult<BTreeMap<String, f64>> {
    let (code, out, errors) = train(folder, &["predict", model, "clip.wav"])?;
    assert_eq!(code, 0, "{errors}");
    let said: Value = serde_json::from_str(&out)?;
    Ok(serde_json::from_value(said["probabilities"].clone())?)
}

/// From samples to probabilities as transformers does it, and back to its files.
#[test]
fn a_file_is_heard_as_transformers_hears_it_and_the_model_goes_back_as_it_came() -> TestResult {
    let here = TempDir::new()?;
    fs::write(here.path().join("clip.wav"), clip()?)?;
    let model = golden().display().to_string();
    let weights: Vec<f64> = (numbers("logits_of_samples")?.into_iter())
        .map(|logit| f64::from(logit).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    let heard = probabilities(here.path(), &model)?;
    for (label, weight) in ["cold", "mild", "hot"].iter().zip(&weights) {
        let (got, want) = (heard[*label], weight / sum);
        assert!(
            (got - want).abs() < 2e-5,
            "{label}: {got}, transformers {want}"
        );
    }

    let format = ["--format", "hf"];
    let arguments = [&["export", &model, "--out", "hf"][..], &format].concat();
    let (code, _, errors) = train(here.path(), &arguments)?;
    assert_eq!(code, 0, "{errors}");
    let written = here.path().join("hf");
    let file = "model.safetensors";
    assert_eq!(
        tensors(&written.join(file))?,
        tensors(&golden().join(file))?
    );
    let preprocessor = |folder: &Path| -> TestResult<Value> {
        let text = fs::read_to_string(folder.join("preprocessor_config.json"))?;
        Ok(serde_json::from_str(&text)?)
    };
    assert_eq!(preprocessor(&written)?, preprocessor(&golden())?);
    assert_eq!(probabilities(here.path(), "hf")?, heard);

    // What makes other frames is no file of it.
    let mut other = preprocessor(&written)?;
    other["num_mel_bins"] = json!(12);
    fs::write(written.join("preprocessor_config.json"), other.to_string())?;
    let (code, _, errors) = train(here.path(), &["predict", "hf", "clip.wav"])?;
    assert_eq!(code, 65, "{errors}");
    assert!(
        errors.contains("num_mel_bins = 12 is not supported"),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 1, "{errors}");
    Ok(())
}

/// Other classes, and a longer spectrogram: positions are resampled on their grid.
#[test]
fn it_is_the_start_of_a_run_on_other_sounds() -> TestResult {
    let here = TempDir::new()?;
    let config = format!(
        "[run]\nname = 'tiny'\n[init]\nfrom = '{}'\nhead = 'new'\n\
         [data]\npath = 'generated'\nmax_seconds = 0.3\n\
         generated = {{ clips = 24, test_clips = 12 }}\n\
         [model]\nspeech = {{ n_frames = 17 }}\n\
         [train]\nsteps = 4\nbatch_size = 6\nlr = 1e-3\n",
        golden().display()
    );
    fs::write(here.path().join("c.toml"), config)?;
    fs::write(here.path().join("clip.wav"), clip()?)?;
    let (code, out, errors) = train(here.path(), &["explain", "c.toml"])?;
    assert_eq!(code, 0, "{errors}");
    // Three bands by seven steps of time, and two tokens.
    assert!(out.contains("max_seq_len = 23\n"), "{out}");
    assert!(out.contains("sequences of 23"), "{out}");
    let (code, _, errors) = train(here.path(), &["fit", "c.toml", "--out", "run"])?;
    assert_eq!(code, 0, "{errors}");
    assert!(
        errors.contains("position.weight, 17 to 23 rows"),
        "{errors}"
    );
    assert_eq!(probabilities(here.path(), "run")?.len(), 6);

    let format = ["--format", "hf"];
    let arguments = [&["export", "run", "--out", "hf"][..], &format].concat();
    let (code, _, errors) = train(here.path(), &arguments)?;
    assert_eq!(code, 0, "{errors}");
    let text = fs::read_to_string(here.path().join("hf/config.json"))?;
    let written: Value = serde_json::from_str(&text)?;
    assert_eq!(written["max_length"], 17);
    assert_eq!(
        probabilities(here.path(), "hf")?,
        probabilities(here.path(), "run")?
    );

    // Frames that no extractor of theirs makes.
    let clip = [
        "fit",
        "c.toml",
        "--out",
        "other",
        "--set",
        "data.features.normalize=clip",
    ];
    let (code, _, errors) = train(here.path(), &clip)?;
    assert_eq!(code, 0, "{errors}");
    let arguments = [&["export", "other", "--out", "no"][..], &format].concat();
    let (code, _, errors) = train(here.path(), &arguments)?;
    assert_eq!(code, 65, "{errors}");
    assert!(errors.contains("data.features.normalize"), "{errors}");
    Ok(())
}
