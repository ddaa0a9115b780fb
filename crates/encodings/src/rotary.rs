//! Queries and keys turned by their position.

use attn_core::{Mask, Position};
use candle_core::{DType, Device, Result, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{EncodingError, positive};
use crate::grown::Grown;
use crate::scaling::{RotaryScaling, plain_speeds};

/// Speeds of the turns.
///
/// Valid by construction: `theta` is positive and finite, and goes with `scaling`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawRotaryConfig")]
pub struct RotaryConfig {
    theta: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scaling: Option<RotaryScaling>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawRotaryConfig {
    /// Wavelengths rise from 2π to nearly `theta` · 2π positions.
    theta: f64,
    /// How sequences longer than those of the training are read; as they are if absent.
    scaling: Option<RotaryScaling>,
}

impl Default for RawRotaryConfig {
    fn default() -> Self {
        Self {
            theta: 10_000.0,
            scaling: None,
        }
    }
}

impl TryFrom<RawRotaryConfig> for RotaryConfig {
    type Error = EncodingError;

    fn try_from(raw: RawRotaryConfig) -> std::result::Result<Self, EncodingError> {
        let theta = positive("theta", raw.theta)?;
        let scaling = raw
            .scaling
            .map(|scaling| scaling.check(theta))
            .transpose()?;
        Ok(Self { theta, scaling })
    }
}

impl Default for RotaryConfig {
    fn default() -> Self {
        let RawRotaryConfig { theta, scaling } = Default::default();
        Self { theta, scaling }
    }
}

impl RotaryConfig {
    /// How sequences longer than those of the training are read.
    pub fn scaling(&self) -> Option<RotaryScaling> {
        self.scaling
    }
}

/// Turns channel pair `i` of queries and keys at position `p` by `p θ^(−2i/d)` radians,
/// so that scores depend on distances alone; Su et al. 2021, §3.4
/// <https://arxiv.org/abs/2104.09864>.
///
/// With [`RotaryScaling`] the speeds are others, and cosines and sines may be multiplied by a
/// factor.
///
/// Channel `i` of a head is paired with channel `i + d/2`, as in Llama.
#[derive(Debug)]
pub struct Rotary {
    config: RotaryConfig,
    head_dim: usize,
    dtype: DType,
    device: Device,
    tables: Grown<(Tensor, Tensor)>,
}

impl Rotary {
    /// Creates the encoding for heads of `head_dim` channels.
    ///
    /// # Errors
    ///
    /// If `head_dim` is odd.
    pub fn new(
        config: &RotaryConfig,
        head_dim: usize,
        dtype: DType,
        device: &Device,
    ) -> std::result::Result<Self, EncodingError> {
        if !head_dim.is_multiple_of(2) {
            return Err(EncodingError::OddHead { head_dim });
        }
        let device = device.clone();
        Ok(Self {
            config: *config,
            head_dim,
            dtype,
            device,
            tables: Grown::new(),
        })
    }

    /// Cosines and sines, `[n, head_dim / 2]` each.
    fn tables(&self, n: usize) -> Result<(Tensor, Tensor)> {
        let half = self.head_dim / 2;
        let RotaryConfig { theta, scaling } = self.config;
        let (speeds, factor) = match scaling {
            Some(scaling) => (
                scaling.speeds(theta, self.head_dim),
                scaling.attention_factor(),
            ),
            None => (plain_speeds(theta, self.head_dim).collect(), 1.0),
        };
        let table = |f: fn(f64) -> f64| {
            let angles = (0..n).flat_map(|p| speeds.iter().map(move |speed| p as f64 * speed));
            let values = angles.map(|angle| factor * f(angle)).collect();
            Tensor::from_vec(values, (n, half), &Device::Cpu)?
                .to_dtype(self.dtype)?
                .to_device(&self.device)
        };
        Ok((table(f64::cos)?, table(f64::sin)?))
    }
}

impl Position for Rotary {
    fn rotate(&self, mask: &Mask) -> Result<Option<attn_core::Rotary>> {
        let (_, (cos, sin)) = self.tables.up_to(mask.max_len(), |n| self.tables(n))?;
        let (query_positions, key_positions) = (mask.positions(), mask.key_positions());
        Ok(Some(attn_core::Rotary {
            cos,
            sin,
            query_positions,
            key_positions,
        }))
    }
}
