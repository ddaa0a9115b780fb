//! Sines of many wavelengths, added to the input.

use attn_core::{Mask, Position};
use candle_core::{DType, Device, Result, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{EncodingError, positive};
use crate::grown::Grown;

/// Wavelengths of the sines.
///
/// Valid by construction: `base` is positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawSinusoidalConfig")]
pub struct SinusoidalConfig {
    base: f64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawSinusoidalConfig {
    /// Wavelengths rise from 2π to `base` · 2π positions.
    base: f64,
}

impl Default for RawSinusoidalConfig {
    fn default() -> Self {
        Self { base: 10_000.0 }
    }
}

impl TryFrom<RawSinusoidalConfig> for SinusoidalConfig {
    type Error = EncodingError;

    fn try_from(raw: RawSinusoidalConfig) -> std::result::Result<Self, EncodingError> {
        Ok(Self {
            base: positive("base", raw.base)?,
        })
    }
}

impl SinusoidalConfig {
    /// Ratio of the longest wavelength to the shortest.
    pub fn base(&self) -> f64 {
        self.base
    }
}

impl Default for SinusoidalConfig {
    fn default() -> Self {
        let RawSinusoidalConfig { base } = Default::default();
        Self { base }
    }
}

/// Adds to channel `2i` the sine, to channel `2i + 1` the cosine of `p / base^(2i/d)`;
/// Vaswani et al. 2017, §3.5 <https://arxiv.org/abs/1706.03762>.
#[derive(Debug)]
pub struct Sinusoidal {
    d_model: usize,
    base: f64,
    dtype: DType,
    device: Device,
    table: Grown<Tensor>,
}

impl Sinusoidal {
    /// Creates the encoding for rows of width `d_model`.
    pub fn new(config: &SinusoidalConfig, d_model: usize, dtype: DType, device: &Device) -> Self {
        let device = device.clone();
        Self {
            d_model,
            base: config.base,
            dtype,
            device,
            table: Grown::new(),
        }
    }

    /// `[n, d_model]`
    fn table(&self, n: usize) -> Result<Tensor> {
        let channel = |p: usize, c: usize| {
            let exponent = (c - c % 2) as f64 / self.d_model as f64;
            let angle = p as f64 / self.base.powf(exponent);
            if c.is_multiple_of(2) {
                angle.sin()
            } else {
                angle.cos()
            }
        };
        let rows = (0..n).flat_map(|p| (0..self.d_model).map(move |c| channel(p, c)));
        Tensor::from_vec(rows.collect(), (n, self.d_model), &Device::Cpu)?
            .to_dtype(self.dtype)?
            .to_device(&self.device)
    }
}

impl Position for Sinusoidal {
    fn embed(&self, x: &Tensor, mask: &Mask) -> Result<Tensor> {
        let (_, table) = self.table.up_to(mask.max_len(), |n| self.table(n))?;
        kernels::add(x, &kernels::embedding(mask.positions(), &table)?)
    }
}

#[cfg(test)]
mod tests {
    use attn_core::Pattern;
    use testkit::{assert_close, oracle, randn};

    use super::*;

    #[test]
    fn rows_get_the_sines_of_their_position() -> Result<()> {
        for d_model in [4, 5] {
            let encoding = Sinusoidal::new(&Default::default(), d_model, DType::F64, &Device::Cpu);
            let x = randn(1, (5, d_model))?;
            // The second mask needs a longer table than the first.
            for walls in [[0, 2, 5], [0, 0, 5]] {
                let mask = Mask::new(Pattern::Full, walls).expect("valid walls");
                let sines = oracle::sinusoidal(&mask.positions(), d_model, 10_000.0)?;
                assert_close(&encoding.embed(&x, &mask)?, &(&x + sines)?, 1e-14)?;
            }
        }
        Ok(())
    }

    #[test]
    fn a_distance_is_a_rotation_wherever_it_starts() -> Result<()> {
        let encoding = Sinusoidal::new(&Default::default(), 6, DType::F64, &Device::Cpu);
        let rows = encoding.table(20)?;
        let product = |a: usize, b: usize| -> Result<f64> {
            (rows.get(a)? * rows.get(b)?)?.sum_all()?.to_scalar()
        };
        for distance in 0..5 {
            let near = product(0, distance)?;
            assert!((near - product(14, 14 + distance)?).abs() < 1e-12);
        }
        Ok(())
    }

    #[test]
    fn the_gradient_passes_through() -> Result<()> {
        let encoding = Sinusoidal::new(&Default::default(), 4, DType::F64, &Device::Cpu);
        let mask = Mask::new(Pattern::Full, [0, 3]).expect("valid walls");
        let x = candle_core::Var::from_tensor(&randn(1, (3, 4))?)?;
        testkit::gradcheck(&x, |x| encoding.embed(x, &mask))
    }
}
