//! Models that go on with another task of their modality.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use tempfile::TempDir;

use crate::command::train;
use crate::tiny_run::TestResult;

const TRAIN: &str = "[train]\nsteps = 2\nbatch_size = 4\nlr = 1e-12\nwarmup_steps = 0\n";
const SIZES: &str = "d_model = 16\nn_heads = 2\nn_layers = 1\n";

/// Bytes of the weights of the run `name`, by name.
fn weights(folder: &Path, name: &str) -> TestResult<BTreeMap<String, Vec<f32>>> {
    let bytes = fs::read(folder.join(name).join("model/model.safetensors"))?;
    let tensors = SafeTensors::deserialize(&bytes)?.tensors();
    let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let numbers = |data: &[u8]| data.chunks_exact(4).map(number).collect();
    let tensors = tensors.into_iter();
    Ok(tensors
        .map(|(name, view)| (name, numbers(view.data())))
        .collect())
}

/// Trains a model of `kind` and, from it, one of `other`, and checks that the second, which
/// learns next to nothing, has the body of the first and a head of its own.
fn goes_on(data: &str, other_data: &str, [kind, other]: [&str; 2]) -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    fs::write(
        path.join("lines.txt"),
        "to be or not to be, that is the question\n".repeat(20),
    )?;
    fs::write(
        path.join("lines.tsv"),
        "text\tlabel\n".to_owned() + &"to be\tyes\nnot to be\tno\n".repeat(10),
    )?;
    let graph = |i: usize| {
        let nodes: Vec<[usize; 1]> = (0..4).map(|j| [i + j]).collect();
        let edges = [[0, 1], [1, 2], [2, 3 - i % 2]];
        let label = ["odd", "even"][i % 2];
        serde_json::json!({"nodes": nodes, "edges": edges, "label": label, "size": i}).to_string()
    };
    let graphs: Vec<String> = (0..20).map(graph).collect();
    fs::write(path.join("graphs.jsonl"), graphs.join("\n"))?;
    fs::write(
        path.join("base.toml"),
        format!("[run]\nname = 'base'\n[data]\n{data}\n[model]\nkind = '{kind}'\n{SIZES}{TRAIN}"),
    )?;
    fs::write(
        path.join("other.toml"),
        format!(
            "[run]\nname = 'other'\n[init]\nfrom = 'base'\nhead = 'new'\n[data]\n{other_data}\n\
             [model]\nkind = '{other}'\n{TRAIN}"
        ),
    )?;
    for name in ["base", "other"] {
        let config = format!("{name}.toml");
        let (code, _, errors) = train(path, &["fit", &config, "--out", name, "--quiet"])?;
        assert_eq!(code, 0, "{name}: {errors}");
    }
    let (before, after) = (weights(path, "base")?, weights(path, "other")?);
    assert!(after.keys().any(|name| name.starts_with("head.")));
    let body = after.iter().filter(|(name, _)| !name.starts_with("head."));
    let mut n_body = 0;
    for (name, values) in body {
        let old = before.get(name).ok_or_else(|| format!("no {name}"))?;
        let far = old
            .iter()
            .zip(values)
            .map(|(a, b)| (a - b).abs())
            .fold(0f32, f32::max);
        assert!(far < 1e-6, "{name} by {far}");
        n_body += 1;
    }
    assert!(n_body > 10, "{n_body}");
    Ok(())
}

#[test]
fn a_language_model_becomes_a_classifier() -> TestResult {
    goes_on(
        "path = 'lines.txt'\nseq_len = 8\ntokenizer = 'chars'",
        "path = 'lines.tsv'\nseq_len = 8",
        ["text-lm", "text-classifier"],
    )
}

#[test]
fn a_labeller_of_frames_becomes_a_classifier_of_recordings() -> TestResult {
    let data = "path = 'generated'\nsample_rate = 8000\nmax_seconds = 0.3\n\
                generated = { clips = 40, test_clips = 6 }\nfeatures = { n_mels = 12 }";
    let other = "path = 'generated'\nmax_seconds = 0.3\n\
                 generated = { clips = 40, test_clips = 6 }";
    goes_on(data, other, ["speech-frames", "speech-classifier"])
}

#[test]
fn a_classifier_of_graphs_becomes_a_regressor() -> TestResult {
    let data = "path = 'graphs.jsonl'\nlabel_column = 'label'";
    let other = "path = 'graphs.jsonl'\nlabel_column = 'size'";
    goes_on(data, other, ["graph-classifier", "graph-regression"])
}
