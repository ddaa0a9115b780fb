//! NVIDIA's GPUs: memory, kernels and products on the device of a tensor.
//!
//! An operation has its kernels beside its loops for the CPU (`norm/norm.cu` beside
//! `norm/cpu.rs`); `kernels.cu` collects them, the build script compiles them, and [`launch`]
//! finds them by name. What they compute is defined by the CPU's loops: tests hold the two
//! against each other.
//!
//! All work on a device is in the order of one stream, and so is the freeing of memory: a
//! pointer stays good for everything launched before its tensor goes. No kernel adds with
//! atomics, so a result has the same bits every time.

#[cfg(test)]
pub(crate) mod agree;
mod columns;
mod gemm;
mod launch;
mod memory;

use candle_core::cuda_backend::CudaDType;
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, DeviceRepr, ValidAsZeroBits, result, sys,
};
use candle_core::{CudaDevice, Device, Error, Result, Tensor};

pub(crate) use columns::{Chunks, column_sums, strided_column_sums, sum_partial};
pub(crate) use gemm::{Matrix, gemm};
pub(crate) use launch::{Arg, Grid, launch};
pub(crate) use memory::{Buffer, Pointer, Strided, copied, pointer, strided};

/// A type that lies in a GPU's memory.
pub trait Element: CudaDType + DeviceRepr + ValidAsZeroBits + Copy {
    /// What the names of kernels for this type end with.
    #[doc(hidden)]
    const SUFFIX: &'static str;

    /// One value as an argument of a kernel.
    #[doc(hidden)]
    fn arg(value: f64) -> Arg;
}

impl Element for f32 {
    const SUFFIX: &'static str = "f32";

    fn arg(value: f64) -> Arg {
        Arg::F32(value as f32)
    }
}

impl Element for f64 {
    const SUFFIX: &'static str = "f64";

    fn arg(value: f64) -> Arg {
        Arg::F64(value)
    }
}

/// The GPU that `x` lies on, if it lies on one.
pub(crate) fn device_of(x: &Tensor) -> Option<&CudaDevice> {
    match x.device() {
        Device::Cuda(device) => Some(device),
        _ => None,
    }
}

/// The GPU of `tensors`, of which there is one that lies on a GPU.
pub(crate) fn device_of_all(tensors: &[Tensor]) -> Result<&CudaDevice> {
    match tensors.first().and_then(device_of) {
        Some(device) => Ok(device),
        None => candle_core::bail!("expected tensors on a GPU"),
    }
}

/// The error of a driver or library as Candle's.
fn fault(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::wrap(error)
}

/// Number `ordinal` of the machine's GPUs, made ready for training: one stream for every
/// thread, and memory that is kept when it is freed.
///
/// # Errors
///
/// Fails, with the reason, if the machine has no such GPU, no driver, or lacks one of CUDA's
/// libraries.
pub fn open_gpu(ordinal: usize) -> Result<Device> {
    let n = n_gpus()?;
    if ordinal >= n {
        candle_core::bail!("there is no GPU {ordinal}: this machine has {n}");
    }
    // The libraries are opened at their first use, and one that is missing is a panic there.
    let device = without_panic(|| Device::new_cuda_with_stream(ordinal))??;
    if let Device::Cuda(cuda) = &device {
        // SAFETY: every tensor is made and read on the one stream of its device.
        unsafe { cuda.disable_event_tracking() };
        keep_memory(ordinal)?;
        launch::load(cuda)?;
    }
    Ok(device)
}

/// How many GPUs the machine has.
///
/// # Errors
///
/// Fails if there is no driver.
pub fn n_gpus() -> Result<usize> {
    without_panic(|| {
        result::init()?;
        CudaContext::device_count()
    })?
    .map(|n| n.max(0) as usize)
    .map_err(fault)
}

/// What `f` returns, or an error that says that CUDA's libraries are not there.
fn without_panic<R>(f: impl FnOnce() -> R + std::panic::UnwindSafe) -> Result<R> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let result = std::panic::catch_unwind(f);
    std::panic::set_hook(hook);
    result.map_err(|_| Error::msg("NVIDIA's driver or one of CUDA's libraries is not installed"))
}

/// Tells the driver not to take freed memory back at every synchronisation.
fn keep_memory(ordinal: usize) -> Result<()> {
    let mut all = u64::MAX;
    // SAFETY: the device exists, the driver writes the handle of its pool, and reads one `u64`.
    unsafe {
        let mut pool = std::ptr::null_mut();
        let device = result::device::get(ordinal as i32).map_err(fault)?;
        sys::cuDeviceGetDefaultMemPool(&mut pool, device)
            .result()
            .map_err(fault)?;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut all).cast())
            .result()
            .map_err(fault)
    }
}
