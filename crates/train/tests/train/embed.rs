//! `train embed`, on models that were hardly trained.

use std::fs;
use std::path::Path;

use data::npy::Array;
use serde_json::Value;
use tempfile::TempDir;

use crate::speech::{CONFIG, tone, wav};
use crate::tiny_run::TestResult;
use crate::using_models::{models, train};

/// The inputs and vectors of lines of JSON.
fn lines(text: &str) -> TestResult<Vec<(String, Vec<f64>)>> {
    let mut all = Vec::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line)?;
        let vector = value["vector"].as_array().ok_or("no vector")?;
        let vector = vector.iter().filter_map(Value::as_f64).collect();
        let input = value["input"].as_str().ok_or("no input")?;
        all.push((input.to_owned(), vector));
    }
    Ok(all)
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[test]
fn texts_have_vectors_in_their_order_wherever_they_come_from() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    models(path)?;
    let texts = ["a long text", "one", "two words"];
    let embed = |arguments: &[&str], stdin: &str| {
        train(path, &[&["embed", "classifier"], arguments].concat(), stdin)
    };

    let (code, out, errors) = embed(&texts, "")?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let found = lines(&out)?;
    let inputs: Vec<&str> = found.iter().map(|(input, _)| input.as_str()).collect();
    assert_eq!(inputs, texts);
    for (_, vector) in &found {
        assert_eq!(vector.len(), 16);
        assert!((length(vector) - 1.0).abs() < 1e-6);
    }
    fs::write(path.join("texts.txt"), texts.join("\n"))?;
    assert_eq!(embed(&[], &texts.join("\r\n"))?.1, out);
    assert_eq!(embed(&["texts.txt"], "")?.1, out);
    assert_eq!(embed(&[texts[0], "-"], &texts[1..].join("\n"))?.1, out);
    let one_by_one = lines(&embed(&["texts.txt", "--batch-size", "1"], "")?.1)?;
    for ((_, a), (_, b)) in found.iter().zip(&one_by_one) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    let (code, said, _) = embed(&["texts.txt", "--out", "v.jsonl"], "")?;
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(fs::read_to_string(path.join("v.jsonl"))?, out);

    let (code, said, _) = embed(&["texts.txt", "--out", "v.npy"], "")?;
    assert_eq!((code, said.as_str()), (0, ""));
    let array = Array::read(path.join("v.npy"))?;
    assert_eq!(array.shape, [3, 16]);
    let all: Vec<f32> = found
        .iter()
        .flat_map(|(_, v)| v)
        .map(|&x| x as f32)
        .collect();
    assert_eq!(array.to_f32(), all);
    let (code, _, _) = embed(&["--out", "none.npy"], "")?;
    assert_eq!(
        (code, Array::read(path.join("none.npy"))?.shape),
        (0, vec![0, 16])
    );

    let raw = lines(&embed(&["one", "--no-normalize", "--pooling", "last"], "")?.1)?;
    assert!((length(&raw[0].1) - 1.0).abs() > 1e-3, "{raw:?}");
    Ok(())
}

#[test]
fn recordings_have_vectors_too() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    fs::write(path.join("c.toml"), CONFIG)?;
    let (code, _, errors) = train(path, &["fit", "c.toml", "--out", "run", "--quiet"], "")?;
    assert_eq!((code, errors.as_str()), (0, ""));
    fs::write(path.join("low.wav"), wav(&tone(3000, 0.2)))?;
    fs::write(path.join("high.wav"), wav(&tone(5000, 0.9)))?;
    let (code, out, errors) = train(path, &["embed", "run", "low.wav", "high.wav"], "")?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let found = lines(&out)?;
    let inputs: Vec<&str> = found.iter().map(|(input, _)| input.as_str()).collect();
    assert_eq!(inputs, ["low.wav", "high.wav"]);
    let product: f64 = found[0].1.iter().zip(&found[1].1).map(|(a, b)| a * b).sum();
    assert!(
        product < 1.0 - 1e-4,
        "two sounds with one vector: {product}"
    );
    let (code, _, errors) = train(path, &["embed", "run"], "")?;
    assert_eq!((code, errors.lines().count()), (2, 1), "{errors}");
    Ok(())
}

#[test]
fn what_cannot_be_embedded_is_told_in_one_line() -> TestResult {
    let folder = TempDir::new()?;
    models(folder.path())?;
    fs::write(folder.path().join("model.bin"), "PK")?;
    for (code, arguments, message) in [
        (2, &["lm", "x"][..], "a text-lm makes no vector of a sample"),
        (65, &["classifier", ""], "has no tokens"),
        (
            2,
            &["classifier", "x", "--out", "v.txt"],
            "ends in .npy or .jsonl",
        ),
        (
            74,
            &["classifier", "x", "--out", "no/v.npy"],
            "no/v.npy: cannot",
        ),
        (
            65,
            &["model.bin", "x"],
            "is a pickle, which can run code when it is loaded",
        ),
        (2, &["nothing", "x"], "no such file or folder"),
    ] {
        let arguments = [&["embed"], arguments].concat();
        let (found, out, errors) = train(folder.path(), &arguments, "")?;
        assert_eq!((found, out.as_str()), (code, ""), "{arguments:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(message), "{errors}");
    }
    assert!(!Path::new(&folder.path().join("no")).exists());
    Ok(())
}
