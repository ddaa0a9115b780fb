//! `[eval]`: when to look at data that is not trained on.

use data::BatchLimit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Metric,
    check::{Invalid, within},
    train::{MAX_BATCH, MAX_BATCH_TOKENS, MAX_STEPS},
};

/// When to look at data that is not trained on: the `[eval]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawEval", into = "RawEval")]
pub struct EvalTable {
    every: u64,
    batch_size: Option<usize>,
    batch_tokens: Option<usize>,
    max_batches: Option<usize>,
    metric: Metric,
    early_stopping: Option<u32>,
}

impl Default for EvalTable {
    fn default() -> Self {
        let RawEval {
            every,
            batch_size,
            batch_tokens,
            max_batches,
            metric,
            early_stopping,
        } = RawEval::default();
        Self {
            every,
            batch_size,
            batch_tokens,
            max_batches,
            metric,
            early_stopping,
        }
    }
}

impl EvalTable {
    /// Steps from one evaluation to the next; there is always one after the last step.
    pub fn every(&self) -> u64 {
        self.every
    }

    /// Where a batch ends, if one of training has up to `batch_size` sequences.
    pub fn batch_limit(&self, batch_size: usize) -> BatchLimit {
        BatchLimit {
            samples: self.batch_size.unwrap_or(batch_size),
            rows: self.batch_tokens,
        }
    }

    /// Batches of an evaluation during training; `None` for the whole part. The last
    /// evaluation always reads the whole part.
    pub fn max_batches(&self) -> Option<usize> {
        self.max_batches
    }

    /// What "best" means when the best model is kept.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Evaluations without improvement after which training stops; `None` for never.
    pub fn early_stopping(&self) -> Option<u32> {
        self.early_stopping
    }
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawEval {
    /// Steps from one evaluation to the next; there is always one after the last step.
    #[schemars(range(min = 1))]
    every: u64,
    /// Sequences of one batch; as many as in training if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    batch_size: Option<usize>,
    /// Rows of one batch at most: tokens, frames, pixels or nodes; any number if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_777_216))]
    batch_tokens: Option<usize>,
    /// Batches of an evaluation during training; the whole part if absent. The last
    /// evaluation always reads the whole part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    max_batches: Option<usize>,
    /// What "best" means when the best model is kept.
    metric: Metric,
    /// Evaluations without improvement after which training stops; never if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    early_stopping: Option<u32>,
}

impl Default for RawEval {
    fn default() -> Self {
        Self {
            every: 250,
            batch_size: None,
            batch_tokens: None,
            max_batches: None,
            metric: Metric::Loss,
            early_stopping: None,
        }
    }
}

impl TryFrom<RawEval> for EvalTable {
    type Error = Invalid;

    fn try_from(raw: RawEval) -> Result<Self, Invalid> {
        let RawEval {
            every,
            batch_size,
            batch_tokens,
            max_batches,
            metric,
            early_stopping,
        } = raw;
        within("every", every, 1..=MAX_STEPS)?;
        if let Some(batch_size) = batch_size {
            within("batch_size", batch_size, 1..=MAX_BATCH)?;
        }
        if let Some(rows) = batch_tokens {
            within("batch_tokens", rows, 1..=MAX_BATCH_TOKENS)?;
        }
        if let Some(max_batches) = max_batches {
            within("max_batches", max_batches, 1..=1_000_000)?;
        }
        if let Some(patience) = early_stopping {
            within("early_stopping", patience, 1..=1_000_000)?;
        }
        Ok(Self {
            every,
            batch_size,
            batch_tokens,
            max_batches,
            metric,
            early_stopping,
        })
    }
}

impl From<EvalTable> for RawEval {
    fn from(table: EvalTable) -> Self {
        let EvalTable {
            every,
            batch_size,
            batch_tokens,
            max_batches,
            metric,
            early_stopping,
        } = table;
        Self {
            every,
            batch_size,
            batch_tokens,
            max_batches,
            metric,
            early_stopping,
        }
    }
}
