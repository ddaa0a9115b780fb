//! A transformer whose nodes attend along edges.

use attn_core::input::Graphs;
use attn_core::{
    BlockMemory, Context, Dropout, Linear, Mask, Norm, NormOrder, Pass, Pattern, Position, Stack,
};
use candle_core::{Device, Error, Result, Tensor};
use candle_nn::VarBuilder;

use super::block::Both;
use super::features::FeatureDropout;
use super::inputs::{Widths, feature_dropout};
use crate::first_weights::first_weights;
use crate::stack::stack_config;
use crate::{MaskConfig, ModelConfig};

/// Embedding of nodes and places, blocks.
///
/// Parameters, under the prefix of the builder: `embed`, `[d_model, n_features]`;
/// `structure`, `[d_model, n_structure]`, if there are places; `blocks.0`, `blocks.1`, …;
/// `norm` in a pre-norm model.
#[derive(Debug, Clone)]
pub(super) struct Transformer {
    embed: Linear,
    structure: Option<Linear>,
    feature_dropout: FeatureDropout,
    dropout: Dropout,
    blocks: Blocks,
    widths: Widths,
    device: Device,
}

#[derive(Debug, Clone)]
enum Blocks {
    /// Along edges.
    Along(Stack),
    /// Everywhere in a graph.
    Everywhere(Stack),
    /// Both at once.
    Both(Vec<Both>, Option<Norm>, BlockMemory),
}

/// What is known of edges, for every layer.
#[derive(Debug)]
struct EdgeFeatures(Option<Tensor>);

impl Position for EdgeFeatures {
    fn edge_features(&self, _: &Mask) -> Result<Option<Tensor>> {
        Ok(self.0.clone())
    }
}

impl Transformer {
    pub(super) fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let widths = Widths::of(config)?;
        let (d_model, init) = (config.d_model(), first_weights(config));
        let linear = |d_in, bias, name: &str| Linear::new(d_in, d_model, bias, init, vb.pp(name));
        let stack = stack_config(config)?;
        let global = config.graph().is_some_and(|graph| graph.global());
        let blocks = match (config.mask(), global) {
            (MaskConfig::Edges, false) => Blocks::Along(Stack::new(&stack, vb.clone())?),
            (MaskConfig::Edges, true) => {
                let everywhere = stack_config(&config.with_mask(MaskConfig::Full))?;
                let block = |i: usize| Both::new(&stack, &everywhere, vb.pp("blocks").pp(i));
                let blocks = (0..stack.n_layers()).map(block).collect::<Result<_>>()?;
                let norm = match stack.block().order() {
                    NormOrder::Pre => {
                        Some(Norm::new(stack.block().norm(), d_model, vb.pp("norm"))?)
                    }
                    NormOrder::Post => None,
                };
                Blocks::Both(blocks, norm, stack.memory())
            }
            _ => Blocks::Everywhere(Stack::new(&stack, vb.clone())?),
        };
        let embed = linear(widths.features, config.bias(), "embed")?;
        Ok(Self {
            device: embed.weight().device().clone(),
            embed,
            structure: match widths.structure {
                0 => None,
                width => Some(linear(width, false, "structure")?),
            },
            feature_dropout: FeatureDropout::new(feature_dropout(config, 0.0), &vb.pp("features")),
            dropout: Dropout::new(config.dropout() as f32, &vb.pp("embed")),
            blocks,
            widths,
        })
    }

    /// # Shapes
    ///
    /// - `graphs`: `n` nodes, in the walls of `walls`
    /// - returns: `[n, d_model]`
    pub(super) fn forward(&self, graphs: &Graphs, walls: &Mask, pass: Pass) -> Result<Tensor> {
        self.widths.check(graphs)?;
        let dtype = self.embed.weight().dtype();
        let rows = |rows: &attn_core::input::Rows| rows.to_tensor(&self.device)?.to_dtype(dtype);
        let features = self
            .feature_dropout
            .forward(&graphs.nodes, pass, dtype, &self.device)?;
        let x = features.map(&self.embed)?;
        let x = match (&self.structure, &graphs.structure) {
            (Some(map), Some(places)) => map.forward_with(&rows(places)?, None, Some(&x))?,
            _ => x,
        };
        let x = self.dropout.forward(&x, None, pass)?;

        if let Blocks::Everywhere(stack) = &self.blocks {
            let context = Context {
                mask: walls,
                position: &attn_core::NoPosition,
                pass,
            };
            return stack.forward(&x, context);
        }
        let pattern = Pattern::Edges(graphs.edges.clone());
        let mask = Mask::new(pattern, walls.cu_seqlens().clone()).map_err(Error::wrap)?;
        let position = EdgeFeatures(graphs.edge_features.as_ref().map(rows).transpose()?);
        let context = Context {
            mask: &mask,
            position: &position,
            pass,
        };
        match &self.blocks {
            Blocks::Along(stack) | Blocks::Everywhere(stack) => stack.forward(&x, context),
            Blocks::Both(blocks, norm, memory) => {
                let run = |x: Tensor, block: &Both| {
                    let walls = walls.clone();
                    let forward = move |block: &Both, x: &Tensor, along: Context<'_>| {
                        block.forward(x, along, &walls)
                    };
                    memory.run(block, &x, context, forward)
                };
                let x = blocks.iter().try_fold(x, run)?;
                match norm {
                    Some(norm) => norm.forward_with(&x, None),
                    None => Ok(x),
                }
            }
        }
    }

    /// The blocks, to look at, where they are a stack.
    pub(super) fn stack(&self) -> Option<&Stack> {
        match &self.blocks {
            Blocks::Along(stack) | Blocks::Everywhere(stack) => Some(stack),
            Blocks::Both(..) => None,
        }
    }
}
