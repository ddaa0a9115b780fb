//! Convolutions and pooling over images.

use std::sync::Arc;

use attn_core::{Dropout, Linear, Norm, NormConfig, NormKind, Pass};
use candle_core::Tensor;
use candle_nn::init::DEFAULT_KAIMING_NORMAL;
use candle_nn::{Module, VarBuilder};
use kernels::{Activation, Grid, Window, WindowPool, Windows};

use super::{rate, size};
use crate::ConfigError;

/// Narrowest layer, where `d_model` is no narrower.
const NARROWEST: usize = 8;

/// Sizes of a [`Cnn2d`].
///
/// Valid by construction: sizes are positive and within reason, the dropout is in
/// `[0, 1)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cnn2dConfig {
    channels: usize,
    d_model: usize,
    n_layers: usize,
    width: usize,
    dropout: f64,
    bias: bool,
    norm: NormConfig,
    activation: Activation,
}

impl Cnn2dConfig {
    /// `n_layers` convolutions of `width × width` pixels, which read `channels` numbers a
    /// pixel and double their width up to `d_model`; with layer norms, ReLU and biases.
    ///
    /// # Errors
    ///
    /// If a size is 0 or beyond reason.
    pub fn new(
        channels: usize,
        d_model: usize,
        n_layers: usize,
        width: usize,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            channels: size("channels", channels)?,
            d_model: size("d_model", d_model)?,
            n_layers: size("n_layers", n_layers)?,
            width: size("width", width)?,
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
        let biases = if self.bias { 3 } else { 1 }; // with those of the norms, and their scale
        let of_layer = |(d_in, d_out): (u64, u64)| self.n_taps() * d_in * d_out + biases * d_out;
        self.widths().map(of_layer).sum()
    }

    /// Multiply-adds of one image of `grid`'s size in all matrices.
    pub fn n_multiplications(&self, grid: Grid) -> u64 {
        let mut grid = grid;
        let of_layer = |(i, (d_in, d_out)): (usize, (u64, u64))| {
            let pixels = grid.len() as u64;
            if i + 1 < self.n_layers {
                grid = halved(grid);
            }
            pixels * self.n_taps() * d_in * d_out
        };
        self.widths().enumerate().map(of_layer).sum()
    }

    fn n_taps(&self) -> u64 {
        (self.width * self.width) as u64
    }

    /// Width of what a layer reads and of what it gives.
    fn widths(&self) -> impl Iterator<Item = (u64, u64)> {
        let Self {
            channels,
            d_model,
            n_layers,
            ..
        } = *self;
        let of_layer = move |i: usize| {
            let halvings = (n_layers - 1 - i).min(usize::BITS as usize - 1);
            (d_model >> halvings).max(NARROWEST.min(d_model))
        };
        (0..n_layers).map(move |i| {
            let d_in = i.checked_sub(1).map_or(channels, of_layer);
            (d_in as u64, of_layer(i) as u64)
        })
    }
}

/// What a [`Cnn2d`] makes of a batch of images.
#[derive(Debug, Clone)]
pub struct Maps {
    /// `[n_images · grid.len(), d_model]`
    pub rows: Tensor,
    /// Size of one image's maps.
    pub grid: Grid,
    /// The walls between the images, `[n_images + 1]`.
    pub cu_seqlens: Arc<[u32]>,
}

/// Convolutions that see ever larger parts of an image, as in VGG: each is followed by a
/// norm over its channels and a non-linearity, and all but the last by the maximum of
/// every 2 × 2 pixels. Simonyan & Zisserman 2015 <https://arxiv.org/abs/1409.1556>, with
/// layer norms, so that no image of a batch sees another.
///
/// Parameters, under the prefix of the builder: `blocks.i.conv`, whose weight is
/// `[d_out, width · width · d_in]`, line by line; `blocks.i.norm`.
#[derive(Debug, Clone)]
pub struct Cnn2d {
    width: usize,
    activation: Activation,
    layers: Vec<Layer>,
}

#[derive(Debug, Clone)]
struct Layer {
    conv: Linear,
    norm: Norm,
    dropout: Dropout,
}

impl Cnn2d {
    /// Creates the layers, taking their parameters from `vb`.
    pub fn new(config: &Cnn2dConfig, vb: VarBuilder) -> candle_core::Result<Self> {
        let layer = |(i, (d_in, d_out)): (usize, (u64, u64))| {
            let vb = vb.pp("blocks").pp(i);
            let (d_in, d_out) = ((config.n_taps() * d_in) as usize, d_out as usize);
            let init = DEFAULT_KAIMING_NORMAL;
            Ok(Layer {
                conv: Linear::new(d_in, d_out, config.bias, init, vb.pp("conv"))?,
                norm: Norm::new(&config.norm, d_out, vb.pp("norm"))?,
                dropout: Dropout::new(config.dropout as f32, &vb),
            })
        };
        Ok(Self {
            width: config.width,
            activation: config.activation,
            layers: config
                .widths()
                .enumerate()
                .map(layer)
                .collect::<candle_core::Result<_>>()?,
        })
    }

    /// # Shapes
    ///
    /// - `x`: `[n_images · grid.len(), channels]`, the pixels of the images, line by line
    /// - returns: [`Maps`], rows `[n, d_model]`
    ///
    /// # Errors
    ///
    /// If there are not so many pixels.
    pub fn forward(
        &self,
        x: &Tensor,
        n_images: usize,
        grid: Grid,
        pass: Pass,
    ) -> candle_core::Result<Maps> {
        let (mut x, mut grid) = (x.clone(), grid);
        let mut windows = None;
        let around = Window::around(self.width, 1);
        for (i, layer) in self.layers.iter().enumerate() {
            let over = Windows::over_grid(n_images, grid, around, around)?;
            let y = layer
                .conv
                .forward_with(&kernels::unfold(&x, &over)?, None, None)?;
            let y = kernels::activate(&layer.norm.forward(&y)?, self.activation)?;
            x = layer.dropout.forward(&y, None, pass)?;
            windows = Some(over);
            if i + 1 < self.layers.len() {
                let pairs = |n: usize| Window::inside(n.min(2), n.min(2));
                let (down, across) = (pairs(grid.height), pairs(grid.width));
                let squares = Windows::over_grid(n_images, grid, down, across)?;
                x = kernels::window_pool(&x, &squares, WindowPool::Max)?;
                grid = halved(grid);
            }
        }
        let windows = windows.expect("a configuration has a layer at least");
        Ok(Maps {
            rows: x,
            grid,
            cu_seqlens: windows.cu_seqlens(),
        })
    }
}

/// The size that pooling leaves.
fn halved(grid: Grid) -> Grid {
    let half = |n: usize| if n < 2 { n } else { n / 2 };
    Grid {
        height: half(grid.height),
        width: half(grid.width),
    }
}
