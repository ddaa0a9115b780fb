//! Dropout on a GPU.

use std::marker::PhantomData;

use candle_core::{CudaDevice, Result, Tensor};

use super::cpu::Keep;
use crate::Real;
use crate::cuda::{Buffer, Grid, Pointer, device_of_all, launch, pointer};
use crate::tape::{Backward, Node, record_storage};

/// `residual + keep ⊙ x`; `args` are `x` and the residual, if there is one.
pub(super) fn dropout<T: Real>(
    device: &CudaDevice,
    keep: Keep,
    args: &[&Tensor],
) -> Result<Tensor> {
    let y = kept::<T>(device, keep, args[0], args.get(1).copied())?;
    let elem = PhantomData::<T>;
    let node = DropoutOnGpu { keep, elem };
    record_storage(node, args, y.into_storage(), args[0].shape())
}

fn kept<T: Real>(
    device: &CudaDevice,
    keep: Keep,
    x: &Tensor,
    residual: Option<&Tensor>,
) -> Result<Buffer<T>> {
    let n = x.elem_count();
    let y = Buffer::<T>::new(device, n)?;
    let [k0, k1, c2, c3] = keep.key.words_of_key().map(Into::into);
    let args = [
        pointer::<T>(x)?.into(),
        residual.map_or(Ok(Pointer::NULL), pointer::<T>)?.into(),
        y.pointer().into(),
        n.into(),
        k0,
        k1,
        c2,
        c3,
        keep.threshold.into(),
        T::arg(keep.scale),
    ];
    launch::<T>(device, "dropout", Grid::elements(n.div_ceil(4)), &args)?;
    Ok(y)
}

/// Arguments: `x`, `residual`.
struct DropoutOnGpu<T> {
    keep: Keep,
    elem: PhantomData<T>,
}

impl<T: Real> Node for DropoutOnGpu<T> {
    fn name(&self) -> &'static str {
        "dropout"
    }

    /// `dx = keep ⊙ dy`; the residual gets `dy`.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let mut grads = vec![None];
        if pass.wanted[0] {
            let dx = kept::<T>(device_of_all(pass.args)?, self.keep, pass.grad, None)?;
            grads[0] = Some(dx.into_tensor(pass.grad.shape()));
        }
        if let Some(&wanted) = pass.wanted.get(1) {
            grads.push(wanted.then(|| pass.grad.clone()));
        }
        Ok(grads)
    }
}

#[cfg(test)]
mod tests {
    use super::super::dropout;
    use super::*;
    use crate::cuda::agree::{agree, empty};
    use crate::rng::{Domain, Key};

    /// All four words of it differ from zero.
    const KEY: Key = Key {
        seed: 7 | 9 << 40,
        domain: Domain::Dropout,
        step: 3,
        site: 5,
    };

    #[test]
    #[ignore = "needs a GPU"]
    fn the_same_elements_are_dropped_as_on_the_cpu() -> Result<()> {
        for n in [1, 3, 4, 5, 31, 32, 33, 255, 257, 1000, 1025, 40_000] {
            for p in [0.0, 0.1, 0.75] {
                agree(&[&[n], &[n]], |v| dropout(&v[0], Some(&v[1]), p, KEY))?;
                agree(&[&[n]], |v| dropout(&v[0], None, p, KEY))?;
            }
        }
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn constants_and_rows_of_a_tensor_agree_with_the_cpu() -> Result<()> {
        agree(&[&[70]], |v| dropout(&v[0].detach(), Some(&v[0]), 0.3, KEY))?;
        agree(&[&[3, 7]], |v| {
            dropout(&v[0].narrow(0, 1, 2)?, None, 0.3, KEY)
        })
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn no_elements_are_no_error() -> Result<()> {
        let none = empty((0, 4))?;
        assert_eq!(dropout(&none, Some(&none), 0.5, KEY)?.dims(), [0, 4]);
        Ok(())
    }
}
