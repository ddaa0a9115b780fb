//! BERT: post-norm blocks over the normed sum of token, position and token type.

use models::{Kind, ModelConfig};
use serde_json::{Value, json};

use super::{GELUS, MAX_D_FF, MAX_D_MODEL, MAX_HEADS, MAX_LAYERS, MAX_ROWS, MAX_VOCAB};
use crate::form::{Form, Head, Need, Row, Rule, beside, row};
use crate::keys::Keys;
use crate::{Error, Family};

/// Most kinds of token.
const MAX_TOKEN_TYPES: usize = 16;

/// Rows that BERT and RoBERTa share.
pub(super) const BODY: &[Row] = &[
    row("embed", &["embeddings.word_embeddings"]),
    row("position", &["embeddings.position_embeddings"]).with(Rule::Positions),
    row("token_type", &["embeddings.token_type_embeddings"]),
    row("embed_norm", &["embeddings.LayerNorm"]),
    row(
        "blocks.#.attn.wq",
        &["encoder.layer.#.attention.self.query"],
    ),
    row("blocks.#.attn.wk", &["encoder.layer.#.attention.self.key"]),
    row(
        "blocks.#.attn.wv",
        &["encoder.layer.#.attention.self.value"],
    ),
    row(
        "blocks.#.attn.wo",
        &["encoder.layer.#.attention.output.dense"],
    ),
    row(
        "blocks.#.attn_norm",
        &["encoder.layer.#.attention.output.LayerNorm"],
    ),
    row("blocks.#.mlp.up", &["encoder.layer.#.intermediate.dense"]),
    row("blocks.#.mlp.down", &["encoder.layer.#.output.dense"]),
    row("blocks.#.mlp_norm", &["encoder.layer.#.output.LayerNorm"]),
];

/// Names inside the body that nothing is lost by leaving out: buffers, and the map behind
/// the first token where the model has another use for it.
pub(super) const SPARE: &[&str] = &[
    "embeddings.position_ids",
    "embeddings.token_type_ids",
    "pooler.*",
];

pub(super) const NEEDS: &[Need] = &[
    ("backbone", &["\"transformer\""]),
    ("mask", &["\"full\""]),
    ("position", &["\"learnt\""]),
    ("norm", &["\"layer\""]),
    ("norm_placement", &["\"post\""]),
    ("embed_norm", &["true"]),
    ("bias", &["true"]),
    ("qk_norm", &["false"]),
    (
        "activation",
        &["\"gelu_erf\"", "\"gelu\"", "\"relu\"", "\"silu\""],
    ),
];

/// A classifier reads the first token, through the pooler.
pub(super) const CLASSIFIER_NEEDS: &[Need] = &[("pooling", &["\"first\""]), ("pooler", &["true"])];

pub(crate) const FORM: Form = Form {
    family: Family::Bert,
    class: "Bert",
    prefix: "bert",
    body: BODY,
    heads: &[
        Head {
            kind: Kind::TextEncoder,
            architecture: "BertModel",
            bare: true,
            rows: &[row("pooler", &["pooler.dense"])],
            needs: &[],
        },
        Head {
            kind: Kind::TextClassifier,
            architecture: "BertForSequenceClassification",
            bare: false,
            rows: &[
                row("pooler", &["pooler.dense"]),
                beside("head", &["classifier"]),
            ],
            needs: CLASSIFIER_NEEDS,
        },
    ],
    spare: SPARE,
    needs: NEEDS,
};

/// `skipped_rows` are rows of positions that are never read.
pub(crate) fn read(keys: &Keys, kind: Kind, skipped_rows: usize) -> Result<Value, Error> {
    let d_model = keys.size("hidden_size", 1..=MAX_D_MODEL)?;
    let n_heads = keys.size("num_attention_heads", 1..=MAX_HEADS)?;
    super::heads_divide(
        keys,
        ("hidden_size", d_model),
        ("num_attention_heads", n_heads),
    )?;
    if !matches!(
        keys.text("position_embedding_type")?,
        None | Some("absolute")
    ) {
        return Err(keys.unsupported("position_embedding_type", "use a model with \"absolute\""));
    }
    keys.only(
        "is_decoder",
        false,
        "use a model with false, or GPT-2 to write text",
    )?;
    keys.only(
        "add_cross_attention",
        false,
        "use a model without a decoder beside it",
    )?;
    keys.absent("pruned_heads", "use a model with all its heads")?;
    let max_seq_len = keys.size(
        "max_position_embeddings",
        1 + skipped_rows..=MAX_ROWS + skipped_rows,
    )?;
    let mut dropout = keys.rate("hidden_dropout_prob", 0.1)?;
    if kind == Kind::TextClassifier {
        dropout = dropout.max(keys.rate("classifier_dropout", dropout)?);
    }
    let mut model = json!({
        "d_model": d_model,
        "n_heads": n_heads,
        "n_layers": keys.size("num_hidden_layers", 1..=MAX_LAYERS)?,
        "d_ff": keys.size("intermediate_size", 1..=MAX_D_FF)?,
        "dropout": dropout,
        "attention_dropout": keys.rate("attention_probs_dropout_prob", 0.1)?,
        "mask": "full",
        "position": "learnt",
        "norm": "layer",
        "norm_placement": "post",
        "norm_eps": keys.positive("layer_norm_eps", 1e-12, 1.0)?,
        "activation": super::activation(keys, "hidden_act", "gelu", GELUS)?,
        "bias": true,
        "init_std": super::init_std(keys)?,
        "embed_norm": true,
        "token_types": keys.size_if_any("type_vocab_size", 1..=MAX_TOKEN_TYPES)?.unwrap_or(2),
        "max_seq_len": max_seq_len - skipped_rows,
        "vocab_size": keys.size("vocab_size", 1..=MAX_VOCAB)?,
    });
    if kind == Kind::TextClassifier {
        model["pooling"] = json!("first");
        model["pooler"] = json!(true);
    }
    Ok(model)
}

pub(crate) fn write(model: &ModelConfig, skipped_rows: usize) -> Result<Value, Error> {
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
        "position_embedding_type": "absolute",
        "max_position_embeddings": super::known(model.max_seq_len())? + skipped_rows,
        "type_vocab_size": model.token_types(),
        "vocab_size": super::known(model.vocab_size())?,
    }))
}
