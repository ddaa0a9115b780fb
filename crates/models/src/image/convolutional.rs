//! Pixels of images through convolutions.

use std::sync::Arc;

use attn_core::Pass;
use attn_core::input::Images;
use candle_core::{Error, Result, Tensor};
use candle_nn::VarBuilder;
use kernels::Grid;

use super::patches::Patches;
use crate::baseline::{Cnn2d, Cnn2dConfig, Maps};
use crate::{ConfigError, ImageConfig, ModelConfig};

/// Pixels that one convolution covers, each way.
const WIDTH: usize = 3;

/// What attention over patches is compared with; the pixels go in one by one.
///
/// Parameters, under the prefix of the builder: those of [`Cnn2d`].
#[derive(Debug, Clone)]
pub(super) struct Convolutional {
    pixels: Patches,
    grid: Grid,
    cnn: Cnn2d,
}

/// The convolutions that `config`, a model of images, asks for.
///
/// # Errors
///
/// A size that is left to the data.
pub(crate) fn cnn_config(
    config: &ModelConfig,
    image: &ImageConfig,
) -> std::result::Result<Cnn2dConfig, ConfigError> {
    let channels = image.shape()?.channels;
    let cnn = Cnn2dConfig::new(channels, config.d_model(), config.n_layers(), WIDTH)?;
    let cnn = cnn.with_bias(config.bias());
    let cnn = cnn.with_activation(crate::layers::activation(config.activation()));
    cnn.with_dropout(config.dropout())
}

impl Convolutional {
    pub(super) fn new(config: &ModelConfig, image: &ImageConfig, vb: VarBuilder) -> Result<Self> {
        let shape = image.shape().map_err(Error::wrap)?;
        let cnn = cnn_config(config, image).map_err(Error::wrap)?;
        Ok(Self {
            pixels: Patches::new(image, 1, vb.dtype(), vb.device())?,
            grid: Grid {
                height: shape.height,
                width: shape.width,
            },
            cnn: Cnn2d::new(&cnn, vb)?,
        })
    }

    /// # Shapes
    ///
    /// - `images`: `[batch, height, width, channels]`
    /// - returns: `[n, d_model]`, and the walls between the images
    pub(super) fn forward(&self, images: &Images, pass: Pass) -> Result<(Tensor, Arc<[u32]>)> {
        let pixels = self.pixels.rows(images)?;
        let Maps {
            rows, cu_seqlens, ..
        } = self.cnn.forward(&pixels, images.len(), self.grid, pass)?;
        Ok((rows, cu_seqlens))
    }
}
