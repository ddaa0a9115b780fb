//! `train bench`: a first step that anyone can repeat from its file, a text that is timed, a
//! profile of a step.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use attn_core::input::{Graphs, Images, Rows};
use attn_core::mask::Csr;
use attn_core::{Input, Mask, Pass, Targets};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use models::{LossOptions, Model};
use serde_json::Value;
use tempfile::TempDir;
use train::config::RunConfig;

use crate::command::train;
use crate::tiny_run::TestResult;

const TEXT: &str = "[run]
name = 'first-step'
[data]
path = 'embedded'
seq_len = 12
[model]
kind = 'text-lm'
vocab_size = 11
d_model = 16
n_heads = 2
n_layers = 2
[train]
steps = 1
batch_size = 3
lr = 1e-3
";

const SPEECH: &str = "[run]
name = 'first-step'
[data]
path = 'generated'
max_seconds = 0.2
[model]
kind = 'speech-classifier'
n_classes = 4
d_model = 16
n_heads = 2
n_layers = 1
mask = { band = { left = 2, right = 2 } }
[train]
steps = 1
batch_size = 2
lr = 1e-3
";

const IMAGE: &str = "[run]
name = 'first-step'
[data]
path = 'generated'
[model]
kind = 'image-classifier'
n_classes = 3
d_model = 16
n_heads = 2
n_layers = 1
image = { height = 8, width = 8, channels = 3, patch = 4, class_token = true }
[train]
steps = 1
batch_size = 2
lr = 1e-3
";

const GRAPH: &str = "[run]
name = 'first-step'
[data]
path = 'generated:random'
generate = { train = 1, nodes = 30, edges = 100, features = 6, classes = 3 }
directed = true
[model]
kind = 'graph-nodes'
d_model = 16
n_heads = 2
n_layers = 1
[train]
steps = 1
batch_size = 1
lr = 1e-3
";

fn bench(folder: &Path, arguments: &[&str]) -> TestResult<(i32, String, String)> {
    let short = ["bench", "c.toml", "--warmup", "0", "--steps", "1"];
    train(folder, &[&short[..], arguments].concat())
}

fn folder(config: &str) -> TestResult<TempDir> {
    let folder = TempDir::new()?;
    fs::write(folder.path().join("c.toml"), config)?;
    Ok(folder)
}

/// The tensors of a file, and the configuration of its header.
fn read(path: &Path) -> TestResult<(HashMap<String, Tensor>, RunConfig)> {
    let bytes = fs::read(path)?;
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes)?;
    let header = header.metadata().clone().ok_or("no strings")?;
    let config: toml::Table = serde_json::from_str(header.get("config").ok_or("no config")?)?;
    let config = toml::to_string(&config)?.parse::<RunConfig>()?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
    Ok((tensors, config))
}

/// The loss of the model and batch in `tensors`.
fn loss(tensors: HashMap<String, Tensor>, config: &RunConfig) -> TestResult<f64> {
    let batch = |name: &str| {
        let tensor = tensors.get(&format!("batch.{name}"));
        tensor.ok_or(format!("batch.{name} is missing"))
    };
    let ids = |name: &str| -> TestResult<Vec<u32>> { Ok(batch(name)?.to_vec1()?) };
    let inputs = batch("inputs")?;
    let values = || inputs.flatten_all()?.to_vec1::<f32>();
    let rows = || -> TestResult<Rows> { Ok(Rows::new(values()?, inputs.dim(1)?)?) };
    let input = match config.model.kind().to_string().as_str() {
        "text-lm" => Input::Tokens(ids("inputs")?.into()),
        "speech-classifier" => Input::Frames(rows()?),
        "image-classifier" => {
            let shape = config.model.image().ok_or("no image")?.shape()?;
            Input::Images(Images::new(values()?, shape)?)
        }
        _ => Input::Graphs(Graphs {
            nodes: rows()?,
            edges: Arc::new(Csr::from_edge_index(
                inputs.dim(0)?,
                &ids("source")?,
                &ids("destination")?,
            )?),
            edge_features: None,
            structure: None,
        }),
    };
    let targets = Targets::from(ids("targets")?);
    let walls = ids("cu_seqlens")?;
    let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let model = Model::build(&config.model, weights)?;
    let mask = Mask::new(model.pattern().clone(), walls)?;
    let loss = model.loss(
        &input,
        &mask,
        &targets,
        LossOptions::default(),
        Pass::eval(),
    )?;
    Ok(f64::from(loss.to_scalar::<f32>()?))
}

#[test]
fn the_file_makes_the_first_loss() -> TestResult {
    for text in [TEXT, SPEECH, IMAGE, GRAPH] {
        let folder = folder(text)?;
        let (code, out, errors) = bench(folder.path(), &["--first-step", "first.safetensors"])?;
        assert_eq!((code, errors.as_str()), (0, ""), "{text}");
        let measured: Value = serde_json::from_str(&out)?;
        let want = measured["first_loss"].as_f64().ok_or("no loss")?;
        let (tensors, config) = read(&folder.path().join("first.safetensors"))?;
        let got = loss(tensors, &config)?;
        assert!((got - want).abs() < 1e-5, "{got} {want} {text}");
    }
    Ok(())
}

#[test]
fn a_text_is_timed_and_kept() -> TestResult {
    let folder = folder(TEXT)?;
    let arguments = ["--generate", "30", "--first-step", "first.safetensors"];
    let (code, out, errors) = bench(folder.path(), &arguments)?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let measured: Value = serde_json::from_str(&out)?;
    assert_eq!(measured["n_tokens"], 30);
    let positive = |key: &str| measured[key].as_f64().is_some_and(|value| value > 0.0);
    assert!(positive("tokens_per_s") && positive("first_loss"), "{out}");
    let (tensors, _) = read(&folder.path().join("first.safetensors"))?;
    assert_eq!(tensors["batch.inputs"].to_vec1::<u32>()?, [0]);
    assert_eq!(tensors["batch.targets"].dims(), [30]);
    assert_eq!(tensors["embed.weight"].dims(), [11, 16]);
    Ok(())
}

#[test]
fn a_profile_says_where_the_step_went() -> TestResult {
    let folder = folder(TEXT)?;
    let (code, out, errors) = bench(folder.path(), &["--profile"])?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let (table, json) = out.trim_end().rsplit_once('\n').ok_or("no table")?;
    let measured: Value = serde_json::from_str(json)?;
    let number = |value: &Value, key: &str| value[key].as_f64().ok_or(format!("no {key}"));
    assert!(number(&measured, "matmul_gflops")? > 0.0);
    assert!(number(&measured, "memory_gb_per_s")? > 0.0);
    let rows = measured["profile"].as_array().ok_or("no rows")?;
    let mut sum = 0.0;
    for row in rows {
        let (ms, products) = (number(row, "ms")?, number(row, "products_ms")?);
        assert!(ms >= products, "{row}");
        let name = row["name"].as_str().ok_or("no name")?;
        assert!(table.lines().any(|line| line.starts_with(name)), "{name}");
        sum += ms;
    }
    // What lies behind the last operation of a step is nobody's.
    let step = number(&measured, "median_ms")?;
    assert!(sum > 0.5 * step, "{sum} of {step} ms");
    let pass = |name, phase| {
        let mut all = rows.iter();
        all.any(|row| row["name"] == name && row["phase"] == phase)
    };
    assert!(pass("linear", "forward") && pass("linear", "backward"));
    assert!(pass("attention", "backward") && pass("optimizer", "update"));
    let products = measured["products"].as_array().ok_or("no products")?;
    assert!(!products.is_empty() && table.contains("alone: in caches"));
    for row in products {
        for key in ["calls", "ms", "gflops", "cached_gflops", "uncached_gflops"] {
            assert!(number(row, key)? > 0.0, "{row}");
        }
    }
    Ok(())
}

#[test]
fn what_cannot_be_written_or_timed_is_one_line() -> TestResult {
    let first_step = &["--first-step", "first.safetensors"][..];
    let cases = [
        (TEXT, &["--first-step", "none/first.safetensors"][..], 74),
        (TEXT, &["--generate", "0"][..], 2),
        (SPEECH, &["--generate", "3"][..], 2),
        (&format!("{TEXT}accumulate = 2\n"), first_step, 2),
    ];
    for (config, arguments, want) in cases {
        let (code, out, errors) = bench(folder(config)?.path(), arguments)?;
        assert_eq!((code, out.as_str()), (want, ""), "{arguments:?} {errors}");
        assert!(errors.starts_with("error: "), "{errors}");
    }
    Ok(())
}

/// A peer cannot draw the same noise.
#[test]
fn no_benchmark_drops_anything_out() -> TestResult {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/bench");
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let model = RunConfig::load(&path, &[])?.model;
        let rates = (model.dropout(), model.attention_dropout());
        assert_eq!(rates, (0.0, 0.0), "{}", path.display());
    }
    Ok(())
}
