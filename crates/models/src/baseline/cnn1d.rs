//! Convolutions over sequences.

use std::sync::Arc;

use attn_core::{Dropout, Linear, Norm, NormConfig, NormKind, Pass};
use candle_core::Tensor;
use candle_nn::init::DEFAULT_KAIMING_NORMAL;
use candle_nn::{Module, VarBuilder};
use kernels::{Activation, Window, Windows};

use super::{Reach, rate, size};
use crate::ConfigError;

/// Sizes of a [`Cnn1d`].
///
/// Valid by construction: sizes are positive and within reason, the dropout is in
/// `[0, 1)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cnn1dConfig {
    d_model: usize,
    n_layers: usize,
    width: usize,
    reach: Reach,
    dropout: f64,
    bias: bool,
    norm: NormConfig,
    activation: Activation,
}

impl Cnn1dConfig {
    /// `n_layers` convolutions of `width` rows each, around every row, or with
    /// [`Reach::Past`] of it and those before it; pre-norm, with ReLU and biases.
    ///
    /// # Errors
    ///
    /// If a size is 0 or beyond reason.
    pub fn new(
        d_model: usize,
        n_layers: usize,
        width: usize,
        reach: Reach,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            d_model: size("d_model", d_model)?,
            n_layers: size("n_layers", n_layers)?,
            width: size("width", width)?,
            reach,
            dropout: 0.0,
            bias: true,
            norm: NormConfig::new(NormKind::Layer),
            activation: Activation::Relu,
        })
    }

    /// The same with elements dropped after each convolution.
    ///
    /// # Errors
    ///
    /// If `dropout` is not in `[0, 1)`.
    pub fn with_dropout(self, dropout: f64) -> Result<Self, ConfigError> {
        Ok(Self {
            dropout: rate(dropout)?,
            ..self
        })
    }

    /// The same with or without biases, in the norms too.
    #[must_use]
    pub fn with_bias(self, bias: bool) -> Self {
        let norm = self.norm.with_bias(bias);
        Self { bias, norm, ..self }
    }

    /// The same with another non-linearity.
    #[must_use]
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Numbers that the layers learn.
    pub fn n_params(&self) -> u64 {
        let (d, layers) = (self.d_model as u64, self.n_layers as u64);
        let (biases, of_norm) = if self.bias { (d, 2 * d) } else { (0, d) };
        layers * (self.width as u64 * d * d + biases + of_norm) + of_norm
    }

    /// Multiply-adds of one row in all matrices.
    pub fn n_matrix_params(&self) -> u64 {
        let d = self.d_model as u64;
        self.n_layers as u64 * self.width as u64 * d * d
    }

    /// Numbers kept of one row until the backward pass, and those in flight in it.
    pub fn n_activations(&self) -> u64 {
        // Normalised, unfolded, before and after the non-linearity; the widest gradient.
        let of_layer = (self.width + 4) * self.d_model;
        (self.n_layers * of_layer + 2 * self.width * self.d_model) as u64
    }
}

/// Residual convolutions over sequences that keep their length: `x + f(conv(norm(x)))`,
/// and a last norm.
///
/// A row knows `n_layers · (width − 1)` rows beside its own. Nothing is read across the
/// walls.
///
/// Parameters, under the prefix of the builder: `blocks.i.norm` and `blocks.i.conv`, whose
/// weight is `[d_model, width · d_model]`, the first position first; `norm`.
#[derive(Debug, Clone)]
pub struct Cnn1d {
    window: Window,
    activation: Activation,
    layers: Vec<Layer>,
    norm: Norm,
}

#[derive(Debug, Clone)]
struct Layer {
    norm: Norm,
    conv: Linear,
    dropout: Dropout,
    drops: bool,
}

impl Cnn1d {
    /// Creates the layers, taking their parameters from `vb`.
    pub fn new(config: &Cnn1dConfig, vb: VarBuilder) -> candle_core::Result<Self> {
        let Cnn1dConfig {
            d_model,
            n_layers,
            width,
            reach,
            dropout,
            bias,
            norm,
            activation,
        } = *config;
        let layer = |i: usize| {
            let vb = vb.pp("blocks").pp(i);
            let init = DEFAULT_KAIMING_NORMAL;
            Ok(Layer {
                norm: Norm::new(&norm, d_model, vb.pp("norm"))?,
                conv: Linear::new(width * d_model, d_model, bias, init, vb.pp("conv"))?,
                dropout: Dropout::new(dropout as f32, &vb),
                drops: dropout > 0.0,
            })
        };
        Ok(Self {
            window: match reach {
                Reach::Whole => Window::around(width, 1),
                Reach::Past => Window::past(width, 1),
            },
            activation,
            layers: (0..n_layers)
                .map(layer)
                .collect::<candle_core::Result<_>>()?,
            norm: Norm::new(&norm, d_model, vb.pp("norm"))?,
        })
    }

    /// # Shapes
    ///
    /// - `x`: `[n, d_model]`
    /// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
    /// - returns: `[n, d_model]`
    ///
    /// # Errors
    ///
    /// If the walls do not enclose the rows.
    pub fn forward(
        &self,
        x: &Tensor,
        cu_seqlens: &Arc<[u32]>,
        pass: Pass,
    ) -> candle_core::Result<Tensor> {
        let windows = Windows::over_segments(cu_seqlens.clone(), self.window)?;
        let mut x = x.clone();
        for layer in &self.layers {
            let rows = kernels::unfold(&layer.norm.forward(&x)?, &windows)?;
            // One node where nothing is dropped.
            let dropped = pass.is_training() && layer.drops;
            let residual = (!dropped).then_some(&x);
            let y = layer
                .conv
                .forward_with(&rows, Some(self.activation), residual)?;
            x = match dropped {
                true => layer.dropout.forward(&y, Some(&x), pass)?,
                false => y,
            };
        }
        self.norm.forward(&x)
    }
}
