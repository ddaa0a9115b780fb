//! `[model.graph]`: what only models of graphs have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, DataSizes, filled};

/// Sizes of what a model of graphs reads.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraphConfig {
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
}

impl GraphConfig {
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
        })
    }
}

fn known(key: &'static str, size: Option<usize>) -> Result<usize, ConfigError> {
    size.ok_or(ConfigError::Unresolved { key })
}
