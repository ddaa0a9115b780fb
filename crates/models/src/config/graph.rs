//! `[model.graph]`: what only models of graphs have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{filled, rate, size};
use super::{ConfigError, DataSizes};

/// Most heads of the last layer of a GAT.
const MAX_HEADS: usize = 1 << 10;

/// What only models of graphs have, and the sizes of what they read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraphConfig {
    /// transformer: whether every node also reads its whole graph, beside its edges:
    /// Rampasek et al. 2022 <https://arxiv.org/abs/2205.12454>.
    #[serde(default)]
    global: bool,
    /// Share of the numbers of nodes dropped; if absent 0 for a transformer, as `dropout`
    /// for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    feature_dropout: Option<f64>,
    /// gat: heads of the last layer, whose mean is its result.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    out_heads: usize,
    /// Whether every class weighs as much as another in the loss of a batch, however many
    /// nodes or graphs it has: Dwivedi et al. 2020 <https://arxiv.org/abs/2003.00982>.
    #[serde(default)]
    balanced: bool,
    /// Numbers a node; those of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    n_features: Option<usize>,
    /// Numbers an edge, 0 for none; those of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    n_edge_features: Option<usize>,
    /// Numbers that tell a node its place in the graph, 0 for none; those of the data if
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    n_structure: Option<usize>,
    /// graph-regression: mean of the numbers to be learnt; that of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    /// graph-regression: standard deviation of the numbers to be learnt; that of the data
    /// if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    deviation: Option<f64>,
}

fn one() -> usize {
    1
}

impl Default for GraphConfig {
    fn default() -> Self {
        Self {
            global: false,
            feature_dropout: None,
            out_heads: one(),
            balanced: false,
            n_features: None,
            n_edge_features: None,
            n_structure: None,
            mean: None,
            deviation: None,
        }
    }
}

impl GraphConfig {
    /// Whether every node also reads its whole graph.
    pub fn global(&self) -> bool {
        self.global
    }

    /// Share of the numbers of nodes dropped, if the table says so.
    pub fn feature_dropout(&self) -> Option<f64> {
        self.feature_dropout
    }

    /// Heads of the last layer of a GAT.
    pub fn out_heads(&self) -> usize {
        self.out_heads
    }

    /// Whether classes weigh the same.
    pub fn balanced(&self) -> bool {
        self.balanced
    }

    /// Numbers a node.
    ///
    /// # Errors
    ///
    /// If the table leaves it to the data and [`ModelConfig::resolve`](super::ModelConfig::resolve)
    /// was not called.
    pub fn n_features(&self) -> Result<usize, ConfigError> {
        known("graph.n_features", self.n_features)
    }

    /// Numbers an edge; 0 for none.
    ///
    /// # Errors
    ///
    /// As [`GraphConfig::n_features`].
    pub fn n_edge_features(&self) -> Result<usize, ConfigError> {
        known("graph.n_edge_features", self.n_edge_features)
    }

    /// Numbers that tell a node its place in the graph; 0 for none.
    ///
    /// # Errors
    ///
    /// As [`GraphConfig::n_features`].
    pub fn n_structure(&self) -> Result<usize, ConfigError> {
        known("graph.n_structure", self.n_structure)
    }

    /// Mean and standard deviation of the numbers to be learnt; 0 and 1 where none are.
    pub fn scale(&self) -> (f64, f64) {
        (self.mean.unwrap_or(0.0), self.deviation.unwrap_or(1.0))
    }

    pub(super) fn check(self) -> Result<Self, ConfigError> {
        size("graph.out_heads", self.out_heads, 1..=MAX_HEADS)?;
        if let Some(value) = self.feature_dropout {
            rate("graph.feature_dropout", value)?;
        }
        let (mean, deviation) = self.scale();
        if !(mean.is_finite() && deviation.is_finite() && deviation > 0.0) {
            return Err(ConfigError::BadScale { mean, deviation });
        }
        Ok(self)
    }

    pub(super) fn resolve(self, data: &DataSizes) -> Result<Self, ConfigError> {
        let optional = |key, written, of_data: Option<usize>| {
            filled(key, written, Some(of_data.unwrap_or(0))).map(Some)
        };
        Ok(Self {
            n_features: Some(filled(
                "graph.n_features",
                self.n_features,
                data.n_features,
            )?),
            n_edge_features: optional(
                "graph.n_edge_features",
                self.n_edge_features,
                data.n_edge_features,
            )?,
            n_structure: optional("graph.n_structure", self.n_structure, data.n_structure)?,
            mean: self.mean.or(data.scale.map(|scale| scale.0)),
            deviation: self.deviation.or(data.scale.map(|scale| scale.1)),
            ..self
        })
    }
}

fn known(key: &'static str, size: Option<usize>) -> Result<usize, ConfigError> {
    size.ok_or(ConfigError::Unresolved { key })
}
