//! First values of weights, as in GPT-2.

use candle_nn::Init;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, positive};

/// Spread of the first values of weights; biases start at zero.
///
/// GPT-2 (Radford et al. 2019, §2.3) draws weights from a normal distribution of
/// standard deviation 0.02 and makes those that write to the residual stream smaller
/// by `1/√N`, where `N` is how often a model of that depth writes to it: twice a block.
///
/// Valid by construction: both deviations are positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawWeightInit")]
pub struct WeightInit {
    stdev: f64,
    n_writes: usize,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawWeightInit {
    /// Standard deviation of the first values.
    stdev: f64,
    /// How often the model writes to the residual stream; the matrices that do so
    /// start smaller by the square root of it.
    n_writes: usize,
}

impl Default for RawWeightInit {
    fn default() -> Self {
        Self {
            stdev: 0.02,
            n_writes: 1,
        }
    }
}

impl TryFrom<RawWeightInit> for WeightInit {
    type Error = ConfigError;

    fn try_from(raw: RawWeightInit) -> Result<Self, ConfigError> {
        let RawWeightInit { stdev, n_writes } = raw;
        if n_writes == 0 {
            return Err(ConfigError::Zero { key: "n_writes" });
        }
        Ok(Self {
            stdev: positive("stdev", stdev)?,
            n_writes,
        })
    }
}

impl Default for WeightInit {
    fn default() -> Self {
        let RawWeightInit { stdev, n_writes } = RawWeightInit::default();
        Self { stdev, n_writes }
    }
}

impl WeightInit {
    /// Draws weights with standard deviation `stdev`, all alike.
    ///
    /// # Errors
    ///
    /// If `stdev` is not a positive number.
    pub fn new(stdev: f64) -> Result<Self, ConfigError> {
        RawWeightInit {
            stdev,
            ..Default::default()
        }
        .try_into()
    }

    /// Makes the weights that write to the residual stream fit a model of `n_layers`
    /// blocks, each of which writes twice.
    #[must_use]
    pub fn for_depth(self, n_layers: usize) -> Self {
        Self {
            n_writes: n_layers.saturating_mul(2).max(1),
            ..self
        }
    }

    /// First values of a weight.
    pub fn weight(self) -> Init {
        Init::Randn {
            mean: 0.0,
            stdev: self.stdev,
        }
    }

    /// First values of a weight that writes to the residual stream.
    pub fn residual_weight(self) -> Init {
        Init::Randn {
            mean: 0.0,
            stdev: self.stdev / (self.n_writes as f64).sqrt(),
        }
    }
}
