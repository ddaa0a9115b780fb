//! Columns of several tensors side by side, as one of our nodes.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor, bail};

use crate::Real;
use crate::parallel::rows_mut;
use crate::simd::write;
use crate::storage::{buffer, same_dtype, values, with_real};
use crate::tape::{Backward, Node, record};

#[cfg(feature = "cuda")]
pub(crate) use cuda::copy_columns;

/// `[x | y]`, row by row.
///
/// # Shapes
///
/// - `x`: `[n, d]`, `y`: `[n, e]`, contiguous
/// - returns: `[n, d + e]`
///
/// # Errors
///
/// Fails if the numbers of rows or the types differ.
pub fn concat_columns(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let ((n, d), (m, e)) = (x.dims2()?, y.dims2()?);
    if n != m {
        bail!("concat: {n} rows beside {m}");
    }
    same_dtype(x, [y])?;
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return with_real!(x, T => cuda::concat_columns::<T>(device, x, y));
    }
    let width = d + e;
    with_real!(x, T => {
        let mut joined = buffer::<T>(n * width);
        let (left, right) = (values::<T>(x)?, values::<T>(y)?);
        rows_mut(&mut joined, width, |first, rows| {
            for (i, row) in (first..).zip(rows.chunks_exact_mut(width)) {
                row[..d].copy_from_slice(&left[i * d..(i + 1) * d]);
                row[d..].copy_from_slice(&right[i * e..(i + 1) * e]);
            }
        });
        let node = Concat::<T> { width, elem: std::marker::PhantomData };
        record(node, &[x, y], joined, (n, width))
    })
}

/// Arguments: both tensors.
struct Concat<T> {
    width: usize,
    elem: std::marker::PhantomData<T>,
}

impl<T: Real> Node for Concat<T> {
    fn name(&self) -> &'static str {
        "concat"
    }

    /// Each gets its columns.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let grad = values::<T>(pass.grad)?;
        let mut start = 0;
        let mut grads = Vec::with_capacity(2);
        for (i, arg) in pass.args.iter().enumerate() {
            let (_, d) = arg.dims2()?;
            grads.push(pass.deliver(i, |into: &mut [T], accumulate| {
                rows_mut(into, d, |first, rows| {
                    for (i, row) in (first..).zip(rows.chunks_exact_mut(d)) {
                        let at = i * self.width + start;
                        write(&grad[at..at + d], row, accumulate);
                    }
                });
                Ok(())
            })?);
            start += d;
        }
        Ok(grads)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Var};
    use testkit::{assert_close, gradcheck_all, randn, reach};

    use super::*;

    #[test]
    fn columns_are_those_of_the_tensors_and_so_are_the_gradients() -> Result<()> {
        for (n, d, e) in [(1, 1, 2), (3, 5, 2), (700, 40, 3)] {
            let (x, y) = (randn(1, (n, d))?, randn(2, (n, e))?);
            let want = Tensor::cat(&[&x, &y], 1)?;
            assert_close(&concat_columns(&x, &y)?, &want, 0.0)?;
            let (x, y) = (x.to_dtype(DType::F32)?, y.to_dtype(DType::F32)?);
            assert_close(&concat_columns(&x, &y)?, &want.to_dtype(DType::F32)?, 0.0)?;
        }
        let (x, y) = (
            Var::from_tensor(&randn(1, (3, 2))?)?,
            Var::from_tensor(&randn(2, (3, 4))?)?,
        );
        let inputs = [("x", &x), ("y", &y)];
        gradcheck_all(&inputs, || concat_columns(&x, &y))?;
        gradcheck_all(&[("x", &x)], || concat_columns(&x, &x))?;
        reach(&concat_columns(&x, &y)?.sqr()?.sum_all()?, inputs)
    }

    #[test]
    fn other_rows_and_types_are_errors() -> Result<()> {
        let x = randn(1, (2, 3))?;
        assert!(concat_columns(&x, &randn(1, (3, 3))?).is_err());
        assert!(concat_columns(&x, &x.to_dtype(DType::F32)?).is_err());
        Ok(())
    }
}
