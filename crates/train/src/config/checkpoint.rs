//! `[checkpoint]`: how often a run is saved, and how many of its states are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    check::{Invalid, within},
    train::MAX_STEPS,
};

/// How often a run is saved, and how many of its states are kept: the `[checkpoint]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawCheckpoint", into = "RawCheckpoint")]
pub struct CheckpointTable {
    every: u64,
    keep: usize,
}

impl Default for CheckpointTable {
    fn default() -> Self {
        let RawCheckpoint { every, keep } = RawCheckpoint::default();
        Self { every, keep }
    }
}

impl CheckpointTable {
    /// Steps from one checkpoint to the next; there is always one after the last step.
    pub fn every(&self) -> u64 {
        self.every
    }

    /// Newest checkpoints that are kept.
    pub fn keep(&self) -> usize {
        self.keep
    }
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawCheckpoint {
    /// Steps from one checkpoint to the next; there is always one after the last step.
    #[schemars(range(min = 1))]
    every: u64,
    /// Newest checkpoints that are kept.
    #[schemars(range(min = 1, max = 1000))]
    keep: usize,
}

impl Default for RawCheckpoint {
    fn default() -> Self {
        Self {
            every: 500,
            keep: 2,
        }
    }
}

impl TryFrom<RawCheckpoint> for CheckpointTable {
    type Error = Invalid;

    fn try_from(raw: RawCheckpoint) -> Result<Self, Invalid> {
        let RawCheckpoint { every, keep } = raw;
        within("every", every, 1..=MAX_STEPS)?;
        within("keep", keep, 1..=1000)?;
        Ok(Self { every, keep })
    }
}

impl From<CheckpointTable> for RawCheckpoint {
    fn from(table: CheckpointTable) -> Self {
        let CheckpointTable { every, keep } = table;
        Self { every, keep }
    }
}
