//! Sines of many wavelengths along rows and columns, added to the input.

use attn_core::{Mask, Position};
use candle_core::{DType, Device, Result, Tensor};

use crate::{Grid, SinusoidalConfig};

/// Adds to a patch at row `y` and column `x` the sines and cosines of `x ωᵢ`, then those
/// of `y ωᵢ`, a quarter of the channels each, where `ωᵢ = base^(−i / (d/4 − 1))`; Beyer
/// et al. 2022, appendix A <https://arxiv.org/abs/2205.01580>.
///
/// A class token stays as it is.
#[derive(Debug)]
pub struct Sinusoidal2d {
    table: Tensor,
}

impl Sinusoidal2d {
    /// Creates the encoding for rows of width `d_model`, a multiple of 4 and at least 8.
    pub fn new(
        config: &SinusoidalConfig,
        grid: Grid,
        d_model: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let quarter = d_model / 4;
        let last = (quarter - 1) as f64;
        let speeds: Vec<f64> = (0..quarter)
            .map(|i| config.base().powf(-(i as f64) / last))
            .collect();
        let mut table = Vec::with_capacity(grid.len() * d_model);
        for place in grid.places() {
            match place {
                None => table.resize(table.len() + d_model, 0.0),
                Some((y, x)) => {
                    for at in [x as f64, y as f64] {
                        table.extend(speeds.iter().map(|speed| (at * speed).sin()));
                        table.extend(speeds.iter().map(|speed| (at * speed).cos()));
                    }
                }
            }
        }
        let table = Tensor::from_vec(table, (grid.len(), d_model), &Device::Cpu)?;
        Ok(Self {
            table: table.to_dtype(dtype)?.to_device(device)?,
        })
    }
}

impl Position for Sinusoidal2d {
    /// # Errors
    ///
    /// If a sequence is longer than the grid.
    fn embed(&self, x: &Tensor, mask: &Mask) -> Result<Tensor> {
        kernels::add(x, &kernels::embedding(mask.positions(), &self.table)?)
    }
}

#[cfg(test)]
mod tests {
    use attn_core::Pattern;

    use super::*;

    const GRID: Grid = Grid {
        height: 2,
        width: 3,
        class_token: true,
    };

    fn encoding() -> Result<Sinusoidal2d> {
        Sinusoidal2d::new(&Default::default(), GRID, 8, DType::F64, &Device::Cpu)
    }

    #[test]
    fn a_patch_gets_the_sines_of_its_column_and_its_row() -> Result<()> {
        let mask = Mask::new(Pattern::Full, [0, 7]).expect("valid walls");
        let zeros = Tensor::zeros((7, 8), DType::F64, &Device::Cpu)?;
        let rows = encoding()?.embed(&zeros, &mask)?.to_vec2::<f64>()?;
        assert_eq!(rows[0], [0.0; 8], "the class token");
        // Row 1, column 2; the speeds are 1 and 1/10,000.
        let (slow_x, slow_y) = (2e-4f64, 1e-4f64);
        let want = [
            2f64.sin(),
            slow_x.sin(),
            2f64.cos(),
            slow_x.cos(),
            1f64.sin(),
            slow_y.sin(),
            1f64.cos(),
            slow_y.cos(),
        ];
        for (got, want) in rows[6].iter().zip(want) {
            assert!((got - want).abs() < 1e-14, "{:?}", rows[6]);
        }
        Ok(())
    }

    #[test]
    fn the_gradient_passes_through() -> Result<()> {
        let (encoding, x) = (encoding()?, testkit::randn(1, (7, 8))?);
        let mask = Mask::new(Pattern::Full, [0, 7]).expect("valid walls");
        let x = candle_core::Var::from_tensor(&x)?;
        testkit::gradcheck(&x, |x| encoding.embed(x, &mask))
    }
}
