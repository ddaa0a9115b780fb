//! Every refusal is one clear line: the file, the key and its value, and what would do.

mod any_value;
mod export;
mod hostile_text;
mod images;
mod labels;
mod sizes;
mod values;
mod weights;

use interop::Checkpoint;
use serde_json::{Value, json};

/// A sound config.json of each class.
fn sound(class: &str) -> Value {
    let bert = |class: &str, model_type: &str, rows: usize| {
        json!({
            "model_type": model_type, "architectures": [class], "hidden_size": 16,
            "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 24,
            "max_position_embeddings": rows, "vocab_size": 48,
        })
    };
    match class {
        "BertModel" | "BertForSequenceClassification" => bert(class, "bert", 12),
        "RobertaModel" | "RobertaForSequenceClassification" => {
            set(bert(class, "roberta", 14), "type_vocab_size", json!(1))
        }
        "GPT2LMHeadModel" => json!({
            "model_type": "gpt2", "architectures": [class], "n_embd": 16, "n_head": 4,
            "n_layer": 2, "n_positions": 12, "vocab_size": 48,
        }),
        "LlamaForCausalLM" => bert(class, "llama", 64),
        "ViTForImageClassification" => json!({
            "model_type": "vit", "architectures": [class], "hidden_size": 16,
            "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 24,
            "image_size": [8, 12], "patch_size": 4,
        }),
        "ASTForAudioClassification" => json!({
            "model_type": "audio-spectrogram-transformer", "architectures": [class],
            "hidden_size": 16, "num_attention_heads": 4, "num_hidden_layers": 2,
            "intermediate_size": 24, "patch_size": 4, "frequency_stride": 3, "time_stride": 2,
            "max_length": 12, "num_mel_bins": 10,
        }),
        other => unreachable!("no class {other}"),
    }
}

/// All of them.
const CLASSES: [&str; 8] = [
    "BertModel",
    "BertForSequenceClassification",
    "RobertaModel",
    "RobertaForSequenceClassification",
    "GPT2LMHeadModel",
    "LlamaForCausalLM",
    "ViTForImageClassification",
    "ASTForAudioClassification",
];

/// `config` with `key`, which may be one of a table, set to `value`.
fn set(mut config: Value, key: &str, value: Value) -> Value {
    let mut place = &mut config;
    for part in key.split('.') {
        place = &mut place[part];
    }
    *place = value;
    config
}

/// A sound configuration of `class` with `key` set to `value`.
fn with(class: &str, key: &str, value: Value) -> Value {
    set(sound(class), key, value)
}

/// The line by which `config` is refused.
#[track_caller]
fn refusal(config: &Value) -> String {
    refusal_of(&config.to_string(), None)
}

/// The line by which the text of a config.json, with that of a preprocessor, is refused.
#[track_caller]
fn refusal_of(config: &str, preprocessor: Option<&str>) -> String {
    let shown: String = config.chars().take(300).collect();
    match Checkpoint::read(config, preprocessor) {
        Ok(_) => panic!("accepted: {shown}"),
        Err(error) => line(&error),
    }
}

/// The line that `error` is: one, and not longer than can be read.
#[track_caller]
fn line(error: &interop::Error) -> String {
    let line = error.to_string();
    assert!(!line.contains(['\n', '\r']), "{line:?}");
    assert!((10..600).contains(&line.len()), "{line:?}");
    line
}

#[test]
fn the_sound_ones_are_accepted() {
    for class in CLASSES {
        let read = Checkpoint::read(&sound(class).to_string(), None);
        assert_eq!(read.expect(class).architecture(), class);
    }
}
