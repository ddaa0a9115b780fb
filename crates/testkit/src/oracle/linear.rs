//! The affine map, and the one-hot affine map.

use candle_core::{Result, Tensor};

use super::rows::{dot, rows, tensor, vector};

/// `x Wᵀ + b`
///
/// # Shapes
///
/// - `x`: `[n, in]`
/// - `w`: `[out, in]`
/// - `bias`: `[out]`
/// - returns: `[n, out]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (x, w) = (rows(x)?, rows(w)?);
    let bias = bias.map_or_else(|| Ok(vec![0.0; w.len()]), vector)?;
    assert_eq!(bias.len(), w.len(), "one bias an output");
    let y = x
        .iter()
        .map(|x| w.iter().zip(&bias).map(|(w, b)| dot(x, w) + b).collect())
        .collect();
    tensor(&y, w.len())
}

/// Row `ids[i]` of `table`, for every `i`.
///
/// # Shapes
///
/// - `ids`: `[n]`, each below `rows`
/// - `table`: `[rows, d]`
/// - returns: `[n, d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn embedding(ids: &[u32], table: &Tensor) -> Result<Tensor> {
    let (_, d) = table.dims2()?;
    let table = rows(table)?;
    let y = ids.iter().map(|&id| table[id as usize].clone()).collect();
    tensor(&y, d)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::assert_close;

    #[test]
    fn linear_is_rows_against_rows() -> Result<()> {
        let x = Tensor::new(&[[1.0, 2.0], [3.0, -1.0]], &Device::Cpu)?;
        let w = Tensor::new(&[[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]], &Device::Cpu)?;
        let b = Tensor::new(&[10.0, 20.0, 30.0], &Device::Cpu)?;
        let want = Tensor::new(&[[1.0, 2.0, 8.0], [3.0, -1.0, 3.0]], &Device::Cpu)?;
        assert_close(&linear(&x, &w, None)?, &want, 0.0)?;
        assert_close(&linear(&x, &w, Some(&b))?, &want.broadcast_add(&b)?, 0.0)
    }

    #[test]
    fn embedding_picks_rows_as_often_as_asked() -> Result<()> {
        let table = Tensor::new(&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &Device::Cpu)?;
        let want = Tensor::new(&[[5.0, 6.0], [1.0, 2.0], [5.0, 6.0]], &Device::Cpu)?;
        assert_close(&embedding(&[2, 0, 2], &table)?, &want, 0.0)?;
        assert_eq!(embedding(&[], &table)?.dims(), [0, 2]);
        Ok(())
    }
}
