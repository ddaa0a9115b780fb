//! Layers that see no edge: what the features of a node tell by themselves.

use attn_core::{Dropout, Linear, Pass};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use kernels::Activation;

use super::inputs::glorot;

/// `relu(x Wᵀ + b)`; a last layer bends nothing.
///
/// Parameters, under the prefix of the builder: `weight`, `[d_out, d_in]`, `bias`.
#[derive(Debug, Clone)]
pub(super) struct MlpLayer {
    map: Linear,
    dropout: Dropout,
    is_last: bool,
}

impl MlpLayer {
    /// `dropout` is the share of the input that is dropped.
    pub(super) fn new(
        [d_in, d_out]: [usize; 2],
        is_last: bool,
        dropout: f32,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            map: Linear::new(d_in, d_out, true, glorot(d_in, d_out), vb.clone())?,
            dropout: Dropout::new(dropout, &vb.pp("input")),
            is_last,
        })
    }

    /// The linear map of the layer.
    pub(super) fn map(&self) -> &Linear {
        &self.map
    }

    /// # Shapes
    ///
    /// - `x`: `[n, d_in]`
    /// - returns: `[n, d_out]`
    pub(super) fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let x = self.dropout.forward(x, None, pass)?;
        self.bend(&self.map.forward_with(&x, None, None)?)
    }

    /// What the layer makes of rows that its map has made.
    ///
    /// # Shapes
    ///
    /// - `x`, returns: `[n, d_out]`
    pub(super) fn bend(&self, x: &Tensor) -> Result<Tensor> {
        match self.is_last {
            true => Ok(x.clone()),
            false => kernels::activate(x, Activation::Relu),
        }
    }
}
