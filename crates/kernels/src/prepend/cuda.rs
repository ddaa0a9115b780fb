//! Rows before the rows of every segment, on a GPU.

use std::marker::PhantomData;

use candle_core::{CudaDevice, Result, Tensor};

use crate::Real;
use crate::concat::copy_columns;
use crate::cuda::{Buffer, Strided, device_of_all, pointer, strided_column_sums};
use crate::tape::{Backward, Node, record_storage};

/// The first rows, then each of `n` segments; `args` are as the node's.
pub(super) fn prepend_rows<T: Real>(
    device: &CudaDevice,
    args: &[&Tensor],
    n: usize,
) -> Result<Tensor> {
    let (x, first) = (args[args.len() - 1], &args[..args.len() - 1]);
    let (rows, d) = x.dims2()?;
    let (head, segment) = (first.len() * d, rows / n * d);
    let wide = head + segment;
    let joined = Buffer::<T>::new(device, n * wide)?;
    let place = |at: usize| Strided {
        pointer: joined.pointer().at::<T>(at),
        n,
        stride: wide,
    };
    for (i, row) in first.iter().enumerate() {
        // The same row for every segment.
        let from = Strided {
            pointer: pointer::<T>(row)?,
            n,
            stride: 0,
        };
        copy_columns::<T>(device, from, place(i * d), d, false)?;
    }
    let from = Strided {
        pointer: pointer::<T>(x)?,
        n,
        stride: segment,
    };
    copy_columns::<T>(device, from, place(head), segment, false)?;
    let node = PrependOnGpu::<T> {
        n,
        segment,
        elem: PhantomData,
    };
    record_storage(
        node,
        args,
        joined.into_storage(),
        (n * first.len() + rows, d),
    )
}

/// Arguments: the first rows, then those of the segments.
struct PrependOnGpu<T> {
    n: usize,
    /// Numbers of the rows of a segment.
    segment: usize,
    elem: PhantomData<T>,
}

impl<T: Real> Node for PrependOnGpu<T> {
    fn name(&self) -> &'static str {
        "prepend"
    }

    /// Segments get their rows, a first row the sum over all segments.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let device = device_of_all(pass.args)?;
        let (grad, (_, d)) = (pointer::<T>(pass.grad)?, pass.grad.dims2()?);
        let (n, segment, n_first) = (self.n, self.segment, pass.args.len() - 1);
        let stride = n_first * d + segment;
        let place = |at: usize| Strided {
            pointer: grad.at::<T>(at),
            n,
            stride,
        };
        let mut grads = Vec::with_capacity(n_first + 1);
        for i in 0..n_first {
            grads.push(pass.deliver_on_gpu::<T>(i, |into, accumulate| {
                strided_column_sums::<T>(device, place(i * d), d, into, accumulate)
            })?);
        }
        grads.push(pass.deliver_on_gpu::<T>(n_first, |into, accumulate| {
            let into = Strided {
                pointer: into,
                n,
                stride: segment,
            };
            copy_columns::<T>(device, place(n_first * d), into, segment, accumulate)
        })?);
        Ok(grads)
    }
}

#[cfg(test)]
mod tests {
    use super::super::prepend_rows;
    use super::*;
    use crate::cuda::agree::agree;

    #[test]
    #[ignore = "needs a GPU"]
    fn rows_before_segments_agree_with_the_cpu() -> Result<()> {
        for (n, rows, d) in [
            (1, 1, 1),
            (3, 4, 5),
            (40, 49, 128),
            (70, 2, 33),
            (100, 1, 257),
        ] {
            let (row, x): (&[usize], &[usize]) = (&[1, d], &[n * rows, d]);
            agree(&[x], |v| prepend_rows(&[], &v[0], n))?;
            agree(&[row, x], |v| prepend_rows(&[&v[0]], &v[1], n))?;
            agree(&[row, row, x], |v| prepend_rows(&[&v[0], &v[1]], &v[2], n))?;
            agree(&[row, x], |v| {
                prepend_rows(&[&v[0], &v[0]], &v[1].detach(), n)
            })?;
        }
        Ok(())
    }
}
