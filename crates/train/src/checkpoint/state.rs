//! Where a run is.

use serde::{Deserialize, Serialize};

/// All that a run carries from one step to the next besides its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Updates made.
    pub step: u64,
    /// Passes over the data begun before the current one.
    pub epoch: u64,
    /// Samples of the current pass that have been learnt from.
    pub position: u64,
    /// Tokens, frames, pixels or nodes learnt from in all.
    pub tokens: u64,
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// Evaluations since then.
    pub evals_without_improvement: u64,
    /// Seconds of training.
    #[serde(with = "super::exact")]
    pub elapsed_s: f64,
    /// Length of `metrics.jsonl`.
    pub metrics_bytes: u64,
}

impl State {
    /// The state before the first step.
    pub fn initial() -> Self {
        Self {
            step: 0,
            epoch: 0,
            position: 0,
            tokens: 0,
            best: None,
            evals_without_improvement: 0,
            elapsed_s: 0.0,
            metrics_bytes: 0,
        }
    }
}

/// An evaluation that was better than all before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Updates made by then; its checkpoint is kept.
    pub step: u64,
    /// What was measured, in the unit of the configured metric.
    #[serde(with = "super::exact")]
    pub metric: f64,
}
