//! Sizes that lie.

use serde_json::{Value, json};

use crate::{CLASSES, refusal, sound, with};

const WIDTH: usize = 1 << 16;
const WIDE: usize = 1 << 18;
const MANY: usize = 1 << 24;
const SOME: usize = 1 << 10;
// Of patches of sound.
const PATCH: usize = 64;
const BINS: usize = 1 << 10;
const FRAMES: usize = 120_000;

/// The keys of sizes of a class, and the range of each; a key in brackets may be absent.
fn sizes(class: &str) -> Vec<(&'static str, usize, usize)> {
    let mut sizes = vec![
        ("hidden_size", 1, WIDTH),
        ("num_attention_heads", 1, SOME),
        ("num_hidden_layers", 1, SOME),
        ("intermediate_size", 1, WIDE),
    ];
    let text = [
        ("max_position_embeddings", 1, MANY),
        ("vocab_size", 1, MANY),
    ];
    match class {
        "BertModel" | "BertForSequenceClassification" => {
            sizes.extend(text);
            sizes.push(("(type_vocab_size)", 1, 16));
        }
        "RobertaModel" | "RobertaForSequenceClassification" => {
            sizes.push(("max_position_embeddings", 3, MANY + 2));
            sizes.push(("vocab_size", 1, MANY));
            sizes.push(("(type_vocab_size)", 1, 16));
            sizes.push(("(pad_token_id)", 0, SOME));
        }
        "GPT2LMHeadModel" => {
            return vec![
                ("n_embd", 1, WIDTH),
                ("n_head", 1, SOME),
                ("n_layer", 1, SOME),
                ("(n_inner)", 1, WIDE),
                ("n_positions", 1, MANY),
                ("vocab_size", 1, MANY),
            ];
        }
        "LlamaForCausalLM" => {
            sizes.extend(text);
            sizes.push(("(num_key_value_heads)", 1, 4));
            sizes.push(("(head_dim)", 1, WIDTH));
        }
        "ASTForAudioClassification" => {
            sizes.push(("patch_size", 1, PATCH));
            // A patch must fit, and no frame may be left out.
            sizes.push(("frequency_stride", 1, 4));
            sizes.push(("time_stride", 1, 4));
            sizes.push(("num_mel_bins", 4, BINS));
            sizes.push(("max_length", 4, FRAMES));
        }
        _ => {
            sizes.push(("image_size", 1, WIDTH));
            sizes.push(("patch_size", 1, SOME));
            sizes.push(("(num_channels)", 1, SOME));
        }
    }
    sizes
}

/// A name without the brackets of one that may be absent.
fn bare(key: &str) -> &str {
    key.trim_matches(['(', ')'])
}

#[test]
fn a_size_that_lies_is_named_with_what_it_may_be() {
    let lies = [
        (json!(-1), "-1"),
        (json!(1e30), "1e+30"),
        (json!(1u64 << 40), "1099511627776"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(1.5), "1.5"),
        (json!(16.0), "16.0"),
        (json!("16"), "\"16\""),
        (json!(true), "true"),
        (json!({ "a": 16 }), "{\"a\":16}"),
    ];
    for class in CLASSES {
        for (key, least, most) in sizes(class) {
            let key = bare(key);
            let zero = (least > 0).then_some((json!(0), "0"));
            let beyond = (json!(most + 1), &*(most + 1).to_string());
            for (lie, shown) in lies.iter().cloned().chain(zero).chain([beyond]) {
                assert_eq!(
                    refusal(&with(class, key, lie)),
                    format!(
                        "config.json: {key} = {shown} is not a whole number from {least} to {most}"
                    ),
                );
            }
        }
    }
}

#[test]
fn a_list_is_no_size() {
    for class in CLASSES {
        for (key, least, most) in sizes(class) {
            let message = refusal(&with(class, bare(key), json!([16])));
            let wanted = match key {
                // A list of both sides is meant there.
                "image_size" | "patch_size" => format!("two whole numbers from 1 to {most}"),
                _ => format!("a whole number from {least} to {most}"),
            };
            let key = bare(key);
            assert_eq!(
                message,
                format!("config.json: {key} = [16] is not {wanted}")
            );
        }
    }
}

#[test]
fn a_size_that_must_be_there_is_missed() {
    for class in CLASSES {
        for (key, ..) in sizes(class) {
            if key.starts_with('(') {
                continue;
            }
            let mut without = sound(class);
            without.as_object_mut().expect("a table").remove(key);
            // To transformers, too, null is as if it were absent.
            for config in [without, with(class, key, Value::Null)] {
                assert_eq!(
                    refusal(&config),
                    format!(
                        "config.json: `{key}` is missing; use the file as it came with the weights"
                    ),
                );
            }
        }
    }
}

#[test]
fn heads_that_do_not_divide_the_width_are_refused() {
    for class in CLASSES {
        let key = match class {
            "GPT2LMHeadModel" => "n_head",
            _ => "num_attention_heads",
        };
        assert_eq!(
            refusal(&with(class, key, json!(5))),
            format!("config.json: {key} = 5 is not a divisor of the width, 16"),
        );
    }
    let llama = |key, value| refusal(&with("LlamaForCausalLM", key, value));
    assert_eq!(
        llama("num_key_value_heads", json!(3)),
        "config.json: num_key_value_heads = 3 is not a divisor of num_attention_heads = 4",
    );
    assert_eq!(
        llama("head_dim", json!(8)),
        "config.json: head_dim = 8 is not supported; use a model whose heads share \
         hidden_size = 16 evenly, 4 each",
    );
    // Pairs of channels are turned.
    let odd = llama("num_attention_heads", json!(16));
    assert!(
        odd.starts_with("config.json: it describes a model that cannot be made: position")
            && odd.contains("use a multiple of 32 for d_model"),
        "{odd}"
    );
}

#[test]
fn sizes_that_together_make_no_model_are_refused() {
    let mut config = sound("BertModel");
    for (key, size) in [
        ("hidden_size", WIDTH),
        ("num_hidden_layers", SOME),
        ("intermediate_size", WIDE),
        ("vocab_size", MANY),
    ] {
        config[key] = json!(size);
    }
    assert_eq!(
        refusal(&config),
        "config.json: it describes a model that cannot be made: d_model = 65536, d_ff = 262144 \
         and n_layers = 1024 make more than 2^36 parameters; use smaller sizes",
    );
}
