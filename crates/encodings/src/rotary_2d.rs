//! Queries and keys turned by their row and column.

use attn_core::{Mask, Position};
use candle_core::{DType, Device, Result, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Grid;
use crate::error::{EncodingError, positive};

/// Speeds of the turns on a grid.
///
/// Valid by construction: `theta` is positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawRotary2dConfig")]
pub struct Rotary2dConfig {
    theta: f64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawRotary2dConfig {
    /// Wavelengths rise from 2π to nearly `theta` · 2π patches.
    theta: f64,
}

impl Default for RawRotary2dConfig {
    fn default() -> Self {
        Self { theta: 100.0 }
    }
}

impl TryFrom<RawRotary2dConfig> for Rotary2dConfig {
    type Error = EncodingError;

    fn try_from(raw: RawRotary2dConfig) -> std::result::Result<Self, EncodingError> {
        Ok(Self {
            theta: positive("theta", raw.theta)?,
        })
    }
}

impl Default for Rotary2dConfig {
    fn default() -> Self {
        let RawRotary2dConfig { theta } = Default::default();
        Self { theta }
    }
}

/// Turns half of the channel pairs of a patch by its column, the other half by its row:
/// pair `i` of each half by `θ^(−i / (d/4))` radians a patch; Heo et al. 2024, §3.1,
/// axial frequencies <https://arxiv.org/abs/2403.13298>.
///
/// So scores depend on the distance along each side alone. A class token is not turned.
#[derive(Debug)]
pub struct Rotary2d {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary2d {
    /// Creates the encoding for heads of `head_dim` channels, a multiple of 4.
    pub fn new(
        config: &Rotary2dConfig,
        grid: Grid,
        head_dim: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let quarter = head_dim / 4;
        let speed = |i: usize| config.theta.powf(-(i as f64) / quarter as f64);
        let speeds: Vec<f64> = (0..quarter).map(speed).collect();
        let mut angles: Vec<f64> = Vec::with_capacity(grid.len() * 2 * quarter);
        for place in grid.places() {
            let (y, x) = place.unwrap_or((0, 0));
            for at in [x as f64, y as f64] {
                angles.extend(speeds.iter().map(|speed| at * speed));
            }
        }
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f64> = angles.iter().copied().map(f).collect();
            Tensor::from_vec(values, (grid.len(), 2 * quarter), &Device::Cpu)?
                .to_dtype(dtype)?
                .to_device(device)
        };
        Ok(Self {
            cos: table(f64::cos)?,
            sin: table(f64::sin)?,
        })
    }
}

impl Position for Rotary2d {
    fn rotate(&self, mask: &Mask) -> Result<Option<attn_core::Rotary>> {
        Ok(Some(attn_core::Rotary {
            cos: self.cos.clone(),
            sin: self.sin.clone(),
            query_positions: mask.positions(),
            key_positions: mask.key_positions(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use attn_core::{Pattern, attend};
    use testkit::randn;

    use super::*;

    const GRID: Grid = Grid {
        height: 4,
        width: 5,
        class_token: false,
    };

    /// What the query at `query` gives, if the only two keys are at `keys`.
    fn read(query: (usize, usize), keys: [(usize, usize); 2]) -> Result<Vec<f64>> {
        let encoding = Rotary2d::new(&Default::default(), GRID, 8, DType::F64, &Device::Cpu)?;
        let at = |(y, x): (usize, usize)| (y * GRID.width + x) as u32;
        let mask = Mask::new(Pattern::Full, [0, 2]).expect("valid walls");
        #[derive(Debug)]
        struct At(attn_core::Rotary);
        impl Position for At {
            fn rotate(&self, _: &Mask) -> Result<Option<attn_core::Rotary>> {
                Ok(Some(self.0.clone()))
            }
        }
        let position = At(attn_core::Rotary {
            query_positions: [at(query); 2].into(),
            key_positions: keys.map(at).into(),
            cos: encoding.cos,
            sin: encoding.sin,
        });
        let row = |seed| randn(seed, (2, 1, 8));
        let y = attend(&row(1)?, &row(2)?, &row(3)?, &mask, &position)?;
        y.get(0)?.flatten_all()?.to_vec1()
    }

    #[test]
    fn what_is_read_depends_on_the_distances_along_each_side_alone() -> Result<()> {
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        let base = read((0, 1), [(1, 0), (2, 3)])?;
        assert!(near(&base, &read((1, 2), [(2, 1), (3, 4)])?), "moved");
        assert!(
            !near(&base, &read((0, 1), [(2, 0), (2, 3)])?),
            "another row"
        );
        assert!(
            !near(&base, &read((0, 1), [(1, 1), (2, 3)])?),
            "another column"
        );
        Ok(())
    }
}
