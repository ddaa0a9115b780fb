//! What stands between embedding and head, over sequences: one key swaps it.

use attn_core::{Context, Stack};
use candle_core::{Error, Tensor};
use candle_nn::VarBuilder;

use crate::baseline::{Cell, Cnn1d, Cnn1dConfig, Reach, Rnn, RnnConfig};
use crate::stack::stack_config;
use crate::{Activation, Backbone, ConfigError, Modality, ModelConfig};

/// Rows that one convolution covers.
const CNN_WIDTH: usize = 5;

/// The layers that `backbone` names, from packed rows `[n, d_model]` to packed rows
/// `[n, d_model]`.
///
/// Parameters, under the prefix of the builder: those of [`Stack`], [`Rnn`] or [`Cnn1d`].
#[derive(Debug, Clone)]
pub enum Layers {
    /// Blocks of attention.
    Attention(Stack),
    /// Recurrent layers.
    Recurrent(Rnn),
    /// Convolutions.
    Convolutional(Cnn1d),
}

impl Layers {
    /// Creates the layers that `config` asks for, taking their parameters from `vb`.
    ///
    /// # Errors
    ///
    /// If `vb` lacks a parameter or has it in another shape.
    pub fn new(config: &ModelConfig, vb: VarBuilder) -> candle_core::Result<Self> {
        Ok(match LayersConfig::of(config).map_err(Error::wrap)? {
            LayersConfig::Attention => Self::Attention(Stack::new(&stack_config(config)?, vb)?),
            LayersConfig::Recurrent(config) => Self::Recurrent(Rnn::new(&config, vb)?),
            LayersConfig::Convolutional(config) => Self::Convolutional(Cnn1d::new(&config, vb)?),
        })
    }

    /// # Shapes
    ///
    /// - `x`: `[n, d_model]`, the rows of the context's mask
    /// - returns: `[n, d_model]`
    ///
    /// # Errors
    ///
    /// If the mask is over another number of rows.
    pub fn forward(&self, x: &Tensor, context: Context<'_>) -> candle_core::Result<Tensor> {
        let walls = context.mask.cu_seqlens();
        match self {
            Self::Attention(stack) => stack.forward(x, context),
            Self::Recurrent(rnn) => rnn.forward(x, walls, context.pass),
            Self::Convolutional(cnn) => cnn.forward(x, walls, context.pass),
        }
    }

    /// The blocks of attention, if that is what they are, to look at.
    pub fn stack(&self) -> Option<&Stack> {
        match self {
            Self::Attention(stack) => Some(stack),
            Self::Recurrent(_) | Self::Convolutional(_) => None,
        }
    }
}

/// What [`Layers`] are made of.
pub(crate) enum LayersConfig {
    /// Of what [`stack_config`] says.
    Attention,
    Recurrent(RnnConfig),
    Convolutional(Cnn1dConfig),
}

impl LayersConfig {
    /// # Errors
    ///
    /// A backbone that is not for sequences.
    pub(crate) fn of(config: &ModelConfig) -> Result<Self, ConfigError> {
        let (d_model, n_layers) = (config.d_model(), config.n_layers());
        let (backbone, kind) = (config.backbone(), config.kind());
        let reach = Reach::of(config.mask());
        let recurrent = |cell| -> Result<Self, ConfigError> {
            let rnn = RnnConfig::new(cell, d_model, n_layers, reach)?;
            let rnn = rnn.with_bias(config.bias());
            Ok(Self::Recurrent(rnn.with_dropout(config.dropout())?))
        };
        match backbone {
            Backbone::Transformer => Ok(Self::Attention),
            Backbone::Gru => recurrent(Cell::Gru),
            Backbone::Lstm => recurrent(Cell::Lstm),
            Backbone::Cnn if kind.modality() != Modality::Image => {
                let cnn = Cnn1dConfig::new(d_model, n_layers, CNN_WIDTH, reach)?;
                let cnn = cnn.with_bias(config.bias());
                let cnn = cnn.with_activation(activation(config.activation()));
                Ok(Self::Convolutional(cnn.with_dropout(config.dropout())?))
            }
            Backbone::Cnn | Backbone::Gcn | Backbone::Gat | Backbone::Mlp => {
                Err(ConfigError::ForeignBackbone { backbone, kind })
            }
        }
    }
}

/// The non-linearity of a convolution; SwiGLU, which takes two inputs, becomes its SiLU.
pub(crate) fn activation(activation: Activation) -> kernels::Activation {
    match activation {
        Activation::Gelu => kernels::Activation::GeluTanh,
        Activation::GeluErf => kernels::Activation::GeluErf,
        Activation::Silu | Activation::Swiglu => kernels::Activation::Silu,
        Activation::Relu => kernels::Activation::Relu,
    }
}
