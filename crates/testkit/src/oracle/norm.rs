//! Normalisation of each row.

use candle_core::{Result, Tensor};

use super::rows::{rows, tensor, vector};

/// `γ ⊙ (x − mean) / √(variance + ε) + β`, row by row, with the biased variance;
/// Ba et al. 2016 <https://arxiv.org/abs/1607.06450>.
///
/// # Shapes
///
/// - `x`: `[n, d]`
/// - `gamma`, `beta`: `[d]`
/// - returns: `[n, d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn layer_norm(x: &Tensor, gamma: &Tensor, beta: Option<&Tensor>, eps: f64) -> Result<Tensor> {
    let gamma = vector(gamma)?;
    let d = gamma.len();
    let beta = beta.map_or_else(|| Ok(vec![0.0; d]), vector)?;
    let mut y = rows(x)?;
    for row in &mut y {
        let mean = row.iter().sum::<f64>() / d as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
        for (c, x) in row.iter_mut().enumerate() {
            *x = gamma[c] * (*x - mean) / (variance + eps).sqrt() + beta[c];
        }
    }
    tensor(&y, d)
}

/// `γ ⊙ x / √(mean(x²) + ε)`, row by row; Zhang & Sennrich 2019
/// <https://arxiv.org/abs/1910.07467>.
///
/// # Shapes
///
/// - `x`: `[n, d]`
/// - `gamma`: `[d]`
/// - returns: `[n, d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn rms_norm(x: &Tensor, gamma: &Tensor, eps: f64) -> Result<Tensor> {
    let gamma = vector(gamma)?;
    let d = gamma.len();
    let mut y = rows(x)?;
    for row in &mut y {
        let mean_square = row.iter().map(|x| x * x).sum::<f64>() / d as f64;
        for (c, x) in row.iter_mut().enumerate() {
            *x = gamma[c] * *x / (mean_square + eps).sqrt();
        }
    }
    tensor(&y, d)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::assert_close;

    /// What rounding leaves of a dozen operations on numbers near one.
    const ROUNDING: f64 = 1e-15;

    #[test]
    fn layer_norm_has_the_values_computed_by_hand() -> Result<()> {
        // mean 2, variance 4; then mean 1, variance 0.
        let x = Tensor::new(&[[0.0, 4.0], [1.0, 1.0]], &Device::Cpu)?;
        let gamma = Tensor::new(&[1.0, 10.0], &Device::Cpu)?;
        let beta = Tensor::new(&[0.5, 0.25], &Device::Cpu)?;
        let s = 5f64.sqrt(); // √(4 + 1)
        let want = Tensor::new(&[[-2.0 / s, 20.0 / s], [0.0, 0.0]], &Device::Cpu)?;
        assert_close(&layer_norm(&x, &gamma, None, 1.0)?, &want, ROUNDING)?;
        let want = want.broadcast_add(&beta)?;
        assert_close(&layer_norm(&x, &gamma, Some(&beta), 1.0)?, &want, ROUNDING)
    }

    #[test]
    fn rms_norm_has_the_values_computed_by_hand() -> Result<()> {
        // mean square (9 + 25) / 2 = 17, and √(17 + 8) = 5.
        let x = Tensor::new(&[[3.0, -5.0]], &Device::Cpu)?;
        let gamma = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
        let want = Tensor::new(&[[0.6, -2.0]], &Device::Cpu)?;
        assert_close(&rms_norm(&x, &gamma, 8.0)?, &want, ROUNDING)
    }
}
