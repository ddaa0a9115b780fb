//! The keys of `[data]` that name one of a few things.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a file of graphs holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GraphFormat {
    /// One JSON object a line: nodes, edges, features, labels
    Jsonl,
    /// One JSON object, or a list of them; also as NetworkX writes node-link data
    Json,
    /// A table of nodes beside a table of edges
    Tables,
    /// A folder in the layout of the TU sets: `DS_A.txt`, `DS_graph_indicator.txt`, ...
    Tu,
    /// Graphs one after the other: `n label`, then a line a node: `tag degree neighbours... numbers...`
    GraphText,
    /// Molecules, V2000
    Sdf,
}

impl GraphFormat {
    /// The format of `path`, by its extension.
    pub(super) fn of(path: &Path) -> Self {
        if path.is_dir() {
            return Self::Tu;
        }
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        match extension.to_str() {
            Some("jsonl" | "ndjson") => Self::Jsonl,
            Some("tsv" | "csv" | "tab") => Self::Tables,
            Some("txt") => Self::GraphText,
            Some("sdf" | "sd" | "mol") => Self::Sdf,
            _ => Self::Json,
        }
    }
}

/// What becomes of an edge that is listed twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DuplicateEdges {
    /// The file is refused
    #[default]
    Refuse,
    /// The first is kept
    Merge,
}

/// What the features of a node are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "GraphNormalize")]
pub enum Normalize {
    /// Nothing
    #[default]
    None,
    /// Their sum, where it is not 0
    Row,
}

/// What nodes are told of their place in the graph, computed once for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Encodings {
    /// Eigenvectors of the symmetric normalised Laplacian, those of the smallest eigenvalues but the first; signs are flipped at random in training: Dwivedi & Bresson 2020 <https://arxiv.org/abs/2012.09699>
    #[serde(default)]
    pub laplacian: usize,
    /// Chances that a random walk is back after 1, 2, ... steps: Dwivedi et al. 2021 <https://arxiv.org/abs/2110.07875>
    #[serde(default)]
    pub random_walk: usize,
    /// Degrees told apart, from 0; the last stands for all above: Ying et al. 2021 <https://arxiv.org/abs/2106.05234>
    #[serde(default)]
    pub degree: usize,
}

impl Encodings {
    /// Columns of all encodings together.
    pub fn width(&self) -> usize {
        self.laplacian + self.random_walk + self.degree
    }
}
