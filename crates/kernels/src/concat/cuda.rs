//! Columns of several tensors side by side, on a GPU.

use std::marker::PhantomData;

use candle_core::{CudaDevice, Result, Tensor};

use crate::Real;
use crate::cuda::{Buffer, Element, Grid, Strided, device_of_all, launch, pointer};
use crate::tape::{Backward, Node, record_storage};

/// `[x | y]`, row by row.
pub(super) fn concat_columns<T: Real>(
    device: &CudaDevice,
    x: &Tensor,
    y: &Tensor,
) -> Result<Tensor> {
    let ((n, d), (_, e)) = (x.dims2()?, y.dims2()?);
    let stride = d + e;
    let joined = Buffer::<T>::new(device, n * stride)?;
    for (from, first, width) in [(x, 0, d), (y, d, e)] {
        let from = Strided {
            pointer: pointer::<T>(from)?,
            n,
            stride: width,
        };
        let into = Strided {
            pointer: joined.pointer().at::<T>(first),
            n,
            stride,
        };
        copy_columns::<T>(device, from, into, width, false)?;
    }
    let node = ConcatOnGpu(PhantomData::<T>);
    record_storage(node, &[x, y], joined.into_storage(), (n, stride))
}

/// The first `width` columns of `into = ` or `+=` those of `from`.
pub(crate) fn copy_columns<T: Element>(
    device: &CudaDevice,
    from: Strided,
    into: Strided,
    width: usize,
    accumulate: bool,
) -> Result<()> {
    debug_assert_eq!(from.n, into.n);
    let args = [
        from.pointer.into(),
        from.stride.into(),
        into.pointer.into(),
        into.stride.into(),
        from.n.into(),
        width.into(),
        accumulate.into(),
    ];
    launch::<T>(
        device,
        "copy_columns",
        Grid::elements(from.n * width),
        &args,
    )
}

/// Arguments: both tensors.
struct ConcatOnGpu<T>(PhantomData<T>);

impl<T: Real> Node for ConcatOnGpu<T> {
    fn name(&self) -> &'static str {
        "concat"
    }

    /// Each gets its columns.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let device = device_of_all(pass.args)?;
        let (grad, (n, stride)) = (pointer::<T>(pass.grad)?, pass.grad.dims2()?);
        let mut first = 0;
        let mut grads = Vec::with_capacity(2);
        for (i, arg) in pass.args.iter().enumerate() {
            let (_, d) = arg.dims2()?;
            let from = Strided {
                pointer: grad.at::<T>(first),
                n,
                stride,
            };
            grads.push(pass.deliver_on_gpu::<T>(i, |into, accumulate| {
                let into = Strided {
                    pointer: into,
                    n,
                    stride: d,
                };
                copy_columns::<T>(device, from, into, d, accumulate)
            })?);
            first += d;
        }
        Ok(grads)
    }
}

#[cfg(test)]
mod tests {
    use super::super::concat_columns;
    use super::*;
    use crate::cuda::agree::{agree, empty};

    #[test]
    #[ignore = "needs a GPU"]
    fn columns_agree_with_the_cpu() -> Result<()> {
        for (n, d, e) in [(1, 1, 2), (3, 31, 33), (33, 257, 1), (700, 40, 3)] {
            agree(&[&[n, d], &[n, e]], |v| concat_columns(&v[0], &v[1]))?;
            agree(&[&[n, d]], |v| concat_columns(&v[0], &v[0]))?;
            agree(&[&[n, d], &[n, e]], |v| {
                concat_columns(&v[0].detach(), &v[1])
            })?;
        }
        let joined = concat_columns(&empty((0, 2))?, &empty((0, 3))?)?;
        assert_eq!(joined.dims(), [0, 5]);
        Ok(())
    }
}
