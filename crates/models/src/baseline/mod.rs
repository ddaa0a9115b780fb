//! What attention is compared with: recurrent and convolutional backbones.
//!
//! Each stands where a transformer's blocks stand: packed rows `[n, d_model]` go in, rows
//! `[n, d_model]` come out, so that embedding, pooling and head stay the same.
//!
//! - [`Rnn`]: GRU or LSTM layers over sequences, in one direction or both;
//! - [`Cnn1d`]: convolutions over sequences, of one length;
//! - [`Cnn2d`]: convolutions and pooling over images: pixels go in, fewer rows come out,
//!   with walls of their own ([`Maps`]).
//!
//! What a row may know is a [`Reach`], taken from the model's mask; a
//! backbone then reads the walls of a mask and nothing else of it.
//!
//! # Examples
//!
//! ```
//! use attn_core::{Mask, ParamStore, Pass, Pattern};
//! use candle_core::{DType, Device, Tensor};
//! use models::MaskConfig;
//! use models::baseline::{Cell, Reach, Rnn, RnnConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let reach = Reach::of(MaskConfig::Full);
//! let config = RnnConfig::new(Cell::Gru, 16, 2, reach)?.with_dropout(0.1)?;
//! let store = ParamStore::new(1337, DType::F32, &Device::Cpu);
//! let rnn = Rnn::new(&config, store.var_builder())?;
//!
//! // Two sequences, of three rows and of two.
//! let mask = Mask::new(Pattern::Full, [0, 3, 5])?;
//! let x = Tensor::zeros((5, 16), DType::F32, &Device::Cpu)?;
//! let y = rnn.forward(&x, mask.cu_seqlens(), Pass::train(1337, 0))?;
//! assert_eq!(y.dims(), [5, 16]);
//! # Ok(())
//! # }
//! ```

mod cnn1d;
mod cnn2d;
mod rnn;

use crate::{ConfigError, MaskConfig};

pub use kernels::Grid;

pub use cnn1d::{Cnn1d, Cnn1dConfig};
pub use cnn2d::{Cnn2d, Cnn2dConfig, Maps};
pub use rnn::{Cell, Rnn, RnnConfig};

/// Most layers, and widest rows and windows, that a configuration may ask for.
const MOST: usize = 1 << 16;

/// What a row of a sequence may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those before it and itself.
    Past,
    /// All of its sequence.
    Whole,
}

impl Reach {
    /// The whole of a sequence where a row reads some row ahead of it, else what is past.
    pub fn of(mask: MaskConfig) -> Self {
        match mask.reads_ahead() {
            true => Self::Whole,
            false => Self::Past,
        }
    }
}

fn size(key: &'static str, value: usize) -> Result<usize, ConfigError> {
    match (1..=MOST).contains(&value) {
        true => Ok(value),
        false => Err(ConfigError::SizeOutOfRange {
            key,
            value,
            range: 1..=MOST,
        }),
    }
}

fn rate(dropout: f64) -> Result<f64, ConfigError> {
    match (0.0..1.0).contains(&dropout) {
        true => Ok(dropout),
        false => Err(ConfigError::DropoutOutOfRange {
            key: "dropout",
            value: dropout,
        }),
    }
}
