//! The keys of `[model]` that name one of a few things.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A causal language model: which token comes next?
    TextLm,
    /// A text classifier: which class does this text belong to?
    TextClassifier,
}

/// What bends the feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// GELU in its tanh form: Hendrycks & Gimpel 2016 <https://arxiv.org/abs/1606.08415>.
    #[default]
    Gelu,
    /// GELU in its exact form.
    GeluErf,
    /// `x · sigmoid(x)`
    Silu,
    /// `max(x, 0)`
    Relu,
    /// `silu(gate) ⊙ up`, three matrices: Shazeer 2020 <https://arxiv.org/abs/2002.05202>.
    Swiglu,
}

/// What of a segment the classifier reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean of its positions.
    #[default]
    Mean,
    /// Its first position.
    First,
    /// Its last position.
    Last,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TextLm => "text-lm",
            Self::TextClassifier => "text-classifier",
        })
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mean => "mean",
            Self::First => "first",
            Self::Last => "last",
        })
    }
}
