//! A model says what it makes of what it is given.

mod choice;
mod files;
mod text;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::Error;

use choice::{Choice, choices};
pub use files::predict_file;
pub use text::Predictor;
pub(crate) use text::packed;

/// What a model makes of one text, or of one file or a row of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Prediction {
    /// Which class a text belongs to.
    Class {
        /// The text.
        text: String,
        /// The likeliest class; of equally likely ones, the first.
        label: String,
        /// Probability of each class, in the order of the model.
        probabilities: Map<String, Value>,
    },
    /// How well a text was foreseen.
    Score {
        /// The text.
        text: String,
        /// Tokens that were to be foreseen.
        n_tokens: usize,
        /// Mean surprise at a token, in nats; `null` without tokens.
        loss: Option<f64>,
        /// `exp(loss)`: as surprised as by a choice of so many equally likely tokens.
        perplexity: Option<f64>,
    },
    /// What a text means.
    Vector {
        /// The text.
        text: String,
        /// As many numbers as the model is wide; texts that mean alike have like directions.
        vector: Vec<f32>,
    },
    /// Which class a sample of a file, or one row of it, belongs to.
    FileClass {
        /// The file.
        file: String,
        /// Which sample of the file, from 0, or which row where the model answers row by
        /// row; absent if there is only one.
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<usize>,
        /// The likeliest class; of equally likely ones, the first.
        label: String,
        /// Probability of each class, in the order of the model.
        probabilities: Map<String, Value>,
    },
    /// What a sample of a file spells.
    FileText {
        /// The file.
        file: String,
        /// Which sample of the file, from 0; absent if there is only one.
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<usize>,
        /// The likeliest symbols.
        text: String,
    },
    /// How probable two nodes of a graph are linked.
    FileLink {
        /// The file.
        file: String,
        /// Which pair of the file, from 0; absent if there is only one.
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<usize>,
        /// Which graph of the file, from 0; absent if there is only one.
        #[serde(skip_serializing_if = "Option::is_none")]
        graph: Option<usize>,
        /// The number of one node in the list of its graph, from 0.
        source: u32,
        /// The number of the other.
        target: u32,
        /// Probability that they are linked.
        probability: f64,
    },
    /// Which number belongs to a sample of a file.
    FileNumber {
        /// The file.
        file: String,
        /// Which sample of the file, from 0; absent if there is only one.
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<usize>,
        /// The number, in the unit of the data.
        value: f64,
    },
}

/// What is said of weights that make `value` of an input.
pub(crate) fn damaged(value: f64) -> Error {
    Error::Data(format!(
        "the model's output is {value}; its weights are damaged, use another checkpoint"
    ))
}

#[cfg(test)]
pub(crate) mod tests;
