//! Sums over the rows of a matrix: gradients of what all rows share.

use candle_core::{CudaDevice, Result};

use super::{Buffer, Element, Grid, Pointer, Strided, launch};

/// How the `n` rows of a matrix are cut, by their number alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunks {
    /// How many chunks there are; one if there is no row.
    pub(crate) n: usize,
    /// Rows of each but the last.
    pub(crate) rows: usize,
}

impl Chunks {
    /// Chunks of `n` rows.
    pub(crate) fn of(n: usize) -> Self {
        const SMALLEST: usize = 64;
        const MOST: usize = 512;
        let rows = n.div_ceil(MOST).max(SMALLEST);
        Self {
            n: n.div_ceil(rows).max(1),
            rows,
        }
    }

    /// A block of 32 × 8 threads for each chunk of 32 columns.
    pub(crate) fn grid(self, width: usize) -> Grid {
        Grid {
            blocks: (width.div_ceil(32), self.n),
            threads: (32, 8),
            shared: 0,
        }
    }
}

/// `into[c] = Σᵢ x[i, c]` over the `n` rows of `x`, which are `width` wide; or `into[c] +=` that
/// sum.
///
/// Sums of chunks of rows are added in their order, and the sum is complete before it is added.
pub(crate) fn column_sums<T: Element>(
    device: &CudaDevice,
    x: Pointer,
    n: usize,
    width: usize,
    into: Pointer,
    accumulate: bool,
) -> Result<()> {
    let rows = Strided {
        pointer: x,
        n,
        stride: width,
    };
    strided_column_sums::<T>(device, rows, width, into, accumulate)
}

/// As [`column_sums`], of rows that lie at any stride.
pub(crate) fn strided_column_sums<T: Element>(
    device: &CudaDevice,
    x: Strided,
    width: usize,
    into: Pointer,
    accumulate: bool,
) -> Result<()> {
    let chunks = Chunks::of(x.n);
    if chunks.n == 1 {
        return sum_chunks::<T>(device, x, width, chunks, into, accumulate);
    }
    let partial = Buffer::<T>::new(device, chunks.n * width)?;
    sum_chunks::<T>(device, x, width, chunks, partial.pointer(), false)?;
    sum_partial::<T>(device, &partial, width, into, accumulate)
}

/// `into = ` or `+=` the sum of the rows of `partial`, which are few, in one go.
pub(crate) fn sum_partial<T: Element>(
    device: &CudaDevice,
    partial: &Buffer<T>,
    width: usize,
    into: Pointer,
    accumulate: bool,
) -> Result<()> {
    let n = partial.len().checked_div(width).unwrap_or(0);
    let rows = Strided {
        pointer: partial.pointer(),
        n,
        stride: width,
    };
    let all = Chunks { n: 1, rows: n };
    sum_chunks::<T>(device, rows, width, all, into, accumulate)
}

/// Row `i` of `into`, which are `width` wide, from the rows of `x` in chunk `i`.
fn sum_chunks<T: Element>(
    device: &CudaDevice,
    x: Strided,
    width: usize,
    chunks: Chunks,
    into: Pointer,
    accumulate: bool,
) -> Result<()> {
    let sizes = [x.stride, x.n, width, chunks.rows];
    let [stride, n, columns, rows] = sizes.map(Into::into);
    let args = [
        x.pointer.into(),
        stride,
        n,
        columns,
        rows,
        into.into(),
        accumulate.into(),
    ];
    launch::<T>(device, "column_sums", chunks.grid(width), &args)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use testkit::{assert_close, randn};

    use super::*;
    use crate::cuda::agree::gpu;
    use crate::cuda::{device_of, pointer};

    fn host(x: &Tensor) -> Result<Tensor> {
        x.to_device(&Device::Cpu)
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn sums_are_those_of_the_cpu_and_are_added_once() -> Result<()> {
        for n in [1, 7, 64, 65, 1000, 40_000] {
            for width in [1, 31, 32, 33, 257] {
                let (x, start) = (randn(1, (n, width))?, randn(2, width)?);
                let want = x.sum(0)?;
                let (x, into) = (x.to_device(&gpu()?)?, start.to_device(&gpu()?)?);
                let device = device_of(&x).expect("on a GPU");
                let to = pointer::<f64>(&into)?;
                column_sums::<f64>(device, pointer::<f64>(&x)?, n, width, to, true)?;
                assert_close(&host(&into)?, &(&start + &want)?, 1e-11)?;
                column_sums::<f64>(device, pointer::<f64>(&x)?, n, width, to, false)?;
                assert_close(&host(&into)?, &want, 1e-11)?;
            }
        }
        Ok(())
    }
}
