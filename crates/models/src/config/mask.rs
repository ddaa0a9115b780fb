//! `mask`: what the positions of one sequence may read of each other.

use std::fmt;

use attn_core::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Modality;

/// The value of `mask`: a name, or a table with the sizes of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum MaskConfig {
    /// Every position reads every other.
    Full,
    /// Graphs: every node reads the nodes from which an edge leads to it.
    Edges,
    /// Every position reads itself and those before it.
    Causal,
    /// Every position reads a window around it, both ends included.
    Band {
        /// Earlier positions that are read.
        left: usize,
        /// Later positions that are read.
        right: usize,
    },
    /// Every position reads its own chunk and some before it.
    Chunk {
        /// Positions a chunk.
        size: usize,
        /// Earlier chunks that are read.
        left: usize,
    },
}

impl MaskConfig {
    /// Whether what `modality` reads has such neighbours: edges are of graphs, whose nodes
    /// have no order.
    pub fn applies_to(self, modality: Modality) -> bool {
        match self {
            Self::Full => true,
            Self::Edges => modality == Modality::Graph,
            _ => modality != Modality::Graph,
        }
    }

    /// Whether a position may read one that comes after it.
    pub fn reads_ahead(self) -> bool {
        match self {
            Self::Full | Self::Edges => true,
            Self::Causal => false,
            Self::Band { right, .. } => right > 0,
            Self::Chunk { size, .. } => size > 1,
        }
    }
}

impl From<MaskConfig> for Pattern {
    /// The pattern of the masks of batches. Edges come with each batch of graphs, so its
    /// mask has walls alone.
    fn from(mask: MaskConfig) -> Self {
        match mask {
            MaskConfig::Full | MaskConfig::Edges => Self::Full,
            MaskConfig::Causal => Self::Causal,
            MaskConfig::Band { left, right } => Self::Band { left, right },
            MaskConfig::Chunk { size, left } => Self::Chunk { size, left },
        }
    }
}

/// As it is written in TOML.
impl fmt::Display for MaskConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("\"full\""),
            Self::Edges => f.write_str("\"edges\""),
            Self::Causal => f.write_str("\"causal\""),
            Self::Band { left, right } => {
                write!(f, "{{ band = {{ left = {left}, right = {right} }} }}")
            }
            Self::Chunk { size, left } => {
                write!(f, "{{ chunk = {{ size = {size}, left = {left} }} }}")
            }
        }
    }
}
