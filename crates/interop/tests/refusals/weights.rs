//! Tensors that are not those of the configuration.

use std::collections::BTreeSet;

use interop::{Checkpoint, Error, KeyMap, export};
use serde_json::json;

use crate::{CLASSES, line, sound, with};

fn read(class: &str) -> Checkpoint {
    Checkpoint::read(&sound(class).to_string(), None).expect(class)
}

/// The names that a sound model of `class` has.
fn names(class: &str) -> BTreeSet<String> {
    let checkpoint = read(class);
    let exported = export(checkpoint.model(), checkpoint.labels()).expect(class);
    let names = exported.map.entries.into_iter().map(|entry| entry.theirs);
    names.collect()
}

fn map(class: &str, names: &BTreeSet<String>) -> Result<KeyMap, Error> {
    read(class).map(names)
}

/// A name inside the second block, and what it is to us.
fn inside(class: &str) -> (&'static str, &'static str) {
    match class {
        "BertModel" | "RobertaModel" => (
            "encoder.layer.1.attention.self.query.weight",
            "blocks.1.attn.wq.weight",
        ),
        "BertForSequenceClassification" => (
            "bert.encoder.layer.1.attention.self.query.weight",
            "blocks.1.attn.wq.weight",
        ),
        "RobertaForSequenceClassification" => (
            "roberta.encoder.layer.1.attention.self.query.weight",
            "blocks.1.attn.wq.weight",
        ),
        "GPT2LMHeadModel" => ("transformer.h.1.mlp.c_fc.weight", "blocks.1.mlp.up.weight"),
        "LlamaForCausalLM" => (
            "model.layers.1.mlp.up_proj.weight",
            "blocks.1.mlp.up.weight",
        ),
        "ASTForAudioClassification" => (
            "audio_spectrogram_transformer.encoder.layer.1.intermediate.dense.weight",
            "blocks.1.mlp.up.weight",
        ),
        _ => (
            "vit.encoder.layer.1.intermediate.dense.weight",
            "blocks.1.mlp.up.weight",
        ),
    }
}

#[test]
fn a_missing_tensor_is_named_as_theirs_and_ours() {
    for class in CLASSES {
        let mut names = names(class);
        let (theirs, ours) = inside(class);
        assert!(names.remove(theirs), "{theirs}");
        assert_eq!(
            line(&map(class, &names).expect_err(class)),
            format!(
                "the weights lack `{theirs}`, which is our `{ours}`, and 0 more; use the weights \
                 that config.json came with"
            ),
        );
        let none = line(&map(class, &BTreeSet::new()).expect_err(class));
        assert!(none.starts_with("the weights lack `"), "{none}");
    }
}

#[test]
fn more_layers_than_the_weights_have_or_fewer_are_refused() {
    for class in CLASSES {
        let key = match class {
            "GPT2LMHeadModel" => "n_layer",
            _ => "num_hidden_layers",
        };
        let other = |n: usize| {
            let config = with(class, key, json!(n)).to_string();
            let checkpoint = Checkpoint::read(&config, None).expect(class);
            line(&checkpoint.map(&names(class)).expect_err(class))
        };
        let (more, most, fewer) = (other(3), other(1024), other(1));
        let third = inside(class).0.replace(".1.", ".2.");
        let layer = third.split_once(".2.").expect("a number").0;
        for line in [more, most] {
            assert!(
                line.starts_with(&format!("the weights lack `{layer}.2.")),
                "{line}"
            );
        }
        assert!(
            fewer.starts_with(&format!("the weights have `{layer}.1.")),
            "{fewer}"
        );
        assert!(
            fewer.ends_with("use the weights that config.json came with"),
            "{fewer}"
        );
    }
}

/// Experts, gates, norms of queries: a model that computes something else.
#[test]
fn tensors_of_the_body_that_nothing_reads_are_refused() {
    for (class, extra, family) in [
        (
            "LlamaForCausalLM",
            "model.layers.0.block_sparse_moe.gate.weight",
            "Llama",
        ),
        (
            "LlamaForCausalLM",
            "model.layers.1.self_attn.q_norm.weight",
            "Llama",
        ),
        (
            "LlamaForCausalLM",
            "model.layers.0.self_attn.q_proj.bias",
            "Llama",
        ),
        (
            "GPT2LMHeadModel",
            "transformer.h.0.crossattention.c_attn.weight",
            "GPT-2",
        ),
        (
            "BertModel",
            "encoder.layer.0.attention.self.distance_embedding.weight",
            "BERT",
        ),
        (
            "RobertaModel",
            "encoder.layer.0.adapter.down.weight",
            "RoBERTa",
        ),
        (
            "ViTForImageClassification",
            "vit.encoder.layer.0.lambda_1",
            "ViT",
        ),
    ] {
        let mut names = names(class);
        names.insert(extra.to_owned());
        assert_eq!(
            line(&map(class, &names).expect_err(extra)),
            format!(
                "the weights have `{extra}`, and 0 more, which {family} as config.json describes \
                 it does not; use the weights that config.json came with"
            ),
        );
    }
}

#[test]
fn a_name_of_several_lines_makes_one_line() {
    let mut names = names("LlamaForCausalLM");
    names.insert("model.layers.0.a\nerror: all is well\r\u{1b}[2K".to_owned());
    let line = line(&map("LlamaForCausalLM", &names).expect_err("an extra tensor"));
    assert!(line.contains("`model.layers.0.a\\nerror"), "{line}");
}

#[test]
fn values_of_another_number_than_the_shape_s_are_refused() {
    let class = "GPT2LMHeadModel";
    let map = map(class, &names(class)).expect(class);
    let entry = map
        .entries
        .iter()
        .find(|entry| entry.theirs.ends_with("c_attn.weight"));
    let entry = entry.expect("a projection");
    let wrong = entry.to_ours(vec![0.0; 7]).expect_err("7 numbers");
    assert_eq!(
        line(&wrong),
        "`transformer.h.0.attn.c_attn.weight` has 7 numbers, but shape [16, 48]; use the weights \
         that config.json came with",
    );
    let wrong = entry
        .to_theirs(&[0.0; 7], &mut [0.0; 768])
        .expect_err("7 numbers");
    assert_eq!(
        line(&wrong),
        "`blocks.0.attn.wq.weight` has 7 numbers, but shape [16, 16]; use the weights that \
         config.json came with",
    );
    let assemblies = map.assemblies();
    let three = assemblies.iter().find(|assembly| assembly.parts.len() == 3);
    let missing = three.expect("queries, keys and values").values(|name| {
        let is_there = name.ends_with("wq.weight");
        is_there.then(|| vec![0.0; 256])
    });
    assert_eq!(
        line(&missing.expect_err("no keys")),
        "there are no values of `blocks.0.attn.wk.weight`, which \
         `transformer.h.0.attn.c_attn.weight` is made of; give them, too",
    );
}

#[test]
fn a_model_that_the_family_does_not_have_is_not_mapped_onto() {
    let encoder = read("BertModel");
    let gpt2 = read("GPT2LMHeadModel");
    let refused = encoder.map_onto(gpt2.model(), &names("BertModel"));
    assert_eq!(
        line(&refused.expect_err("a language model")),
        "kind = \"text-lm\" cannot be written as BERT; use one of \"text-encoder\", \
         \"text-classifier\"",
    );
    let llama = read("LlamaForCausalLM");
    let refused = gpt2.map_onto(llama.model(), &names("GPT2LMHeadModel"));
    let refused = line(&refused.expect_err("gated layers"));
    assert_eq!(
        refused,
        "model = { … } with `blocks.0.mlp.gate.weight` cannot be written as GPT-2; remove the key \
         that asks for it",
    );
}
