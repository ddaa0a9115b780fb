//! GPT-2: pre-norm blocks, learnt positions, the matrices of linear maps transposed.

use models::{Kind, ModelConfig};
use serde_json::{Value, json};

use super::{GELUS, MAX_D_FF, MAX_D_MODEL, MAX_HEADS, MAX_LAYERS, MAX_ROWS, MAX_VOCAB};
use crate::form::{Form, Head, Rule, beside, row};
use crate::keys::Keys;
use crate::{Error, Family};

pub(crate) const FORM: Form = Form {
    family: Family::Gpt2,
    class: "GPT2",
    prefix: "transformer",
    body: &[&[
        row("embed", &["wte"]),
        row("position", &["wpe"]),
        row("blocks.#.attn_norm", &["h.#.ln_1"]),
        row("blocks.#.attn.wq", &["h.#.attn.c_attn"]).with(Rule::Conv1d(0, 3)),
        row("blocks.#.attn.wk", &["h.#.attn.c_attn"]).with(Rule::Conv1d(1, 3)),
        row("blocks.#.attn.wv", &["h.#.attn.c_attn"]).with(Rule::Conv1d(2, 3)),
        row("blocks.#.attn.wo", &["h.#.attn.c_proj"]).with(Rule::Conv1d(0, 1)),
        row("blocks.#.mlp_norm", &["h.#.ln_2"]),
        row("blocks.#.mlp.up", &["h.#.mlp.c_fc"]).with(Rule::Conv1d(0, 1)),
        row("blocks.#.mlp.down", &["h.#.mlp.c_proj"]).with(Rule::Conv1d(0, 1)),
        row("norm", &["ln_f"]),
    ]],
    heads: &[Head {
        kind: Kind::TextLm,
        architecture: "GPT2LMHeadModel",
        bare: false,
        rows: &[beside("head", &["lm_head"])],
        needs: &[],
    }],
    // The causal mask, which old files hold a block.
    spare: &["h.#.attn.bias", "h.#.attn.masked_bias"],
    needs: &[
        ("backbone", &["\"transformer\""]),
        ("mask", &["\"causal\""]),
        ("position", &["\"learnt\""]),
        ("norm", &["\"layer\""]),
        ("norm_placement", &["\"pre\""]),
        ("bias", &["true"]),
        ("qk_norm", &["false"]),
        (
            "activation",
            &["\"gelu\"", "\"gelu_erf\"", "\"relu\"", "\"silu\""],
        ),
    ],
};

pub(crate) fn read(keys: &Keys) -> Result<Value, Error> {
    let d_model = keys.size("n_embd", 1..=MAX_D_MODEL)?;
    let n_heads = keys.size("n_head", 1..=MAX_HEADS)?;
    super::heads_divide(keys, ("n_embd", d_model), ("n_head", n_heads))?;
    keys.only("scale_attn_weights", true, "use a model with true")?;
    keys.only(
        "scale_attn_by_inverse_layer_idx",
        false,
        "use a model with false",
    )?;
    keys.only(
        "add_cross_attention",
        false,
        "use a model without an encoder beside it",
    )?;
    let dropout = keys
        .rate("resid_pdrop", 0.1)?
        .max(keys.rate("embd_pdrop", 0.1)?);
    Ok(json!({
        "d_model": d_model,
        "n_heads": n_heads,
        "n_layers": keys.size("n_layer", 1..=MAX_LAYERS)?,
        "d_ff": keys.size_if_any("n_inner", 1..=MAX_D_FF)?.unwrap_or(4 * d_model),
        "dropout": dropout,
        "attention_dropout": keys.rate("attn_pdrop", 0.1)?,
        "mask": "causal",
        "position": "learnt",
        "norm": "layer",
        "norm_placement": "pre",
        "norm_eps": keys.positive("layer_norm_epsilon", 1e-5, 1.0)?,
        "activation": super::activation(keys, "activation_function", "gelu_new", GELUS)?,
        "bias": true,
        "init_std": super::init_std(keys)?,
        "max_seq_len": keys.size("n_positions", 1..=MAX_ROWS)?,
        "vocab_size": keys.size("vocab_size", 1..=MAX_VOCAB)?,
        "tied": keys.flag("tie_word_embeddings", true)?,
    }))
}

/// The ids of first and last token are null: the model does not know them, and those that
/// transformers would take are beyond small vocabularies.
pub(crate) fn write(model: &ModelConfig) -> Result<Value, Error> {
    Ok(json!({
        "n_embd": model.d_model(),
        "n_head": model.n_heads(),
        "n_layer": model.n_layers(),
        "n_inner": model.d_ff(),
        "resid_pdrop": model.dropout(),
        "embd_pdrop": model.dropout(),
        "attn_pdrop": model.attention_dropout(),
        "layer_norm_epsilon": model.norm_eps(),
        "activation_function": super::their_activation(model.activation()),
        "initializer_range": model.init_std(),
        "n_positions": super::known(model.max_seq_len())?,
        "vocab_size": super::known(model.vocab_size())?,
        "tie_word_embeddings": model.tied(),
        "bos_token_id": null,
        "eos_token_id": null,
    }))
}
