//! Values that a key cannot have, and those that mean what our layers do not do.

use serde_json::{Value, json};

use crate::{CLASSES, refusal, set, sound, with};

const BERT: &str = "BertModel";
const GPT2: &str = "GPT2LMHeadModel";
const LLAMA: &str = "LlamaForCausalLM";
const VIT: &str = "ViTForImageClassification";

/// Asserts that each value of a key is refused by what stands behind its value.
#[track_caller]
fn refused(class: &str, cases: &[(&str, Value, &str)]) {
    for (key, value, words) in cases {
        assert_eq!(
            refusal(&with(class, key, value.clone())),
            format!("config.json: {key} = {value} {words}"),
            "{class}"
        );
    }
}

#[test]
fn other_families_are_named_with_those_that_are_known() {
    let known = "is not supported; use one of \"bert\", \"roberta\", \"gpt2\", \"llama\", \"vit\"";
    for name in ["mixtral", "t5", "BERT", "bert ", "", "rwkv"] {
        let line = refusal(&with(BERT, "model_type", json!(name)));
        let begins = format!("config.json: model_type = \"{name}\" {known}");
        assert!(line.starts_with(&begins), "{line}");
    }
    for value in [json!(1), json!(["bert"]), json!({})] {
        refused(BERT, &[("model_type", value, "is not a string")]);
    }
    let mut config = sound(BERT);
    config
        .as_object_mut()
        .expect("a table")
        .remove("model_type");
    assert_eq!(
        refusal(&config),
        "config.json: `model_type` is missing; use the file as it came with the weights"
    );
}

#[test]
fn classes_of_another_family_are_refused() {
    let bert = "is not supported; use one of \"BertModel\", \"BertForSequenceClassification\", or \
                another of the family";
    refused(
        BERT,
        &[
            ("architectures", json!(["T5Model"]), bert),
            ("architectures", json!(["JinaBertForMaskedLM"]), bert),
            ("architectures", json!(["BertonModel"]), bert),
            ("architectures", json!([""]), bert),
            ("architectures", json!([1]), "is not a list of names"),
            (
                "architectures",
                json!("BertModel"),
                "is not a list of names",
            ),
            (
                "architectures",
                json!({ "0": "BertModel" }),
                "is not a list of names",
            ),
        ],
    );
    let mixtral = refusal(&with(LLAMA, "architectures", json!(["MixtralForCausalLM"])));
    assert!(
        mixtral.contains("use one of \"LlamaForCausalLM\""),
        "{mixtral}"
    );
}

#[test]
fn quantized_weights_are_refused() {
    for class in CLASSES {
        let value = json!({ "bits": 4, "quant_method": "gptq" });
        let words = "is not supported; use the weights as they were before";
        refused(class, &[("quantization_config", value, words)]);
    }
}

#[test]
fn decoders_and_relative_positions_are_refused() {
    for class in [BERT, "RobertaForSequenceClassification"] {
        let absolute = "is not supported; use a model with \"absolute\"";
        let decoder = "is not supported; use a model with false, or GPT-2 to write text";
        let alone = "is not supported; use a model without a decoder beside it";
        let heads = "is not supported; use a model with all its heads";
        refused(
            class,
            &[
                ("position_embedding_type", json!("relative_key"), absolute),
                ("position_embedding_type", json!("alibi"), absolute),
                ("position_embedding_type", json!(1), "is not a string"),
                ("is_decoder", json!(true), decoder),
                ("is_decoder", json!("yes"), "is not true or false"),
                ("add_cross_attention", json!(true), alone),
                ("pruned_heads", json!({ "0": [1] }), heads),
            ],
        );
    }
    refused(
        GPT2,
        &[
            (
                "add_cross_attention",
                json!(true),
                "is not supported; use a model without an encoder beside it",
            ),
            (
                "scale_attn_weights",
                json!(false),
                "is not supported; use a model with true",
            ),
            (
                "scale_attn_by_inverse_layer_idx",
                json!(true),
                "is not supported; use a model with false",
            ),
            ("scale_attn_weights", json!(1), "is not true or false"),
            ("tie_word_embeddings", json!("no"), "is not true or false"),
        ],
    );
}

#[test]
fn numbers_out_of_their_range_are_refused() {
    let rate = "is not a share from 0 up to, but not including, 1";
    let eps = "is not a number above 0, at most 1";
    let cases = |keys: [&'static str; 3]| {
        let [dropout, attention, norm] = keys;
        [
            (dropout, json!(1), rate),
            (dropout, json!(-0.1), rate),
            (dropout, json!(1e300), rate),
            (dropout, json!("0.1"), "is not a number"),
            (attention, json!(1.5), rate),
            (norm, json!(0), eps),
            (norm, json!(-1e-12), eps),
            (norm, json!(2), eps),
            (norm, json!([1e-12]), "is not a number"),
        ]
    };
    let of_bert = [
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "layer_norm_eps",
    ];
    for class in CLASSES {
        let keys = match class {
            GPT2 => ["embd_pdrop", "attn_pdrop", "layer_norm_epsilon"],
            LLAMA => ["attention_dropout", "attention_dropout", "rms_norm_eps"],
            _ => of_bert,
        };
        refused(class, &cases(keys));
    }
    refused(GPT2, &[("resid_pdrop", json!(1), rate)]);
    refused(
        "BertForSequenceClassification",
        &[("classifier_dropout", json!(1), rate)],
    );
}

#[test]
fn other_activations_are_refused() {
    let gelus = "is not supported; use a model with one of \"gelu\", \"gelu_python\", \
                 \"gelu_new\", \"gelu_pytorch_tanh\", \"gelu_fast\", \"relu\", \"silu\", \"swish\"";
    for class in CLASSES {
        let (key, words) = match class {
            GPT2 => ("activation_function", gelus),
            LLAMA => ("hidden_act", "is not supported; use a model with \"silu\""),
            _ => ("hidden_act", gelus),
        };
        refused(
            class,
            &[
                (key, json!("quick_gelu"), words),
                (key, json!(""), words),
                (key, json!(0), "is not a string"),
            ],
        );
    }
}

#[test]
fn biases_of_some_maps_are_refused() {
    refused(
        LLAMA,
        &[
            (
                "attention_bias",
                json!(true),
                "is not supported; use a model with mlp_bias = true, too, or neither",
            ),
            (
                "mlp_bias",
                json!(true),
                "is not supported; use a model with attention_bias = true, too, or neither",
            ),
            ("mlp_bias", json!(0), "is not true or false"),
        ],
    );
    let words =
        "is not supported; use a model with true: either all linear maps have biases or none";
    refused(VIT, &[("qkv_bias", json!(false), words)]);
}

#[test]
fn other_turns_of_queries_and_keys_are_refused() {
    let theta = "is not a number above 0, at most 1000000000000";
    refused(
        LLAMA,
        &[
            ("rope_theta", json!(0), theta),
            ("rope_theta", json!(-1e4), theta),
            ("rope_theta", json!(1e30), theta),
            ("rope_theta", json!("1e4"), "is not a number"),
            ("rope_scaling", json!("linear"), "is not a table"),
            ("rope_scaling", json!([2]), "is not a table"),
            ("rope_parameters", json!(true), "is not a table"),
        ],
    );
    let scaling = |table: Value, key: &str, shown: &str, words: &str| {
        for within in ["rope_scaling", "rope_parameters"] {
            assert_eq!(
                refusal(&with(LLAMA, within, table.clone())),
                format!("config.json: {within}.{key} = {shown} {words}"),
            );
        }
    };
    let kinds = "is not supported; use a model with \"default\", \"linear\", \"yarn\" or \
                 \"llama3\"";
    for kind in ["dynamic", "longrope", "su", ""] {
        let shown = format!("\"{kind}\"");
        scaling(json!({ "rope_type": kind }), "rope_type", &shown, kinds);
        scaling(json!({ "type": kind }), "type", &shown, kinds);
    }
    scaling(json!({ "type": 2 }), "type", "2", "is not a string");
    let all = "is not supported; use a model that turns all channels of a head";
    let partial = "partial_rotary_factor";
    scaling(json!({ "partial_rotary_factor": 0.5 }), partial, "0.5", all);
    refused(LLAMA, &[(partial, json!(0.25), all)]);
    let needed = "is not a number, which this kind of scaling needs";
    scaling(json!({ "type": "linear" }), "factor", "null", needed);
    let linear = json!({ "type": "linear", "factor": 0 });
    scaling(linear, "factor", "0", theta);
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
        "original_max_position_embeddings": 8,
    });
    for key in ["factor", "low_freq_factor", "high_freq_factor"] {
        scaling(set(llama3.clone(), key, Value::Null), key, "null", needed);
        scaling(set(llama3.clone(), key, json!(-1)), key, "-1", theta);
    }
    let original = "original_max_position_embeddings";
    let size = "is not a whole number from 1 to 16777216";
    for (lie, shown) in [(json!(0), "0"), (json!(1e30), "1e+30")] {
        scaling(set(llama3.clone(), original, lie), original, shown, size);
    }
    let yarn = json!({ "rope_type": "yarn", "factor": 4 });
    let ramp = "is not supported; use a model whose ramp has whole ends";
    let attention = "is not supported; write what it comes to as attention_factor";
    scaling(
        set(yarn.clone(), "truncate", json!(false)),
        "truncate",
        "false",
        ramp,
    );
    scaling(
        set(yarn.clone(), "mscale", json!(1)),
        "mscale",
        "1",
        attention,
    );
    scaling(
        set(yarn.clone(), "mscale_all_dim", json!(1)),
        "mscale_all_dim",
        "1",
        attention,
    );
    scaling(
        set(yarn.clone(), "beta_fast", json!(0)),
        "beta_fast",
        "0",
        theta,
    );
    scaling(
        set(yarn, "attention_factor", json!(-1)),
        "attention_factor",
        "-1",
        theta,
    );
}

#[test]
fn turns_that_make_no_sense_together_are_refused() {
    for (table, words) in [
        (
            json!({ "rope_type": "linear", "factor": 0.5 }),
            "scaling.factor = 0.5 shortens sequences; use 1 or more",
        ),
        (
            json!({ "rope_type": "yarn", "factor": 2, "rope_theta": 1 }),
            "theta = 1 does not go with scaling.kind = \"yarn\"; use more than 1",
        ),
        (
            json!({ "rope_type": "yarn", "factor": 2, "beta_fast": 1, "beta_slow": 8 }),
            "beta",
        ),
        (
            json!({
                "rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1,
            }),
            "high_freq_factor",
        ),
    ] {
        let line = refusal(&with(LLAMA, "rope_parameters", table));
        assert!(
            line.starts_with("config.json: it describes a model that cannot be made: ")
                && line.contains(words),
            "{line}"
        );
    }
}

#[test]
fn what_only_training_reads_may_hold_anything() {
    for class in CLASSES {
        for key in [
            "initializer_range",
            "use_cache",
            "transformers_version",
            "torch_dtype",
        ] {
            let numbers = [json!(-1), json!(1e300), Value::Null];
            let others = [json!("x"), json!([[]])];
            let others = others.into_iter().filter(|_| key != "initializer_range");
            for value in numbers.into_iter().chain(others) {
                let config = with(class, key, value).to_string();
                assert!(interop::Checkpoint::read(&config, None).is_ok(), "{config}");
            }
        }
    }
}
