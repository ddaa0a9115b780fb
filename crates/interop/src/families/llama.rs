//! Llama: root mean square norms, SwiGLU, turned queries and keys, no biases.

use models::{Kind, ModelConfig};
use serde_json::{Value, json};

use super::{MAX_D_FF, MAX_D_MODEL, MAX_HEADS, MAX_LAYERS, MAX_ROWS, MAX_VOCAB, rope};
use crate::form::{Form, Head, beside, row};
use crate::keys::Keys;
use crate::{Error, Family};

pub(crate) const FORM: Form = Form {
    family: Family::Llama,
    class: "Llama",
    prefix: "model",
    body: &[&[
        row("embed", &["embed_tokens"]),
        row("blocks.#.attn_norm", &["layers.#.input_layernorm"]),
        row("blocks.#.attn.wq", &["layers.#.self_attn.q_proj"]),
        row("blocks.#.attn.wk", &["layers.#.self_attn.k_proj"]),
        row("blocks.#.attn.wv", &["layers.#.self_attn.v_proj"]),
        row("blocks.#.attn.wo", &["layers.#.self_attn.o_proj"]),
        row("blocks.#.mlp_norm", &["layers.#.post_attention_layernorm"]),
        row("blocks.#.mlp.gate", &["layers.#.mlp.gate_proj"]),
        row("blocks.#.mlp.up", &["layers.#.mlp.up_proj"]),
        row("blocks.#.mlp.down", &["layers.#.mlp.down_proj"]),
        row("norm", &["norm"]),
    ]],
    heads: &[Head {
        kind: Kind::TextLm,
        architecture: "LlamaForCausalLM",
        bare: false,
        rows: &[beside("head", &["lm_head"])],
        needs: &[],
    }],
    // Speeds of the turns, which follow from config.json.
    spare: &["layers.#.self_attn.rotary_emb.inv_freq", "rotary_emb.*"],
    needs: &[
        ("backbone", &["\"transformer\""]),
        ("mask", &["\"causal\""]),
        ("norm", &["\"rms\""]),
        ("norm_placement", &["\"pre\""]),
        ("qk_norm", &["false"]),
        ("activation", &["\"swiglu\""]),
    ],
};

pub(crate) fn read(keys: &Keys) -> Result<Value, Error> {
    let d_model = keys.size("hidden_size", 1..=MAX_D_MODEL)?;
    let n_heads = keys.size("num_attention_heads", 1..=MAX_HEADS)?;
    super::heads_divide(
        keys,
        ("hidden_size", d_model),
        ("num_attention_heads", n_heads),
    )?;
    let n_kv_heads = keys.size_if_any("num_key_value_heads", 1..=n_heads)?;
    if n_kv_heads.is_some_and(|n_kv_heads| !n_heads.is_multiple_of(n_kv_heads)) {
        let wanted = format!("a divisor of num_attention_heads = {n_heads}");
        return Err(keys.not("num_key_value_heads", &wanted));
    }
    let head_dim = keys.size_if_any("head_dim", 1..=MAX_D_MODEL)?;
    if head_dim.is_some_and(|head_dim| head_dim != d_model / n_heads) {
        let remedy = format!(
            "use a model whose heads share hidden_size = {d_model} evenly, {} each",
            d_model / n_heads
        );
        return Err(keys.unsupported("head_dim", &remedy));
    }
    if !matches!(keys.text("hidden_act")?, None | Some("silu" | "swish")) {
        return Err(keys.unsupported("hidden_act", "use a model with \"silu\""));
    }
    let bias = keys.flag("attention_bias", false)?;
    if keys.flag("mlp_bias", false)? != bias {
        let remedy = format!("use a model with attention_bias = {bias}, too, or neither");
        let remedy = match bias {
            true => "use a model with mlp_bias = true, too, or neither".to_owned(),
            false => remedy.replace("false", "true"),
        };
        let key = if bias { "attention_bias" } else { "mlp_bias" };
        return Err(keys.unsupported(key, &remedy));
    }
    let max_seq_len = keys.size("max_position_embeddings", 1..=MAX_ROWS)?;
    Ok(json!({
        "d_model": d_model,
        "n_heads": n_heads,
        "n_kv_heads": n_kv_heads.unwrap_or(n_heads),
        "n_layers": keys.size("num_hidden_layers", 1..=MAX_LAYERS)?,
        "d_ff": keys.size("intermediate_size", 1..=MAX_D_FF)?,
        "dropout": 0.0,
        "attention_dropout": keys.rate("attention_dropout", 0.0)?,
        "mask": "causal",
        "position": rope::read(keys, max_seq_len)?,
        "norm": "rms",
        "norm_placement": "pre",
        "norm_eps": keys.positive("rms_norm_eps", 1e-6, 1.0)?,
        "activation": "swiglu",
        "bias": bias,
        "init_std": super::init_std(keys)?,
        "max_seq_len": max_seq_len,
        "vocab_size": keys.size("vocab_size", 1..=MAX_VOCAB)?,
        "tied": keys.flag("tie_word_embeddings", false)?,
    }))
}

/// Ids of first and last token are null, as in [`gpt2`](super::gpt2).
pub(crate) fn write(model: &ModelConfig) -> Result<Value, Error> {
    let mut config = json!({
        "hidden_size": model.d_model(),
        "num_attention_heads": model.n_heads(),
        "num_key_value_heads": model.n_kv_heads(),
        "head_dim": model.head_dim(),
        "num_hidden_layers": model.n_layers(),
        "intermediate_size": model.d_ff(),
        "attention_dropout": model.attention_dropout(),
        "rms_norm_eps": model.norm_eps(),
        "hidden_act": "silu",
        "attention_bias": model.bias(),
        "mlp_bias": model.bias(),
        "initializer_range": model.init_std(),
        "max_position_embeddings": super::known(model.max_seq_len())?,
        "vocab_size": super::known(model.vocab_size())?,
        "tie_word_embeddings": model.tied(),
        "bos_token_id": null,
        "eos_token_id": null,
    });
    for (key, value) in rope::write(model)? {
        config[key] = value;
    }
    Ok(config)
}
