//! RoBERTa: BERT with one kind of token, positions counted from 2, and a classifier with a
//! map of its own behind the first token.

use models::{Kind, ModelConfig};
use serde_json::{Value, json};

use super::bert;
use crate::form::{Form, Head, beside, row};
use crate::keys::Keys;
use crate::{Error, Family};

/// The padding token that is written, which is the row before the first position.
const PAD: usize = 1;
/// Rows of positions that are written, and never read.
pub(crate) const SKIPPED_ROWS: usize = PAD + 1;

pub(crate) const FORM: Form = Form {
    family: Family::Roberta,
    class: "Roberta",
    prefix: "roberta",
    body: &[bert::BODY],
    heads: &[
        Head {
            kind: Kind::TextEncoder,
            architecture: "RobertaModel",
            bare: true,
            rows: &[row("pooler", &["pooler.dense"])],
            needs: &[],
        },
        Head {
            kind: Kind::TextClassifier,
            architecture: "RobertaForSequenceClassification",
            bare: false,
            rows: &[
                beside("pooler", &["classifier.dense"]),
                beside("head", &["classifier.out_proj"]),
            ],
            needs: bert::CLASSIFIER_NEEDS,
        },
    ],
    spare: bert::SPARE,
    needs: bert::NEEDS,
};

/// Rows of positions that are never read: the first position stands behind the row of the
/// padding token.
pub(crate) fn skipped_rows(keys: &Keys) -> Result<usize, Error> {
    let pad = keys.size_if_any("pad_token_id", 0..=1 << 10)?;
    Ok(pad.unwrap_or(PAD) + 1)
}

pub(crate) fn write(model: &ModelConfig) -> Result<Value, Error> {
    let mut config = bert::write(model, SKIPPED_ROWS)?;
    config["pad_token_id"] = json!(PAD);
    Ok(config)
}
