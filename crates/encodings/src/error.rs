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
    /// Scaling that makes sequences shorter.
    #[error("scaling.factor = {factor} shortens sequences; use 1 or more")]
    Shrinks {
        /// how many times longer they become
        factor: f64,
    },
    /// Bounds of a ramp in the wrong order.
    #[error("{high} = {most} is not above {low} = {least}; swap them")]
    BoundsCross {
        /// the key of the lower bound
        low: &'static str,
        /// the lower bound
        least: f64,
        /// the key of the upper bound
        high: &'static str,
        /// the upper bound
        most: f64,
    },
    /// Speeds that do not fall, over which no ramp can go.
    #[error("theta = {theta} does not go with scaling.kind = \"yarn\"; use more than 1")]
    NoRamp {
        /// the base of the speeds
        theta: f64,
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
    /// Nothing to resample, or nothing to resample to.
    #[error("{n} positions cannot become {n_new}; use at least 1 of each")]
    NoRows {
        /// positions there are
        n: usize,
        /// positions asked for
        n_new: usize,
    },
    /// A table that is not that of a grid.
    #[error(
        "{found} positions are not {n_leading} and a grid of {} x {}; name the grid of the table",
        grid.0, grid.1
    )]
    OtherGrid {
        /// rows of the table
        found: usize,
        /// rows before those of the grid
        n_leading: usize,
        /// rows and columns of the grid
        grid: (usize, usize),
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
