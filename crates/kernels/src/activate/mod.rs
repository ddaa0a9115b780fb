//! Pointwise non-linearities as operations of their own.
//!
//! Where the argument comes out of a matrix product, [`linear`](crate::linear)
//! applies the non-linearity on the way.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(test)]
mod tests;

use candle_core::{Result, Tensor, bail};

use crate::storage::{buffer, same_dtype, tensor, values, with_real};
use crate::tape::{Backward, Node, record};
use crate::{Activation, Real};

/// `f(x)`, element by element.
///
/// # Shapes
///
/// - `x`: any, contiguous
/// - returns: the same
pub fn activate(x: &Tensor, f: Activation) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return with_real!(x, T => cuda::activate::<T>(device, x, f));
    }
    with_real!(x, T => {
        let x_values = values::<T>(x)?;
        let mut y = buffer::<T>(x_values.len());
        cpu::activate(f, &x_values, &mut y);
        record(Activate::<T>::new(f), &[x], y, x.shape())
    })
}

/// `silu(gate) ⊙ up`, the gated product of SwiGLU; Shazeer 2020
/// <https://arxiv.org/abs/2002.05202>.
///
/// # Shapes
///
/// - `gate`, `up`: any, contiguous, the same
/// - returns: the same
///
/// # Errors
///
/// Fails if shapes or types disagree.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.dims() != up.dims() {
        bail!("swiglu: gate of {:?}, up of {:?}", gate.shape(), up.shape());
    }
    same_dtype(gate, [up])?;
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(gate) {
        return with_real!(gate, T => cuda::swiglu::<T>(device, gate, up));
    }
    with_real!(gate, T => {
        let (gate_values, up_values) = (values::<T>(gate)?, values::<T>(up)?);
        let mut y = buffer::<T>(gate_values.len());
        cpu::swiglu(&gate_values, &up_values, &mut y);
        record(Swiglu::<T>::default(), &[gate, up], y, gate.shape())
    })
}

/// Argument: `x`.
struct Activate<T> {
    f: Activation,
    elem: std::marker::PhantomData<T>,
}

impl<T> Activate<T> {
    fn new(f: Activation) -> Self {
        let elem = std::marker::PhantomData;
        Self { f, elem }
    }
}

impl<T: Real> Node for Activate<T> {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let (x, dy) = (values::<T>(&pass.args[0])?, values::<T>(pass.grad)?);
        let mut dx = buffer::<T>(x.len());
        cpu::activate_backward(self.f, &x, &dy, &mut dx);
        Ok(vec![Some(tensor(dx, pass.grad.shape()))])
    }
}

/// Arguments: `gate`, `up`.
struct Swiglu<T>(std::marker::PhantomData<T>);

impl<T> Default for Swiglu<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T: Real> Node for Swiglu<T> {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    /// `dgate = dy ⊙ up ⊙ silu'(gate)`, `dup = dy ⊙ silu(gate)`.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let (gate, up) = (values::<T>(&pass.args[0])?, values::<T>(&pass.args[1])?);
        let dy = values::<T>(pass.grad)?;
        let (mut dgate, mut dup) = (buffer::<T>(dy.len()), buffer::<T>(dy.len()));
        cpu::swiglu_backward(&gate, &up, &dy, &mut dgate, &mut dup);
        let grads = [dgate, dup].map(|grad| tensor(grad, pass.grad.shape()));
        let wanted = |(grad, &wanted): (Tensor, &bool)| wanted.then_some(grad);
        Ok(grads.into_iter().zip(pass.wanted).map(wanted).collect())
    }
}
