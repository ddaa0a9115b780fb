//! What the encoders of transformers call alike: BERT and its kin, ViT and AST.

use models::ModelConfig;
use serde_json::{Map, Value, json};

use super::{GELUS, MAX_D_FF, MAX_D_MODEL, MAX_HEADS, MAX_LAYERS};
use crate::Error;
use crate::keys::Keys;

/// What the rates of dropout are where they are not written.
pub(super) struct Defaults {
    pub(super) dropout: f64,
}

/// The keys of `[model]` that follow from those that all encoders have, and `more`, which
/// counts where it has the same.
pub(super) fn read(keys: &Keys, defaults: &Defaults, more: Value) -> Result<Value, Error> {
    let d_model = keys.size("hidden_size", 1..=MAX_D_MODEL)?;
    let n_heads = keys.size("num_attention_heads", 1..=MAX_HEADS)?;
    super::heads_divide(
        keys,
        ("hidden_size", d_model),
        ("num_attention_heads", n_heads),
    )?;
    let table = json!({
        "d_model": d_model,
        "n_heads": n_heads,
        "n_layers": keys.size("num_hidden_layers", 1..=MAX_LAYERS)?,
        "d_ff": keys.size("intermediate_size", 1..=MAX_D_FF)?,
        "dropout": keys.rate("hidden_dropout_prob", defaults.dropout)?,
        "attention_dropout": keys.rate("attention_probs_dropout_prob", defaults.dropout)?,
        "mask": "full",
        "position": "learnt",
        "norm": "layer",
        "norm_eps": keys.positive("layer_norm_eps", 1e-12, 1.0)?,
        "activation": super::activation(keys, "hidden_act", "gelu", GELUS)?,
        "bias": true,
        "init_std": super::init_std(keys)?,
    });
    Ok(joined(table, more))
}

/// The keys of config.json that all encoders have, and `more`.
pub(super) fn write(model: &ModelConfig, more: Value) -> Value {
    let table = json!({
        "hidden_size": model.d_model(),
        "num_attention_heads": model.n_heads(),
        "num_hidden_layers": model.n_layers(),
        "intermediate_size": model.d_ff(),
        "hidden_dropout_prob": model.dropout(),
        "attention_probs_dropout_prob": model.attention_dropout(),
        "layer_norm_eps": model.norm_eps(),
        "hidden_act": super::their_activation(model.activation()),
        "initializer_range": model.init_std(),
    });
    joined(table, more)
}

/// Both objects in one; `more` counts where both have a key.
fn joined(table: Value, more: Value) -> Value {
    let object = |value| match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    Value::Object(object(table).into_iter().chain(object(more)).collect())
}
