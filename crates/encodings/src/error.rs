//! What can be wrong with an encoding.

/// Why an encoding cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// A constant of an encoding must be positive and finite.
    #[error("{key} = {value} is not a positive number")]
    NotPositive {
        /// the key
        key: &'static str,
        /// its value
        value: f64,
    },
    /// Channels cannot be paired.
    #[error("position = \"rotary\" turns pairs of channels, but a head has {head_dim}")]
    OddHead {
        /// channels of a head
        head_dim: usize,
    },
    /// A table needs a length.
    #[error("position = \"learnt\" needs max_seq_len")]
    NoLength,
    /// Rows stand on no grid.
    #[error("position = \"{name}\" is for the patches of images, which stand on a grid")]
    NoGrid {
        /// the encoding
        name: &'static str,
    },
    /// Channels cannot be shared by rows and columns.
    #[error(
        "position = \"{name}\" needs a multiple of 4 channels, at least {least}, not {channels}"
    )]
    Quarters {
        /// the encoding
        name: &'static str,
        /// channels there are
        channels: usize,
        /// channels it needs
        least: usize,
    },
    /// The parameters could not be had.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

pub(crate) fn positive(key: &'static str, value: f64) -> Result<f64, EncodingError> {
    match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(EncodingError::NotPositive { key, value }),
    }
}
