//! One row for each segment of a packed batch.

use candle_core::{Result, Tensor};

use super::rows::{Rows, rows, tensor};

/// Mean of each segment's rows.
///
/// # Shapes
///
/// - `x`: `[n, d]`
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
/// - returns: `[batch, d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn segment_mean(x: &Tensor, cu_seqlens: &[u32]) -> Result<Tensor> {
    pool(x, cu_seqlens, |segment| {
        let column =
            |c: usize| segment.iter().map(|row| row[c]).sum::<f64>() / segment.len() as f64;
        (0..segment[0].len()).map(column).collect()
    })
}

/// Sum of each segment's rows.
///
/// # Shapes
///
/// - `x`: `[n, d]`
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
/// - returns: `[batch, d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn segment_sum(x: &Tensor, cu_seqlens: &[u32]) -> Result<Tensor> {
    pool(x, cu_seqlens, |segment| {
        let column = |c: usize| segment.iter().map(|row| row[c]).sum();
        (0..segment[0].len()).map(column).collect()
    })
}

/// First row of each segment.
///
/// # Shapes
///
/// - `x`: `[n, d]`
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
/// - returns: `[batch, d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn segment_first(x: &Tensor, cu_seqlens: &[u32]) -> Result<Tensor> {
    pool(x, cu_seqlens, |segment| segment[0].clone())
}

/// Last row of each segment.
///
/// # Shapes
///
/// - `x`: `[n, d]`
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
/// - returns: `[batch, d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn segment_last(x: &Tensor, cu_seqlens: &[u32]) -> Result<Tensor> {
    pool(x, cu_seqlens, |segment| segment[segment.len() - 1].clone())
}

fn pool(x: &Tensor, cu_seqlens: &[u32], f: impl Fn(&[Vec<f64>]) -> Vec<f64>) -> Result<Tensor> {
    let (_, d) = x.dims2()?;
    let x = rows(x)?;
    let walls = cu_seqlens.windows(2);
    let pooled: Rows = walls
        .map(|wall| f(&x[wall[0] as usize..wall[1] as usize]))
        .collect();
    tensor(&pooled, d)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::assert_close;

    #[test]
    fn segments_are_pooled_apart() -> Result<()> {
        let x = Tensor::new(&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &Device::Cpu)?;
        let walls = [0, 2, 3];
        let want = |rows: [[f64; 2]; 2]| Tensor::new(&rows, &Device::Cpu);
        assert_close(
            &segment_mean(&x, &walls)?,
            &want([[2.0, 3.0], [5.0, 6.0]])?,
            0.0,
        )?;
        assert_close(
            &segment_first(&x, &walls)?,
            &want([[1.0, 2.0], [5.0, 6.0]])?,
            0.0,
        )?;
        assert_close(
            &segment_last(&x, &walls)?,
            &want([[3.0, 4.0], [5.0, 6.0]])?,
            0.0,
        )
    }
}
