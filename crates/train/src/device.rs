//! Where a run computes, and with how many threads.

use candle_core::Device;
use kernels::Precision;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::config::{self, Document, RunConfig, RunTable};
use crate::error::{Error, Result};

/// The device that `config`, read from `document`, asks for.
///
/// # Errors
///
/// This build or this machine has no such device, or it does not serve such a model.
pub fn open(config: &RunConfig, document: &Document) -> Result<Device> {
    let opened = match config.run.device() {
        config::Device::Cpu => Ok(Device::Cpu),
        config::Device::Auto => Ok(gpu::if_there(config)),
        config::Device::Cuda(ordinal) => gpu::open(config, ordinal),
    };
    opened.map_err(|why| {
        let asked = config.run.device();
        let message = format!("device = \"{asked}\" {why}; use \"cpu\" or \"auto\"");
        document.reject("run", &message).into()
    })
}

#[cfg(not(feature = "cuda"))]
mod gpu {
    use super::{Device, RunConfig};

    pub(super) fn if_there(_: &RunConfig) -> Device {
        Device::Cpu
    }

    pub(super) fn open(_: &RunConfig, _: usize) -> Result<Device, String> {
        Err("is not there, this build computes on the CPU only".into())
    }
}

#[cfg(feature = "cuda")]
mod gpu {
    use models::{Backbone, Modality, ModelConfig};

    use super::{Device, RunConfig};

    /// The first GPU, if there is one and it serves such a model.
    pub(super) fn if_there(config: &RunConfig) -> Device {
        match kernels::n_gpus() {
            Ok(1..) => open(config, 0).unwrap_or_else(|why| {
                tracing::warn!("run.device = \"auto\": the GPU {why}; computing on the CPU");
                Device::Cpu
            }),
            _ => Device::Cpu,
        }
    }

    /// Whether all operations of such a model have kernels for a GPU.
    fn serves(model: &ModelConfig) -> bool {
        let window = model.image().and_then(|image| image.window());
        let modality = model.kind().modality();
        matches!(modality, Modality::Text | Modality::Image)
            && model.backbone() == Backbone::Transformer
            && window.is_none()
    }

    pub(super) fn open(config: &RunConfig, ordinal: usize) -> Result<Device, String> {
        if !serves(&config.model) {
            return Err("serves transformers of text and of images without a window only".into());
        }
        kernels::open_gpu(ordinal).map_err(|error| {
            // Candle's errors may carry the calls that led to them, line by line.
            let why = error.to_string();
            format!("is not there: {}", why.lines().next().unwrap_or_default())
        })
    }
}

/// How products are made in training on `device`: as `run` asks where that can, else, with a
/// warning, as `f32`.
pub fn precision(run: &RunTable, device: &Device) -> Precision {
    let asked = match run.precision() {
        config::Precision::F32 => Precision::F32,
        config::Precision::Bf16 => Precision::Bf16,
    };
    // Every GPU that our kernels are compiled for has them.
    if device.is_cuda() || asked.is_supported() {
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
