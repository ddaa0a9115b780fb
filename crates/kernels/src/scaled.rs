//! Losses that make their gradient on the way, as nodes of the tape.

use std::marker::PhantomData;

use candle_core::{Result, Tensor};

use crate::Real;
use crate::parallel::pieces_mut;
use crate::simd::{Kernel, Lanes, map2};
use crate::storage::values;
use crate::tape::{Backward, Node};

/// A scalar whose gradients were computed with it: the backward pass only multiplies
/// them by what comes from above.
pub(crate) struct Scaled<T> {
    name: &'static str,
    /// One for each argument; `None` where none was wanted.
    grads: Vec<Option<Tensor>>,
    elem: PhantomData<T>,
}

impl<T> Scaled<T> {
    pub(crate) fn new(name: &'static str, grads: impl IntoIterator<Item = Option<Tensor>>) -> Self {
        Self {
            name,
            grads: grads.into_iter().collect(),
            elem: PhantomData,
        }
    }
}

impl<T: Real> Node for Scaled<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        #[cfg(feature = "cuda")]
        if let Some(device) = crate::cuda::device_of(pass.grad) {
            return self.backward_on_gpu(device, pass);
        }
        let by = values::<T>(pass.grad)?[0];
        let deliver = |(arg, grad): (usize, &Option<Tensor>)| match grad {
            None => Ok(None),
            Some(grad) => pass.deliver(arg, |into: &mut [T], accumulate| {
                write_scaled(by, &values(grad)?, into, accumulate);
                Ok(())
            }),
        };
        self.grads.iter().enumerate().map(deliver).collect()
    }
}

#[cfg(feature = "cuda")]
impl<T: Real> Scaled<T> {
    fn backward_on_gpu(
        &self,
        device: &candle_core::CudaDevice,
        pass: &Backward<'_>,
    ) -> Result<Vec<Option<Tensor>>> {
        use crate::add::write_scaled_on_gpu;
        use crate::cuda::pointer;
        let by = pointer::<T>(pass.grad)?;
        let deliver = |(arg, grad): (usize, &Option<Tensor>)| match grad {
            None => Ok(None),
            Some(grad) => pass.deliver_on_gpu::<T>(arg, |into, accumulate| {
                let n = grad.elem_count();
                write_scaled_on_gpu::<T>(device, pointer::<T>(grad)?, by, into, n, accumulate)
            }),
        };
        self.grads.iter().enumerate().map(deliver).collect()
    }
}

/// `into (+)= by · from`
fn write_scaled<T: Real>(by: T, from: &[T], into: &mut [T], accumulate: bool) {
    pieces_mut(into, |first, into| {
        let from = &from[first..first + into.len()];
        T::dispatch(WriteScaled {
            by,
            from,
            into,
            accumulate,
        });
    });
}

struct WriteScaled<'a, T> {
    by: T,
    from: &'a [T],
    into: &'a mut [T],
    accumulate: bool,
}

impl<T: Real> Kernel<T> for WriteScaled<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let by = lanes.splat(self.by);
        if self.accumulate {
            // Not fused: the product has the bits that a tensor of its own would have.
            map2(lanes, self.into, self.from, |sum, x| {
                lanes.add(sum, lanes.mul(x, by))
            });
        } else {
            map2(lanes, self.into, self.from, |_, x| lanes.mul(x, by));
        }
    }
}
