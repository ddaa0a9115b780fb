//! Whatever a key holds, it is read or refused: no panic, and no memory but for what is
//! read.

use std::collections::BTreeSet;
use std::fs;

use interop::Checkpoint;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{CLASSES, line, set, sound};

/// Keys that some family reads.
const KEYS: &[&str] = &[
    "activation_function",
    "add_cross_attention",
    "architectures",
    "attention_bias",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "attn_pdrop",
    "classifier_dropout",
    "embd_pdrop",
    "frequency_stride",
    "head_dim",
    "hidden_act",
    "hidden_dropout_prob",
    "hidden_size",
    "id2label",
    "image_size",
    "initializer_range",
    "intermediate_size",
    "is_decoder",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "max_position_embeddings",
    "max_length",
    "mlp_bias",
    "model_type",
    "n_embd",
    "n_head",
    "n_inner",
    "n_layer",
    "n_positions",
    "num_attention_heads",
    "num_channels",
    "num_hidden_layers",
    "num_key_value_heads",
    "num_labels",
    "num_mel_bins",
    "pad_token_id",
    "patch_size",
    "position_embedding_type",
    "problem_type",
    "pruned_heads",
    "qkv_bias",
    "quantization_config",
    "resid_pdrop",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "scale_attn_by_inverse_layer_idx",
    "scale_attn_weights",
    "time_stride",
    "tie_word_embeddings",
    "type_vocab_size",
    "vocab_size",
];

/// Keys that a preprocessor of images or sound has.
const PREPROCESSED: &[&str] = &[
    "crop_size",
    "do_center_crop",
    "do_normalize",
    "do_rescale",
    "do_resize",
    "feature_extractor_type",
    "image_mean",
    "image_std",
    "max_length",
    "mean",
    "num_mel_bins",
    "rescale_factor",
    "sampling_rate",
    "size",
    "std",
];

/// Keys inside tables.
const INNER: &[&str] = &[
    "0",
    "1",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "factor",
    "height",
    "high_freq_factor",
    "low_freq_factor",
    "original_max_position_embeddings",
    "rope_theta",
    "rope_type",
    "shortest_edge",
    "truncate",
    "type",
    "width",
];

/// Words that mean something somewhere.
const WORDS: &[&str] = &[
    "",
    "bert",
    "roberta",
    "gpt2",
    "llama",
    "vit",
    "absolute",
    "default",
    "gelu",
    "linear",
    "llama3",
    "yarn",
    "silu",
    "BertModel",
    "BertForMaskedLM",
    "LlamaModel",
    "ViTModel",
    "x\ny",
];

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3i64..70).prop_map(|n| json!(n)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n)),
        // What is at the limits, and just beyond.
        (0u32..64, 0u64..2).prop_map(|(bits, more)| json!((1u64 << bits) + more)),
        any::<f64>().prop_map(|x| json!(x)),
        (0.0..2.0f64).prop_map(|x| json!(x)),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        number(),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop_oneof![
            prop::sample::select(INNER).prop_map(|key| key.to_owned()),
            ".{0,4}".prop_map(String::from),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Most memory that this process has had, in MB; none where the system does not say.
fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_value_is_read_or_refused_in_one_line(
        class in prop::sample::select(&CLASSES[..]),
        values in prop::collection::vec((prop::sample::select(KEYS), any_value()), 1..4),
        others in prop::collection::vec((prop::sample::select(PREPROCESSED), any_value()), 0..4),
    ) {
        let config = values.into_iter().fold(sound(class), |config, (key, value)| {
            set(config, key, value)
        });
        let others = others.into_iter().fold(json!({}), |config, (key, value)| {
            set(config, key, value)
        });
        match Checkpoint::read(&config.to_string(), Some(&others.to_string())) {
            Err(error) => { line(&error); }
            Ok(checkpoint) => {
                // What it asks for is found missing, not made.
                let none = checkpoint.map(&BTreeSet::new());
                line(&none.expect_err("there are no weights"));
                let exported = interop::export(checkpoint.model(), checkpoint.labels());
                if let Err(error) = exported {
                    line(&error);
                }
            }
        }
        // A text of 70 MB and a million labels, of the tests beside this one, are in it.
        prop_assert!(peak().is_none_or(|peak| peak < 1500), "{:?} MB", peak());
    }
}
