//! AST: patches of a spectrogram, two class tokens before them, learnt positions, pre-norm
//! blocks, and a norm before the map of the head.

use models::{Kind, ModelConfig};
use serde_json::{Value, json};

use super::sound::SoundFeatures;
use super::{GELUS, MAX_D_FF, MAX_D_MODEL, MAX_HEADS, MAX_LAYERS};
use crate::form::{Form, Head, Rule, beside, row};
use crate::keys::Keys;
use crate::{Error, Family};

/// Longest side of a patch, in frames and features.
const MAX_PATCH: usize = 64;
/// Most frames of a spectrogram.
const MAX_FRAMES: usize = 120_000;
/// Most bands of energy.
const MAX_BINS: usize = 1 << 10;

/// The kernels of the convolution are bands by frames, and so are ours; the second names are
/// those of modules since version 5, files have the first still.
pub(crate) const FORM: Form = Form {
    family: Family::Ast,
    class: "AST",
    prefix: "audio_spectrogram_transformer",
    body: &[
        row("embed", &["embeddings.patch_embeddings.projection"]).with(Rule::Patches),
        row("class_token.weight", &["embeddings.cls_token"]).with(Rule::Ones(1)),
        row(
            "distillation_token.weight",
            &["embeddings.distillation_token"],
        )
        .with(Rule::Ones(1)),
        row("position.weight", &["embeddings.position_embeddings"]).with(Rule::Ones(1)),
        row(
            "blocks.#.attn_norm",
            &[
                "encoder.layer.#.layernorm_before",
                "layers.#.layernorm_before",
            ],
        ),
        row(
            "blocks.#.attn.wq",
            &[
                "encoder.layer.#.attention.attention.query",
                "layers.#.attention.q_proj",
            ],
        ),
        row(
            "blocks.#.attn.wk",
            &[
                "encoder.layer.#.attention.attention.key",
                "layers.#.attention.k_proj",
            ],
        ),
        row(
            "blocks.#.attn.wv",
            &[
                "encoder.layer.#.attention.attention.value",
                "layers.#.attention.v_proj",
            ],
        ),
        row(
            "blocks.#.attn.wo",
            &[
                "encoder.layer.#.attention.output.dense",
                "layers.#.attention.o_proj",
            ],
        ),
        row(
            "blocks.#.mlp_norm",
            &[
                "encoder.layer.#.layernorm_after",
                "layers.#.layernorm_after",
            ],
        ),
        row(
            "blocks.#.mlp.up",
            &["encoder.layer.#.intermediate.dense", "layers.#.mlp.fc1"],
        ),
        row(
            "blocks.#.mlp.down",
            &["encoder.layer.#.output.dense", "layers.#.mlp.fc2"],
        ),
        row("norm", &["layernorm"]),
    ],
    heads: &[Head {
        kind: Kind::SpeechClassifier,
        architecture: "ASTForAudioClassification",
        bare: false,
        rows: &[
            beside("head.norm", &["classifier.layernorm"]),
            beside("head", &["classifier.dense"]),
        ],
        needs: &[],
    }],
    spare: &[],
    needs: &[
        ("speech.front", &["\"patches\""]),
        ("speech.class_tokens", &["2"]),
        ("speech.head_norm", &["true"]),
        ("backbone", &["\"transformer\""]),
        ("mask", &["\"full\""]),
        ("position", &["\"learnt\""]),
        ("norm", &["\"layer\""]),
        ("norm_placement", &["\"pre\""]),
        ("bias", &["true"]),
        ("qk_norm", &["false"]),
        ("pooling", &["\"first\""]),
        (
            "activation",
            &["\"gelu\"", "\"gelu_erf\"", "\"relu\"", "\"silu\""],
        ),
    ],
};

/// The `[model]` of a config.json, and how the preprocessor_config.json beside it, if there
/// is one, makes the frames, and so what it fills them up with.
pub(crate) fn read(
    keys: &Keys,
    preprocessor: Option<&Keys>,
) -> Result<(Value, SoundFeatures), Error> {
    let d_model = keys.size("hidden_size", 1..=MAX_D_MODEL)?;
    let n_heads = keys.size("num_attention_heads", 1..=MAX_HEADS)?;
    super::heads_divide(
        keys,
        ("hidden_size", d_model),
        ("num_attention_heads", n_heads),
    )?;
    keys.only(
        "qkv_bias",
        true,
        "use a model with true: either all linear maps have biases or none",
    )?;
    let (patch, across) = super::sides(keys, "patch_size", MAX_PATCH)?;
    if patch != across {
        return Err(keys.unsupported("patch_size", "use a model with square patches"));
    }
    let n_features = keys.size("num_mel_bins", patch..=MAX_BINS)?;
    let n_frames = keys.size("max_length", patch..=MAX_FRAMES)?;
    // A frame between two patches would never be read.
    let feature_stride = keys.size("frequency_stride", 1..=patch)?;
    let stride = keys.size("time_stride", 1..=patch)?;
    let features = match preprocessor {
        Some(preprocessor) => SoundFeatures::read(preprocessor, n_features, n_frames)?,
        None => SoundFeatures::default(),
    };
    let grid = [(n_features, feature_stride), (n_frames, stride)];
    let [height, width] = grid.map(|(n, stride)| (n - patch) / stride + 1);
    let model = json!({
        "d_model": d_model,
        "n_heads": n_heads,
        "n_layers": keys.size("num_hidden_layers", 1..=MAX_LAYERS)?,
        "d_ff": keys.size("intermediate_size", 1..=MAX_D_FF)?,
        "dropout": keys.rate("hidden_dropout_prob", 0.0)?,
        "attention_dropout": keys.rate("attention_probs_dropout_prob", 0.0)?,
        "mask": "full",
        "position": "learnt",
        "norm": "layer",
        "norm_placement": "pre",
        "norm_eps": keys.positive("layer_norm_eps", 1e-12, 1.0)?,
        "activation": super::activation(keys, "hidden_act", "gelu", GELUS)?,
        "bias": true,
        "init_std": super::init_std(keys)?,
        "max_seq_len": 2 + height * width,
        "pooling": "first",
        "speech": {
            "front": "patches",
            "n_features": n_features,
            "n_frames": n_frames,
            "window": patch,
            "stride": stride,
            "feature_stride": feature_stride,
            "fill": features.fill(),
            "class_tokens": 2,
            "head_norm": true,
        },
    });
    Ok((model, features))
}

pub(crate) fn write(model: &ModelConfig) -> Result<Value, Error> {
    let (Some(speech), Some(patches)) = (
        model.speech(),
        model.speech().and_then(|speech| speech.patches()),
    ) else {
        return Err(Error::NoFamily { kind: model.kind() });
    };
    Ok(json!({
        "hidden_size": model.d_model(),
        "num_attention_heads": model.n_heads(),
        "num_hidden_layers": model.n_layers(),
        "intermediate_size": model.d_ff(),
        "hidden_dropout_prob": model.dropout(),
        "attention_probs_dropout_prob": model.attention_dropout(),
        "layer_norm_eps": model.norm_eps(),
        "hidden_act": super::their_activation(model.activation()),
        "initializer_range": model.init_std(),
        "qkv_bias": true,
        "patch_size": speech.window(),
        "frequency_stride": patches.feature_stride(),
        "time_stride": speech.stride(),
        "max_length": super::known(patches.n_frames())?,
        "num_mel_bins": super::known(speech.n_features())?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checkpoint, export};

    /// A config.json with `changes`.
    fn config(changes: &[(&str, Value)]) -> String {
        let mut config = json!({
            "model_type": "audio-spectrogram-transformer",
            "architectures": ["ASTForAudioClassification"],
            "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "hidden_act": "gelu", "patch_size": 4,
            "frequency_stride": 3, "time_stride": 2, "max_length": 12, "num_mel_bins": 10,
        });
        for (key, value) in changes {
            config[*key] = value.clone();
        }
        config.to_string()
    }

    #[test]
    fn what_our_layers_cannot_express_is_refused_with_key_and_value() {
        for (key, value, fault) in [
            (
                "qkv_bias",
                json!(false),
                "qkv_bias = false is not supported",
            ),
            (
                "patch_size",
                json!([4, 6]),
                "patch_size = [4,6] is not supported",
            ),
            ("patch_size", json!(65), "patch_size = 65 is not"),
            ("frequency_stride", json!(5), "frequency_stride = 5 is not"),
            ("time_stride", json!(0), "time_stride = 0 is not"),
            ("max_length", json!(3), "max_length = 3 is not"),
            (
                "max_length",
                json!(1_000_000),
                "max_length = 1000000 is not",
            ),
            ("num_mel_bins", json!(3), "num_mel_bins = 3 is not"),
            ("num_mel_bins", Value::Null, "`num_mel_bins` is missing"),
            (
                "hidden_act",
                json!("gelu_10"),
                "hidden_act = \"gelu_10\" is not supported",
            ),
            (
                "num_attention_heads",
                json!(3),
                "num_attention_heads = 3 is not",
            ),
            ("layer_norm_eps", json!(-1), "layer_norm_eps = -1 is not"),
            (
                "problem_type",
                json!("multi_label_classification"),
                "problem_type = \"multi_label_classification\" is not supported",
            ),
            (
                "architectures",
                json!(["ViTModel"]),
                "architectures = [\"ViTModel\"] is not supported",
            ),
        ] {
            let error = Checkpoint::read(&config(&[(key, value)]), None).unwrap_err();
            assert!(error.to_string().contains(fault), "{error}");
        }
        let square = config(&[("patch_size", json!([4, 4]))]);
        assert!(Checkpoint::read(&square, None).is_ok());
    }

    #[test]
    fn what_the_family_does_not_have_is_refused_with_our_key() -> Result<(), Error> {
        let model = Checkpoint::read(&config(&[]), None)?.model().clone();
        let table = serde_json::to_value(&model).expect("a table");
        for (key, value, fault) in [
            ("class_tokens", json!(1), "speech.class_tokens = 1"),
            ("head_norm", json!(false), "speech.head_norm = null"),
        ] {
            let mut table = table.clone();
            table["speech"][key] = value;
            table["max_seq_len"] = Value::Null;
            let other: ModelConfig = serde_json::from_value(table).expect("a model");
            let other = other.resolve(Default::default()).expect("all sizes");
            let error = export(&other, &[]).unwrap_err();
            assert!(error.to_string().contains(fault), "{error}");
        }
        // Filled with something else than the features make of 0.
        let features = SoundFeatures {
            mean: 1.0,
            ..SoundFeatures::default()
        };
        let error = features.preprocessor_json(&model).unwrap_err();
        assert!(error.to_string().contains("speech.fill = 0.467"), "{error}");
        Ok(())
    }
}
