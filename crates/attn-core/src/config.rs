//! What can be wrong with the configuration of a layer, and the checks that are
//! common to several.

/// Widest residual stream or head layout that is taken for a meant one.
const MAX_WIDTH: usize = 1 << 16;
/// Widest inner layer that is taken for a meant one.
const MAX_D_FF: usize = 1 << 18;
/// Deepest stack that is taken for a meant one.
const MAX_LAYERS: usize = 1 << 12;

/// Why numbers do not describe a layer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A size is zero.
    #[error("{key} = 0; it must be at least 1")]
    Zero {
        /// the key
        key: &'static str,
    },
    /// A size is beyond reason.
    #[error("{key} = {value} is more than {max}")]
    TooLarge {
        /// the key
        key: &'static str,
        /// its value
        value: usize,
        /// the greatest value allowed
        max: usize,
    },
    /// The channels cannot be shared out to the heads.
    #[error("d_model = {d_model} is not a multiple of n_heads = {n_heads}")]
    HeadsDoNotDivide {
        /// width of the residual stream
        d_model: usize,
        /// query heads
        n_heads: usize,
    },
    /// Query heads cannot be grouped evenly.
    #[error("n_heads = {n_heads} is not a multiple of n_kv_heads = {n_kv_heads}")]
    KvHeadsDoNotDivide {
        /// query heads
        n_heads: usize,
        /// key and value heads
        n_kv_heads: usize,
    },
    /// A rate of dropout is not a probability below one.
    #[error("{key} = {value} is not in [0, 1)")]
    DropoutOutOfRange {
        /// the key
        key: &'static str,
        /// its value
        value: f32,
    },
    /// A number must be positive and finite.
    #[error("{key} = {value} is not a positive number")]
    NotPositive {
        /// the key
        key: &'static str,
        /// its value
        value: f64,
    },
    /// Two layers of one block disagree on the width of the stream.
    #[error("attention has d_model = {attention}, the feed-forward layer {mlp}")]
    WidthsDiffer {
        /// width of the attention layer
        attention: usize,
        /// width of the feed-forward layer
        mlp: usize,
    },
}

pub(crate) fn width(key: &'static str, value: usize) -> Result<usize, ConfigError> {
    within(key, value, MAX_WIDTH)
}

pub(crate) fn inner_width(key: &'static str, value: usize) -> Result<usize, ConfigError> {
    within(key, value, MAX_D_FF)
}

pub(crate) fn depth(key: &'static str, value: usize) -> Result<usize, ConfigError> {
    within(key, value, MAX_LAYERS)
}

pub(crate) fn probability(key: &'static str, value: f32) -> Result<f32, ConfigError> {
    match (0.0..1.0).contains(&value) {
        true => Ok(value),
        false => Err(ConfigError::DropoutOutOfRange { key, value }),
    }
}

pub(crate) fn positive(key: &'static str, value: f64) -> Result<f64, ConfigError> {
    match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(ConfigError::NotPositive { key, value }),
    }
}

fn within(key: &'static str, value: usize, max: usize) -> Result<usize, ConfigError> {
    match value {
        0 => Err(ConfigError::Zero { key }),
        value if value > max => Err(ConfigError::TooLarge { key, value, max }),
        value => Ok(value),
    }
}
