//! What the layers of a graph model are given.

use attn_core::input::{Graphs, Rows};
use candle_core::{Error, Result, bail};

use crate::config::ConfigError;
use crate::{GraphConfig, ModelConfig};

/// Numbers of a node, of its place and of an edge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widths {
    pub(super) features: usize,
    pub(super) structure: usize,
    pub(super) edges: usize,
}

impl Widths {
    /// # Errors
    ///
    /// If a size is still left to the data.
    pub(super) fn of(config: &ModelConfig) -> Result<Self> {
        Self::known(config).map_err(Error::wrap)
    }

    fn known(config: &ModelConfig) -> std::result::Result<Self, ConfigError> {
        let graph = config.graph().copied().unwrap_or_default();
        Ok(Self {
            features: graph.n_features()?,
            structure: graph.n_structure()?,
            edges: graph.n_edge_features()?,
        })
    }

    /// Refuses graphs of other widths.
    pub(super) fn check(self, graphs: &Graphs) -> Result<()> {
        let width = |rows: &Option<Rows>| rows.as_ref().map_or(0, |r| r.width());
        for (what, has, reads) in [
            ("a node", graphs.nodes.width(), self.features),
            (
                "the place of a node",
                width(&graphs.structure),
                self.structure,
            ),
            ("an edge", width(&graphs.edge_features), self.edges),
        ] {
            if has != reads {
                bail!("{has} numbers of {what}, but the model reads {reads}");
            }
        }
        let (nodes, rows) = (graphs.nodes.n_rows(), graphs.edges.n_rows());
        match nodes == rows {
            true => Ok(()),
            false => bail!("{nodes} nodes, but edges between {rows}"),
        }
    }
}

/// The numbers of every node, with those of its place behind them.
///
/// # Shapes
///
/// - returns: `[n, features + structure]`
pub(super) fn nodes_and_places(graphs: &Graphs) -> Result<Rows> {
    let Some(places) = &graphs.structure else {
        return Ok(graphs.nodes.clone());
    };
    let nodes = &graphs.nodes;
    let width = nodes.width() + places.width();
    let mut both = Vec::with_capacity(nodes.n_rows() * width);
    for i in 0..nodes.n_rows() {
        both.extend_from_slice(nodes.row(i));
        both.extend_from_slice(places.row(i));
    }
    Rows::new(both, width)
}

/// The share of the numbers of nodes that is dropped, for layers that by themselves drop
/// `otherwise`.
pub(super) fn feature_dropout(config: &ModelConfig, otherwise: f64) -> f32 {
    let written = config.graph().and_then(GraphConfig::feature_dropout);
    written.unwrap_or(otherwise) as f32
}

/// Uniform first values that keep the size of rows: Glorot & Bengio 2010, §4.2.1
/// <https://proceedings.mlr.press/v9/glorot10a.html>.
pub(super) fn glorot(fan_in: usize, fan_out: usize) -> candle_nn::Init {
    let bound = (6.0 / (fan_in + fan_out) as f64).sqrt();
    candle_nn::Init::Uniform {
        lo: -bound,
        up: bound,
    }
}
