//! Configurations and tokenizers that lie, or are none.

use std::fs;

use serde_json::{Value, json};

use super::Models;
use crate::tiny_run::TestResult;

#[test]
fn a_configuration_that_lies_is_refused() -> TestResult {
    let models = Models::new()?;
    let together = "the two do not belong together";
    for (key, value, words) in [
        ("hidden_size", json!(32), together),
        ("intermediate_size", json!(1 << 18), together),
        ("vocab_size", json!(1 << 24), together),
        ("vocab_size", json!(10), together),
        ("max_position_embeddings", json!(1 << 24), together),
        ("type_vocab_size", json!(16), together),
        (
            "hidden_size",
            json!(0),
            "hidden_size = 0 is not a whole number",
        ),
        (
            "hidden_size",
            json!(1u64 << 40),
            "hidden_size = 1099511627776",
        ),
        ("vocab_size", json!(1e30), "vocab_size = 1e+30"),
        (
            "num_hidden_layers",
            json!(1024),
            "the weights lack `bert.encoder.layer.1.",
        ),
        (
            "num_attention_heads",
            json!(3),
            "num_attention_heads = 3 is not a divisor",
        ),
        ("model_type", json!("mixtral"), "model_type = \"mixtral\""),
        (
            "quantization_config",
            json!({ "bits": 4 }),
            "use the weights as they were before",
        ),
        (
            "id2label",
            json!({ "0": "a", "1": "b", "2": "c" }),
            "`classifier.weight` is of shape [2, 16], but config.json asks for [3, 16]",
        ),
    ] {
        models.lie(key, value, words)?;
    }
    Ok(())
}

#[test]
fn a_configuration_that_is_none_is_refused() -> TestResult {
    let models = Models::new()?;
    let deep = format!(
        "{}0{}",
        "{\"model_type\":".repeat(10_000),
        "}".repeat(10_000)
    );
    let large = format!("{{\"model_type\": \"{}\"}}", "x".repeat(2 << 20));
    for (text, words) in [
        ("", "config.json: it is not JSON: EOF"),
        ("[\"model_type\"]", "config.json: it holds no JSON object"),
        (
            "{\"model_type\": \"bert\"",
            "config.json: it is not JSON: EOF",
        ),
        (
            "{\"hidden_size\": 16}",
            "config.json: `model_type` is missing",
        ),
        (
            &deep,
            "config.json: it is not JSON: recursion limit exceeded",
        ),
        (&large, "config.json: is larger than 1 MiB"),
    ] {
        models.refused("sound", words, |bad| {
            Ok(fs::write(bad.join("config.json"), text)?)
        })?;
    }
    models.refused("sound", "config.json: is not UTF-8", |bad| {
        Ok(fs::write(
            bad.join("config.json"),
            b"{\"model_type\": \"b\xe9rt\"}",
        )?)
    })
}

#[test]
fn a_tokenizer_of_another_model_is_refused() -> TestResult {
    let models = Models::new()?;
    models.refused("sound", "has 257 tokens, the embedding 256 rows", |bad| {
        let path = bad.join("tokenizer.json");
        let mut json: Value = serde_json::from_slice(&fs::read(&path)?)?;
        json["model"]["vocab"]["one more"] = json!(256);
        Ok(fs::write(path, json.to_string())?)
    })?;
    models.refused("sound", "tokenizer.json: is not there", |bad| {
        Ok(fs::remove_file(bad.join("tokenizer.json"))?)
    })?;
    let deep = "[".repeat(10_000);
    for text in ["", "{}", "[]", "{\"model\": {\"type\": \"BPE\"}}", &deep] {
        models.refused("sound", "tokenizer.json", |bad| {
            Ok(fs::write(bad.join("tokenizer.json"), text)?)
        })?;
    }
    Ok(())
}
