//! Models of graphs, from the command line: trained and asked about files.

use std::fs;

use attn_core::Pass;
use candle_core::DType;
use data::Targets;
use serde_json::Value;
use tempfile::TempDir;
use train::{dataset::batch_of_file, model_folder};

use crate::command::train;
use crate::tiny_run::TestResult;

const CONFIG: &str = "\
[run]
name = 'tiny'
[data]
path = 'ring.jsonl'
[model]
kind = 'graph-links'
d_model = 8
n_heads = 2
n_layers = 1
[train]
steps = 4
batch_size = 1
lr = 1e-2
";

/// Two rings alike, of which three pairs are asked about.
const ASKED: &str = r#"[
    {"nodes": [[1], [2], [3], [4]], "edges": [[0, 1], [1, 2], [2, 3], [3, 0]], "pairs": [[0, 2]]},
    {"nodes": [{"id": "a", "x": 1}, {"id": "b", "x": 2}, {"id": "c", "x": 3}, {"id": "d", "x": 4}],
     "edges": [["a", "b"], ["b", "c"], ["c", "d"], ["d", "a"]], "pairs": [["c", "a"], ["a", "d"]]}
]"#;

/// A folder with the configuration and a ring of twenty nodes to train on.
fn folder() -> TestResult<TempDir> {
    let folder = TempDir::new()?;
    let nodes: Vec<[f64; 1]> = (0..20).map(|i| [f64::from(i) / 4.0]).collect();
    let edges: Vec<[i32; 2]> = (0..20).map(|i| [i, (i + 1) % 20]).collect();
    let ring = serde_json::json!({"nodes": nodes, "edges": edges});
    fs::write(folder.path().join("ring.jsonl"), ring.to_string())?;
    fs::write(folder.path().join("c.toml"), CONFIG)?;
    Ok(folder)
}

#[test]
fn a_model_of_links_says_how_probable_each_pair_is() -> TestResult {
    let folder = folder()?;
    let path = folder.path();
    let (code, _, errors) = train(path, &["fit", "c.toml", "--out", "run", "--quiet"])?;
    assert_eq!((code, errors.as_str()), (0, ""));
    fs::write(path.join("asked.json"), ASKED)?;
    let (code, out, errors) = train(path, &["predict", "run", "asked.json"])?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let said: Vec<Value> = out
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let places: Vec<_> = said
        .iter()
        .map(|line| ["index", "graph", "source", "target"].map(|key| line[key].as_u64()))
        .collect();
    let places_of = |numbers: [u64; 4]| numbers.map(Some);
    assert_eq!(
        places,
        [[0, 0, 0, 2], [1, 1, 2, 0], [2, 1, 0, 3]].map(places_of)
    );

    // The definition: a product of the vectors of two nodes, as odds.
    let loaded = model_folder::load(&path.join("run"))?;
    let batch = batch_of_file(&loaded.description, &path.join("asked.json"))?;
    let vectors = loaded
        .model
        .logits(&batch.input, &batch.mask, Pass::eval())?
        .to_dtype(DType::F64)?
        .to_vec2::<f64>()?;
    let Targets::Links { pairs, .. } = &batch.targets else {
        return Err("no pairs".into());
    };
    assert_eq!(**pairs, [[0, 2], [6, 4], [4, 7]]);
    let mut all = Vec::new();
    for (line, &[a, b]) in said.iter().zip(pairs.iter()) {
        let of_both = vectors[a as usize].iter().zip(&vectors[b as usize]);
        let odds = of_both.map(|(x, y)| x * y).sum::<f64>().exp();
        let probability = line["probability"].as_f64().ok_or("no probability")?;
        assert!((probability - odds / (1.0 + odds)).abs() < 1e-6, "{line}");
        all.push(probability);
    }
    // The same pair of the same ring, asked the other way round.
    assert!(
        (all[0] - all[1]).abs() < 1e-6 && (all[0] - all[2]).abs() > 1e-6,
        "{all:?}"
    );
    Ok(())
}

#[test]
fn files_that_ask_about_no_links_are_refused_with_what_to_write() -> TestResult {
    let folder = folder()?;
    let path = folder.path();
    let (code, ..) = train(path, &["fit", "c.toml", "--out", "run", "--quiet"])?;
    assert_eq!(code, 0);
    for (name, text, fault) in [
        ("a.json", "no graph", "or a list of such"),
        (
            "b.jsonl",
            "no graph",
            "every line must be one graph such as {\"nodes\"",
        ),
        (
            "c.json",
            r#"{"nodes": [[1], [2]], "edges": [[0, 1]]}"#,
            "asks about no links; write JSON with \"pairs\"",
        ),
    ] {
        fs::write(path.join(name), text)?;
        let (code, out, errors) = train(path, &["predict", "run", name])?;
        assert_eq!(
            (code, out.as_str(), errors.lines().count()),
            (65, "", 1),
            "{errors}"
        );
        assert!(
            errors.contains(fault) && !errors.contains("text"),
            "{errors}"
        );
    }
    Ok(())
}

#[test]
fn links_are_timed_on_graphs_that_are_made_up() -> TestResult {
    let folder = folder()?;
    let path = folder.path();
    let made = "path = 'generated:random'\ngenerate = { train = 2, nodes = 30, edges = 100 }\nval_fraction = 0.1";
    let config = CONFIG.replace("path = 'ring.jsonl'", made);
    fs::write(path.join("c.toml"), config)?;
    let (code, out, errors) = train(path, &["bench", "c.toml", "--steps", "2"])?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let measured: Value = serde_json::from_str(&out)?;
    let loss = measured["first_loss"].as_f64().ok_or("no loss")?;
    assert!(loss > 0.0 && loss.is_finite(), "{measured}");
    Ok(())
}
