//! Kernels by name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::DeviceId;
use candle_core::cuda_backend::cudarc::driver::sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as MAX_SHARED;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaModule, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use candle_core::{CudaDevice, Result};

use super::{Element, fault};

/// All kernels, compiled: machine code, and PTX for devices that are newer.
static KERNELS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin"));

/// What is loaded on each device.
static LOADED: Mutex<Option<HashMap<DeviceId, Loaded>>> = Mutex::new(None);

struct Loaded {
    module: Arc<CudaModule>,
    functions: HashMap<(&'static str, &'static str), CudaFunction>,
}

/// Bytes of shared memory that a block gets without asking.
const SHARED: u32 = 48 << 10;

/// One argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub enum Arg {
    /// A place in memory, or a `uint64_t`.
    U64(u64),
    /// An `int64_t`.
    I64(i64),
    /// A `uint32_t`.
    U32(u32),
    /// A `float`.
    F32(f32),
    /// A `double`.
    F64(f64),
}

impl From<u32> for Arg {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

/// Sizes are `uint64_t`.
impl From<usize> for Arg {
    fn from(value: usize) -> Self {
        Self::U64(value as u64)
    }
}

impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Self::U32(u32::from(value))
    }
}

/// How many blocks there are, of how many threads, and how much memory a block shares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) blocks: (usize, usize),
    pub(crate) threads: (u32, u32),
    /// Bytes.
    pub(crate) shared: usize,
}

impl Grid {
    /// A thread for each of `n` elements.
    pub(crate) fn elements(n: usize) -> Self {
        Self::blocks(n.div_ceil(256), 256)
    }

    /// A warp for each of `n` rows.
    pub(crate) fn warps(n: usize) -> Self {
        Self {
            blocks: (n.div_ceil(8), 1),
            threads: (32, 8),
            shared: 0,
        }
    }

    /// `blocks` blocks of `threads`.
    pub(crate) fn blocks(blocks: usize, threads: u32) -> Self {
        Self {
            blocks: (blocks, 1),
            threads: (threads, 1),
            shared: 0,
        }
    }
}

/// Loads all kernels on `device`.
pub(super) fn load(device: &CudaDevice) -> Result<()> {
    with_loaded(device, |_| Ok(()))
}

fn with_loaded<R>(device: &CudaDevice, f: impl FnOnce(&mut Loaded) -> Result<R>) -> Result<R> {
    let mut all = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = match all.get_or_insert_default().entry(device.id()) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let context = device.cuda_stream().context().clone();
            let kernels = Ptx::from_binary(KERNELS.to_vec());
            entry.insert(Loaded {
                module: context.load_module(kernels).map_err(fault)?,
                functions: HashMap::new(),
            })
        }
    };
    f(loaded)
}

/// Launches kernel `name` for elements of type `T`; nothing if there are no blocks.
///
/// A kernel may read and write what its arguments point to and nothing else: each call is a
/// promise that they agree with the kernel's parameters in number and type, and that sizes are
/// those of the memory.
pub(crate) fn launch<T: Element>(
    device: &CudaDevice,
    name: &'static str,
    grid: Grid,
    args: &[Arg],
) -> Result<()> {
    if grid.blocks.0 * grid.blocks.1 == 0 {
        return Ok(());
    }
    let config = LaunchConfig {
        grid_dim: (grid.blocks.0 as u32, grid.blocks.1 as u32, 1),
        block_dim: (grid.threads.0, grid.threads.1, 1),
        shared_mem_bytes: grid.shared as u32,
    };
    let function = with_loaded(device, |loaded| {
        if let Some(function) = loaded.functions.get(&(name, T::SUFFIX)) {
            return Ok(function.clone());
        }
        let whole = format!("{name}_{}", T::SUFFIX);
        let function = loaded.module.load_function(&whole).map_err(fault)?;
        loaded.functions.insert((name, T::SUFFIX), function.clone());
        Ok(function)
    })?;
    if config.shared_mem_bytes > SHARED {
        let bytes = config.shared_mem_bytes as i32;
        function.set_attribute(MAX_SHARED, bytes).map_err(fault)?;
    }
    let stream = device.cuda_stream();
    let mut builder = stream.launch_builder(&function);
    for arg in args {
        match arg {
            Arg::U64(x) => builder.arg(x),
            Arg::I64(x) => builder.arg(x),
            Arg::U32(x) => builder.arg(x),
            Arg::F32(x) => builder.arg(x),
            Arg::F64(x) => builder.arg(x),
        };
    }
    // SAFETY: the promise of every caller, above.
    unsafe { builder.launch(config) }.map_err(fault)?;
    Ok(())
}
