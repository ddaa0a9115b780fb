//! Non-linearities on a GPU.

use std::marker::PhantomData;

use candle_core::{CudaDevice, Result, Tensor};

use crate::cuda::{Buffer, Grid, Pointer, device_of_all, launch, pointer};
use crate::tape::{Backward, Node, record_storage};
use crate::{Activation, Real};

/// A thread for every four of `n` elements.
fn fours(n: usize) -> Grid {
    Grid::elements(n.div_ceil(4))
}

/// `f(x)`
pub(super) fn activate<T: Real>(device: &CudaDevice, x: &Tensor, f: Activation) -> Result<Tensor> {
    let n = x.elem_count();
    let y = Buffer::<T>::new(device, n)?;
    let args = [
        pointer::<T>(x)?.into(),
        y.pointer().into(),
        n.into(),
        f.number().into(),
    ];
    launch::<T>(device, "activate", fours(n), &args)?;
    let elem = PhantomData::<T>;
    record_storage(ActivateOnGpu { f, elem }, &[x], y.into_storage(), x.shape())
}

/// `silu(gate) ⊙ up`
pub(super) fn swiglu<T: Real>(device: &CudaDevice, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let n = gate.elem_count();
    let y = Buffer::<T>::new(device, n)?;
    let (from_gate, from_up) = (pointer::<T>(gate)?, pointer::<T>(up)?);
    let args = [
        from_gate.into(),
        from_up.into(),
        y.pointer().into(),
        n.into(),
    ];
    launch::<T>(device, "swiglu", fours(n), &args)?;
    let node = SwigluOnGpu(PhantomData::<T>);
    record_storage(node, &[gate, up], y.into_storage(), gate.shape())
}

/// Argument: `x`.
struct ActivateOnGpu<T> {
    f: Activation,
    elem: PhantomData<T>,
}

impl<T: Real> Node for ActivateOnGpu<T> {
    fn name(&self) -> &'static str {
        "activate"
    }

    /// `dx = dy ⊙ f'(x)`
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let device = device_of_all(pass.args)?;
        let n = pass.grad.elem_count();
        let dx = Buffer::<T>::new(device, n)?;
        let args = [
            pointer::<T>(&pass.args[0])?.into(),
            pointer::<T>(pass.grad)?.into(),
            dx.pointer().into(),
            n.into(),
            self.f.number().into(),
        ];
        launch::<T>(device, "activate_backward", fours(n), &args)?;
        Ok(vec![Some(dx.into_tensor(pass.grad.shape()))])
    }
}

/// Arguments: `gate`, `up`.
struct SwigluOnGpu<T>(PhantomData<T>);

impl<T: Real> Node for SwigluOnGpu<T> {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    /// `dgate = dy ⊙ up ⊙ silu'(gate)`, `dup = dy ⊙ silu(gate)`.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let device = device_of_all(pass.args)?;
        let n = pass.grad.elem_count();
        let room = |&wanted: &bool| wanted.then(|| Buffer::<T>::new(device, n)).transpose();
        let grads = pass.wanted.iter().map(room).collect::<Result<Vec<_>>>()?;
        let of = |arg: usize| grads[arg].as_ref().map_or(Pointer::NULL, Buffer::pointer);
        let args = [
            pointer::<T>(&pass.args[0])?.into(),
            pointer::<T>(&pass.args[1])?.into(),
            pointer::<T>(pass.grad)?.into(),
            of(0).into(),
            of(1).into(),
            n.into(),
        ];
        launch::<T>(device, "swiglu_backward", fours(n), &args)?;
        let tensor = |grad: Option<Buffer<T>>| grad.map(|grad| grad.into_tensor(pass.grad.shape()));
        Ok(grads.into_iter().map(tensor).collect())
    }
}

#[cfg(test)]
mod tests {
    use testkit::randn;

    use super::super::{activate, swiglu};
    use super::*;
    use crate::cuda::agree::{agree, agree_on, empty};

    /// Around four elements, a warp, a block, and a block of fours.
    const SIZES: [usize; 13] = [1, 2, 3, 4, 5, 31, 32, 33, 255, 257, 1000, 1023, 1025];

    const ALL: [Activation; 5] = [
        Activation::GeluTanh,
        Activation::GeluErf,
        Activation::Silu,
        Activation::Relu,
        Activation::Tanh,
    ];

    #[test]
    #[ignore = "needs a GPU"]
    fn every_activation_agrees_with_the_cpu() -> Result<()> {
        for f in ALL {
            for n in SIZES {
                agree_on(&[(randn(1, n)? * 4.0)?], |v| activate(&v[0], f))?;
            }
        }
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn far_arguments_and_rows_of_a_tensor_agree_with_the_cpu() -> Result<()> {
        let far = [-1e4, -90.0, -1.0, 0.0, 1.0, 90.0, 1e4];
        let far = Tensor::new(&far, &candle_core::Device::Cpu)?;
        for f in ALL {
            agree_on(std::slice::from_ref(&far), |v| activate(&v[0], f))?;
            // The second row starts where four values cannot be read at once.
            agree(&[&[3, 7]], |v| activate(&v[0].narrow(0, 1, 1)?, f))?;
        }
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn swiglu_agrees_with_the_cpu_and_takes_constants() -> Result<()> {
        for n in SIZES {
            agree(&[&[n], &[n]], |v| swiglu(&v[0], &v[1]))?;
            agree(&[&[n]], |v| swiglu(&v[0], &v[0].detach()))?;
            agree(&[&[n]], |v| swiglu(&v[0].detach(), &v[0]))?;
        }
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn no_elements_are_no_error() -> Result<()> {
        let none = empty((0, 4))?;
        assert_eq!(activate(&none, Activation::Silu)?.dims(), [0, 4]);
        assert_eq!(swiglu(&none, &none)?.dims(), [0, 4]);
        Ok(())
    }
}
