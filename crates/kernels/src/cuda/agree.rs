//! The GPU against the CPU, whose results are proven: what tests of GPU kernels ask.
//!
//! These tests need a GPU and are ignored by default: `cargo test --features cuda -- --ignored`.

use candle_core::{DType, Device, Result, Tensor, Var};
use testkit::{assert_close, randn};

/// The first GPU.
pub(crate) fn gpu() -> Result<Device> {
    thread_local! {
        static GPU: std::cell::OnceCell<Device> = const { std::cell::OnceCell::new() };
    }
    GPU.with(|gpu| match gpu.get() {
        Some(gpu) => Ok(gpu.clone()),
        None => {
            let opened = crate::open_gpu(0)?;
            Ok(gpu.get_or_init(|| opened).clone())
        }
    })
}

/// A tensor of `f64` on the GPU that has no elements.
pub(crate) fn empty(shape: (usize, usize)) -> Result<Tensor> {
    let Device::Cuda(device) = gpu()? else {
        unreachable!("`gpu` opens a GPU")
    };
    Ok(super::Buffer::<f64>::new(&device, 0)?.into_tensor(shape))
}

/// Demands that `f` of random variables of the given shapes, and its gradient by each of them,
/// are on the GPU what they are on the CPU, in `f64` and in `f32`; and that the GPU gives the
/// same bits again.
pub(crate) fn agree(shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    let of = |seed: usize| randn(seed as u64 + 1, shapes[seed]);
    let drawn = (0..shapes.len()).map(of).collect::<Result<Vec<_>>>()?;
    agree_on(&drawn, f)
}

/// As [`agree`], for variables that start as `values`, in `f64`.
pub(crate) fn agree_on(values: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-5)] {
        let want = results(values, dtype, &Device::Cpu, &f)?;
        let got = results(values, dtype, &gpu()?, &f)?;
        assert_eq!(want.len(), got.len());
        for (want, got) in want.iter().zip(&got) {
            assert_close(got, want, tolerance)?;
        }
        for (once, again) in got.iter().zip(results(values, dtype, &gpu()?, &f)?) {
            assert_close(&again, once, 0.0)?;
        }
    }
    Ok(())
}

/// `f` and its gradients, on the CPU.
fn results(
    values: &[Tensor],
    dtype: DType,
    device: &Device,
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    let var = |value: &Tensor| Var::from_tensor(&value.to_dtype(dtype)?.to_device(device)?);
    let vars = values.iter().map(var).collect::<Result<Vec<_>>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let y = f(&tensors)?;
    let cotangent = randn(99, y.shape())?.to_dtype(dtype)?.to_device(device)?;
    let grads = (&y * cotangent)?.sum_all()?.backward()?;
    let grad = |var: &Var| match grads.get(var) {
        Some(grad) => Ok(grad.clone()),
        None => var.zeros_like(),
    };
    let grads = vars.iter().map(grad).collect::<Result<Vec<_>>>()?;
    std::iter::once(&y)
        .chain(&grads)
        .map(|x| x.detach().to_device(&Device::Cpu))
        .collect()
}
