//! Models that no family writes in its form.

use interop::{Family, export, export_as};
use models::ModelConfig;
use serde_json::{Value, json};

use crate::{line, set};

/// Models that can be written, by family.
fn model(family: Family) -> Value {
    let text = |kind: &str| {
        json!({
            "kind": kind, "d_model": 16, "n_heads": 4, "n_layers": 1, "max_seq_len": 8,
            "vocab_size": 9,
        })
    };
    match family {
        Family::Bert | Family::Roberta => {
            let mut model = text("text-encoder");
            model["norm_placement"] = json!("post");
            model["embed_norm"] = json!(true);
            model["token_types"] = json!(if family == Family::Bert { 2 } else { 1 });
            model
        }
        Family::Gpt2 => text("text-lm"),
        Family::Llama => {
            let mut model = text("text-lm");
            model["norm"] = json!("rms");
            model["activation"] = json!("swiglu");
            model["position"] = json!({ "rotary": { "theta": 1e4 } });
            model["bias"] = json!(false);
            model
        }
        _ => json!({
            "kind": "image-classifier", "d_model": 16, "n_heads": 4, "n_layers": 1,
            "n_classes": 3, "pooling": "first", "max_seq_len": 5,
            "image": {
                "height": 8, "width": 8, "channels": 1, "patch": 4, "class_token": true,
            },
        }),
    }
}

fn made(model: Value) -> ModelConfig {
    let shown = model.to_string();
    serde_json::from_value(model).unwrap_or_else(|error| panic!("{shown}: {error}"))
}

/// The line by which `model` is not written.
#[track_caller]
fn refusal(model: Value) -> String {
    let shown = model.to_string();
    match export(&made(model), &[]) {
        Ok(exported) => panic!("{shown} is written as {}", exported.family),
        Err(error) => line(&error),
    }
}

#[test]
fn the_sound_ones_are_written() {
    for family in [
        Family::Bert,
        Family::Roberta,
        Family::Gpt2,
        Family::Llama,
        Family::Vit,
    ] {
        let exported = export(&made(model(family)), &[]);
        assert_eq!(exported.map(|exported| exported.family), Ok(family));
    }
}

#[test]
fn what_a_family_has_no_key_for_is_named_with_what_it_has() {
    let rotary = json!({ "rotary": { "theta": 1e4 } });
    for (family, key, value, wanted) in [
        (Family::Bert, "norm_placement", json!("pre"), "\"post\""),
        (Family::Bert, "embed_norm", json!(false), "true"),
        (Family::Bert, "norm", json!("rms"), "\"layer\""),
        (Family::Bert, "bias", json!(false), "true"),
        (Family::Bert, "qk_norm", json!(true), "false"),
        (Family::Bert, "mask", json!("causal"), "\"full\""),
        (Family::Bert, "position", json!("none"), "\"learnt\""),
        (Family::Bert, "position", rotary.clone(), "\"learnt\""),
        (
            Family::Bert,
            "activation",
            json!("swiglu"),
            "\"gelu_erf\" or \"gelu\" or \"relu\" or \"silu\"",
        ),
        (Family::Roberta, "norm_placement", json!("pre"), "\"post\""),
        (Family::Roberta, "bias", json!(false), "true"),
        (Family::Gpt2, "norm_placement", json!("post"), "\"pre\""),
        (Family::Gpt2, "bias", json!(false), "true"),
        (Family::Gpt2, "qk_norm", json!(true), "false"),
        (Family::Gpt2, "position", json!("sinusoidal"), "\"learnt\""),
        (Family::Gpt2, "position", json!("alibi"), "\"learnt\""),
        (Family::Llama, "norm_placement", json!("post"), "\"pre\""),
        (Family::Llama, "qk_norm", json!(true), "false"),
        (Family::Llama, "activation", json!("gelu"), "\"swiglu\""),
        (Family::Llama, "position", json!("learnt"), "\"rotary\""),
        (Family::Llama, "norm", json!("layer"), "\"rms\""),
        (Family::Vit, "norm_placement", json!("post"), "\"pre\""),
        (Family::Vit, "norm", json!("rms"), "\"layer\""),
        (Family::Vit, "bias", json!(false), "true"),
        (Family::Vit, "pooling", json!("mean"), "\"first\""),
    ] {
        let refused = refusal(set(model(family), key, value.clone()));
        let ends = format!("cannot be written as {family}; use {key} = {wanted}");
        assert!(
            refused.starts_with(&format!("{key} = ")) && refused.ends_with(&ends),
            "{refused}"
        );
    }
}

#[test]
fn what_goes_with_other_keys_is_refused() {
    let no_token = set(model(Family::Vit), "image.class_token", json!(false));
    assert_eq!(
        refusal(set(no_token, "pooling", json!("mean"))),
        "pooling = \"mean\" cannot be written as ViT; use pooling = \"first\"",
    );
    let mut window = set(model(Family::Vit), "image.window", json!(1));
    window["image"]["class_token"] = json!(false);
    window["pooling"] = json!("mean");
    let refused = refusal(window);
    assert!(refused.contains("cannot be written as ViT"), "{refused}");

    let few = set(model(Family::Gpt2), "n_kv_heads", json!(2));
    assert_eq!(
        refusal(few),
        "n_kv_heads = 2 cannot be written as GPT-2; use n_kv_heads = 4",
    );
    let none = set(model(Family::Bert), "token_types", Value::Null);
    assert_eq!(
        refusal(none),
        "model = { token_types = null } cannot be written as BERT; it would be read as 2",
    );
    let mut pooled = model(Family::Bert);
    pooled["kind"] = json!("text-classifier");
    pooled["n_classes"] = json!(3);
    assert_eq!(
        refusal(pooled.clone()),
        "pooling = \"mean\" cannot be written as BERT; use pooling = \"first\"",
    );
    pooled["pooling"] = json!("first");
    assert_eq!(
        refusal(pooled),
        "pooler = null cannot be written as BERT; use pooler = true",
    );
    let ntk = json!({ "rotary": { "theta": 1e4, "scaling": { "kind": "ntk", "factor": 2 } } });
    assert_eq!(
        refusal(set(model(Family::Llama), "position", ntk)),
        "position = scaling of the kind \"ntk\" cannot be written as Llama; use \"linear\", \
         \"yarn\" or \"llama3\", or another theta",
    );
}

#[test]
fn another_backbone_is_refused() {
    let gru = json!({
        "kind": "text-lm", "backbone": "gru", "d_model": 16, "n_heads": 4, "n_layers": 1,
        "max_seq_len": 8, "vocab_size": 9,
    });
    assert_eq!(
        refusal(gru),
        "backbone = \"gru\" cannot be written as GPT-2; use backbone = \"transformer\"",
    );
}

#[test]
fn a_model_of_another_kind_is_refused() {
    let bert = made(model(Family::Bert));
    let refused = export_as(Family::Llama, &bert, &[]);
    assert_eq!(
        line(&refused.expect_err("an encoder")),
        "kind = \"text-encoder\" cannot be written as Llama; use one of \"text-lm\"",
    );
    let graph = json!({
        "kind": "graph-nodes", "d_model": 16, "n_heads": 4, "n_layers": 1,
    });
    assert_eq!(
        refusal(graph),
        "kind = \"graph-nodes\" has no form of Hugging Face here; use a text or image model",
    );
}

#[test]
fn a_size_that_is_left_to_the_data_is_asked_for() {
    for (family, key) in [
        (Family::Bert, "vocab_size"),
        (Family::Bert, "max_seq_len"),
        (Family::Gpt2, "vocab_size"),
        (Family::Gpt2, "max_seq_len"),
        (Family::Llama, "vocab_size"),
        (Family::Llama, "max_seq_len"),
        (Family::Vit, "n_classes"),
        (Family::Vit, "image.height"),
    ] {
        let refused = refusal(set(model(family), key, Value::Null));
        assert!(
            refused.contains(key) && refused.ends_with("give the model data to take it from"),
            "{key}: {refused}"
        );
    }
}

#[test]
fn labels_are_one_a_class_and_each_another() {
    let vit = made(model(Family::Vit));
    let refused = |labels: &[&str]| {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        line(&export(&vit, &labels).expect_err("wrong labels"))
    };
    for labels in [&["a"][..], &["a", "b"], &["a", "b", "c", "d"]] {
        assert_eq!(
            refused(labels),
            format!(
                "{} labels, but n_classes = 3; give one a class, or none",
                labels.len()
            ),
        );
    }
    let encoder = export(&made(model(Family::Bert)), &["a".to_owned()]);
    assert_eq!(
        line(&encoder.expect_err("no classes")),
        "1 labels, but n_classes = 0; give one a class, or none",
    );
}
