//! BERT: post-norm blocks over the normed sum of token, position and token type.

use models::{Kind, ModelConfig};
use serde_json::{Value, json};

use super::encoder::{self, Defaults};
use super::{MAX_ROWS, MAX_VOCAB};
use crate::form::{Form, Head, Need, Row, Rule, beside, row};
use crate::keys::Keys;
use crate::{Error, Family};

/// What is dropped where config.json does not say.
const DEFAULTS: Defaults = Defaults { dropout: 0.1 };
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
    body: &[BODY],
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
    let mut more = json!({
        "norm_placement": "post",
        "embed_norm": true,
        "token_types": keys.size_if_any("type_vocab_size", 1..=MAX_TOKEN_TYPES)?.unwrap_or(2),
        "max_seq_len": max_seq_len - skipped_rows,
        "vocab_size": keys.size("vocab_size", 1..=MAX_VOCAB)?,
    });
    if kind == Kind::TextClassifier {
        let dropout = keys.rate("hidden_dropout_prob", DEFAULTS.dropout)?;
        more["dropout"] = json!(dropout.max(keys.rate("classifier_dropout", dropout)?));
        more["pooling"] = json!("first");
        more["pooler"] = json!(true);
    }
    encoder::read(keys, &DEFAULTS, more)
}

pub(crate) fn write(model: &ModelConfig, skipped_rows: usize) -> Result<Value, Error> {
    let more = json!({
        "position_embedding_type": "absolute",
        "max_position_embeddings": super::known(model.max_seq_len())? + skipped_rows,
        "type_vocab_size": model.token_types(),
        "vocab_size": super::known(model.vocab_size())?,
    });
    Ok(encoder::write(model, more))
}
