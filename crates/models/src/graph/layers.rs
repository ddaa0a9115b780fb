//! What stands between the nodes of a graph and its head.

use attn_core::input::Graphs;
use attn_core::{Mask, Pass, Stack};
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::features::FeatureDropout;
use super::gat::{GatConfig, GatLayer};
use super::gcn::{GcnLayer, propagation};
use super::inputs::{Widths, feature_dropout, nodes_and_places};
use super::mlp::MlpLayer;
use super::transformer::Transformer;
use crate::{Backbone, ModelConfig};

/// The layers that a backbone stands for.
#[derive(Debug, Clone)]
pub(super) enum Layers {
    Transformer(Box<Transformer>),
    Plain(Box<Plain>),
}

/// Layers one after the other, with no residual stream.
///
/// Parameters, under the prefix of the builder: `layers.0`, `layers.1`, …
#[derive(Debug, Clone)]
pub(super) struct Plain {
    layers: PlainLayers,
    feature_dropout: FeatureDropout,
    widths: Widths,
    dtype: DType,
    device: Device,
}

#[derive(Debug, Clone)]
enum PlainLayers {
    Gat(GatLayer, Vec<GatLayer>),
    Gcn(GcnLayer, Vec<GcnLayer>),
    Mlp(MlpLayer, Vec<MlpLayer>),
}

impl Layers {
    /// Layers whose last gives rows of `d_out`. A transformer's have the width of its
    /// stream, whatever `d_out` is.
    pub(super) fn new(config: &ModelConfig, d_out: usize, vb: VarBuilder) -> Result<Self> {
        let layers = match config.backbone() {
            Backbone::Gat => {
                let (first, rest) = first(gat(config, d_out, &vb)?);
                PlainLayers::Gat(first, rest)
            }
            Backbone::Gcn => {
                let (first, rest) = first(equal(config, d_out, &vb, GcnLayer::new)?);
                PlainLayers::Gcn(first, rest)
            }
            Backbone::Mlp => {
                let (first, rest) = first(equal(config, d_out, &vb, MlpLayer::new)?);
                PlainLayers::Mlp(first, rest)
            }
            _ => return Ok(Self::Transformer(Box::new(Transformer::new(config, vb)?))),
        };
        Ok(Self::Plain(Box::new(Plain {
            layers,
            feature_dropout: FeatureDropout::new(
                feature_dropout(config, config.dropout()),
                &vb.pp("features"),
            ),
            widths: Widths::of(config)?,
            dtype: vb.dtype(),
            device: vb.device().clone(),
        })))
    }

    /// Whether the last layer gives rows of the width that was asked for.
    pub(super) fn can_end(config: &ModelConfig) -> bool {
        config.backbone() != Backbone::Transformer
    }

    /// # Shapes
    ///
    /// - `graphs`: `n` nodes, in the walls of `walls`
    /// - returns: `[n, d_out]`
    pub(super) fn forward(&self, graphs: &Graphs, walls: &Mask, pass: Pass) -> Result<Tensor> {
        match self {
            Self::Transformer(layers) => layers.forward(graphs, walls, pass),
            Self::Plain(layers) => layers.forward(graphs, pass),
        }
    }

    /// The blocks, to look at, where they are a stack.
    pub(super) fn stack(&self) -> Option<&Stack> {
        match self {
            Self::Transformer(layers) => layers.stack(),
            Self::Plain(_) => None,
        }
    }
}

impl Plain {
    fn forward(&self, graphs: &Graphs, pass: Pass) -> Result<Tensor> {
        let known = Widths {
            // These layers do not read what is known of edges.
            edges: graphs.edge_features.as_ref().map_or(0, |rows| rows.width()),
            ..self.widths
        };
        known.check(graphs)?;
        let dropout = self.feature_dropout;
        let rows = nodes_and_places(graphs)?;
        let x = dropout.forward(&rows, pass, self.dtype, &self.device)?;
        let edges = graphs.edges.both_ways();
        match &self.layers {
            PlainLayers::Gat(first, rest) => {
                let x = first.attend(&x.map(first.map())?, edges, pass)?;
                let run = |x: Tensor, layer: &GatLayer| layer.forward(&x, edges, pass);
                rest.iter().try_fold(x, run)
            }
            PlainLayers::Gcn(first, rest) => {
                let weights = propagation(edges);
                let x = first.propagate(&x.map(first.map())?, edges, &weights)?;
                let run = |x: Tensor, layer: &GcnLayer| layer.forward(&x, edges, &weights, pass);
                rest.iter().try_fold(x, run)
            }
            PlainLayers::Mlp(first, rest) => {
                let x = first.bend(&x.map(first.map())?)?;
                let run = |x: Tensor, layer: &MlpLayer| layer.forward(&x, pass);
                rest.iter().try_fold(x, run)
            }
        }
    }
}

/// The first of `layers`, of which there is at least one, and the others.
fn first<L>(mut layers: Vec<L>) -> (L, Vec<L>) {
    let rest = layers.split_off(1);
    let first = layers.pop().expect("a model has at least one layer");
    (first, rest)
}

fn d_in(config: &ModelConfig) -> Result<usize> {
    let widths = Widths::of(config)?;
    Ok(widths.features + widths.structure)
}

fn gat(config: &ModelConfig, d_out: usize, vb: &VarBuilder) -> Result<Vec<GatLayer>> {
    let out_heads = config.graph().map_or(1, |graph| graph.out_heads());
    let first = d_in(config)?;
    let layer = |i: usize| {
        let is_last = i + 1 == config.n_layers();
        let gat = GatConfig {
            d_in: if i == 0 { first } else { config.d_model() },
            n_heads: if is_last { out_heads } else { config.n_heads() },
            head_dim: if is_last { d_out } else { config.head_dim() },
            is_last,
            dropout: config.dropout() as f32,
            weights_dropout: config.attention_dropout() as f32,
        };
        GatLayer::new(gat, vb.pp("layers").pp(i))
    };
    (0..config.n_layers()).map(layer).collect()
}

/// Layers that differ in their sizes alone.
fn equal<'a, L>(
    config: &ModelConfig,
    d_out: usize,
    vb: &VarBuilder<'a>,
    make: impl Fn([usize; 2], bool, f32, VarBuilder<'a>) -> Result<L>,
) -> Result<Vec<L>> {
    let first = d_in(config)?;
    let layer = |i: usize| {
        let is_last = i + 1 == config.n_layers();
        let d_in = if i == 0 { first } else { config.d_model() };
        let d_out = if is_last { d_out } else { config.d_model() };
        make(
            [d_in, d_out],
            is_last,
            config.dropout() as f32,
            vb.pp("layers").pp(i),
        )
    };
    (0..config.n_layers()).map(layer).collect()
}
