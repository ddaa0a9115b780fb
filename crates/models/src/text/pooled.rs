//! One vector of each text.

use std::sync::Arc;

use attn_core::{Dropout, Linear, Mask, Pass, Pattern, Stack};
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use kernels::{Activation, Pool};

use super::trunk::Trunk;
use crate::ModelConfig;
use crate::first_weights::first_weights;

/// Blocks, one vector a text and, if there is one, a pooler.
///
/// Parameters, under the prefix of the builder: those of the embedding and of the layers;
/// `pooler.weight`, `[d_model, d_model]`, and, with biases, `pooler.bias`, `[d_model]`.
#[derive(Debug, Clone)]
pub(super) struct Pooled {
    trunk: Trunk,
    pool: Pool,
    pooler: Option<Pooler>,
}

/// `tanh(x Wᵀ + b)`, then dropout: what BERT puts before its classifier (Devlin et al. 2018
/// <https://arxiv.org/abs/1810.04805>; the layer is in its code, not in its paper).
#[derive(Debug, Clone)]
struct Pooler {
    dense: Linear,
    dropout: Dropout,
}

impl Pooled {
    /// # Errors
    ///
    /// If `config` is of a kind that does not pool, a size is still left to the data, or
    /// `vb` lacks a parameter or has it in another shape.
    pub(super) fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let Some(pooling) = config.pooling() else {
            bail!("kind = \"{}\" makes no vector of a text", config.kind());
        };
        Ok(Self {
            trunk: Trunk::new(config, vb.clone())?,
            pool: pooling.into(),
            pooler: match config.pooler() {
                true => Some(Pooler::new(config, vb.pp("pooler"))?),
                false => None,
            },
        })
    }

    /// # Shapes
    ///
    /// - `tokens`: `[n]`, the packed texts of `mask`, none of them empty
    /// - returns: `[batch, d_model]`
    pub(super) fn forward(&self, tokens: Arc<[u32]>, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let x = self.trunk.forward(tokens, mask, pass)?;
        let x = kernels::segment_pool(&x, mask.cu_seqlens().clone(), self.pool)?;
        match &self.pooler {
            Some(pooler) => pooler.forward(&x, pass),
            None => Ok(x),
        }
    }

    pub(super) fn pattern(&self) -> &Pattern {
        self.trunk.pattern()
    }

    pub(super) fn max_seq_len(&self) -> usize {
        self.trunk.max_seq_len()
    }

    pub(super) fn stack(&self) -> Option<&Stack> {
        self.trunk.stack()
    }
}

impl Pooler {
    fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let d_model = config.d_model();
        Ok(Self {
            dropout: Dropout::new(config.dropout() as f32, &vb),
            dense: Linear::new(d_model, d_model, config.bias(), first_weights(config), vb)?,
        })
    }

    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let x = self.dense.forward_with(x, Some(Activation::Tanh), None)?;
        self.dropout.forward(&x, None, pass)
    }
}
