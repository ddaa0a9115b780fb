//! Where a run computes, and with how many threads.

use candle_core::Device;
use kernels::Precision;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::config::{self, Document, RunTable};
use crate::error::{Error, Result};

/// The device that `run`, a table of `document`, asks for.
///
/// # Errors
///
/// This build has no such device.
pub fn open(run: &RunTable, document: &Document) -> Result<Device> {
    match run.device() {
        config::Device::Cpu | config::Device::Auto => Ok(Device::Cpu),
        asked @ config::Device::Cuda(_) => {
            let message = format!(
                "device = \"{asked}\" is not there, this build computes on the CPU only; use \"cpu\" or \"auto\""
            );
            Err(document.reject("run", &message).into())
        }
    }
}

/// How products are made in training: as `run` asks where this machine can, else, with a
/// warning, as `f32`.
pub fn precision(run: &RunTable) -> Precision {
    let asked = match run.precision() {
        config::Precision::F32 => Precision::F32,
        config::Precision::Bf16 => Precision::Bf16,
    };
    if asked.is_supported() {
        return asked;
    }
    tracing::warn!(
        "run.precision = \"bf16\": this processor has no instructions for it (AVX512-BF16); products are made in f32"
    );
    Precision::F32
}

/// The pool that a whole command runs in: one for our kernels and for matrix products.
///
/// # Errors
///
/// The system gives no more threads.
pub fn pool(threads: Option<usize>) -> Result<ThreadPool> {
    let builder = ThreadPoolBuilder::new().thread_name(|i| format!("compute-{i}"));
    // 0 leaves the number to `RAYON_NUM_THREADS` or the machine.
    builder
        .num_threads(threads.unwrap_or(0))
        .build()
        .map_err(|error| {
            Error::Unavailable(format!(
                "cannot start {threads:?} threads: {error}; lower run.threads"
            ))
        })
}
