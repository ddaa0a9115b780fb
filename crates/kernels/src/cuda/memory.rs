//! Memory of a GPU, and where tensors lie in it.

use std::ops::Range;

use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, DevicePtr, DeviceRepr, ValidAsZeroBits,
};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, Result, Shape, Storage, Tensor, bail};

use super::{Arg, Element};

/// A place in the memory of a GPU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pointer(u64);

impl Pointer {
    /// No place: what a kernel gets for an argument that is not there.
    pub(crate) const NULL: Self = Self(0);

    /// The place `n` values of type `T` further on.
    pub(crate) fn at<T>(self, n: usize) -> Self {
        Self(self.0 + (n * size_of::<T>()) as u64)
    }

    /// Where `slice` starts.
    pub(crate) fn of<T>(slice: &CudaSlice<T>, device: &CudaDevice) -> Self {
        let stream = device.cuda_stream();
        let (address, _guard) = slice.device_ptr(&stream);
        Self(address)
    }

    /// Its number.
    pub(crate) fn address(self) -> u64 {
        self.0
    }
}

impl From<Pointer> for Arg {
    fn from(pointer: Pointer) -> Self {
        Self::U64(pointer.0)
    }
}

/// Values of one's own on a GPU.
#[derive(Debug)]
pub(crate) struct Buffer<T> {
    slice: CudaSlice<T>,
    device: CudaDevice,
    len: usize,
}

impl<T: DeviceRepr + ValidAsZeroBits> Buffer<T> {
    /// Room for `len` values, which hold anything.
    pub(crate) fn new(device: &CudaDevice, len: usize) -> Result<Self> {
        // SAFETY: its users write every value before one is read.
        let slice = unsafe { device.alloc(len.max(1)) }?;
        let device = device.clone();
        Ok(Self { slice, device, len })
    }

    /// `len` zeros.
    pub(crate) fn zeros(device: &CudaDevice, len: usize) -> Result<Self> {
        let slice = device.alloc_zeros(len.max(1))?;
        let device = device.clone();
        Ok(Self { slice, device, len })
    }

    /// The values of `host`.
    pub(crate) fn from_host(device: &CudaDevice, host: &[T]) -> Result<Self>
    where
        T: 'static,
    {
        let mut made = Self::new(device, host.len())?;
        if !host.is_empty() {
            device.memcpy_htod(host, &mut made.slice)?;
        }
        Ok(made)
    }

    /// A copy of the values, once everything that was launched before is done.
    pub(crate) fn to_host(&self) -> Result<Vec<T>> {
        self.part_to_host(0..self.len)
    }

    /// A copy of the values in `part`, likewise.
    pub(crate) fn part_to_host(&self, part: Range<usize>) -> Result<Vec<T>> {
        match part.is_empty() {
            true => Ok(Vec::new()),
            false => self.device.clone_dtoh(&self.slice.slice(part)),
        }
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where the values lie.
    pub(crate) fn pointer(&self) -> Pointer {
        Pointer::of(&self.slice, &self.device)
    }

    /// The device that they lie on.
    pub(crate) fn device(&self) -> &CudaDevice {
        &self.device
    }
}

impl<T: Element> Buffer<T> {
    /// The values as the memory of a tensor.
    pub(crate) fn into_storage(self) -> Storage {
        Storage::Cuda(CudaStorage::wrap_cuda_slice(self.slice, self.device))
    }

    /// A tensor that owns the values and carries no graph.
    pub(crate) fn into_tensor(self, shape: impl Into<Shape>) -> Tensor {
        Tensor::from_storage(self.into_storage(), shape, BackpropOp::none(), false)
    }
}

/// Where the values of a contiguous tensor lie.
///
/// # Errors
///
/// Fails if `x` is not on a GPU, not contiguous, or not of type `T`.
pub(crate) fn pointer<T: Element>(x: &Tensor) -> Result<Pointer> {
    if !x.is_contiguous() {
        bail!(
            "expected a contiguous tensor, got strides {:?} for shape {:?}",
            x.stride(),
            x.shape()
        );
    }
    first::<T>(x)
}

/// Where the first value of a tensor lies.
fn first<T: Element>(x: &Tensor) -> Result<Pointer> {
    let (storage, layout) = x.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        bail!(
            "the operands lie on different devices: one on a GPU, one on {:?}",
            x.device()
        );
    };
    let start = Pointer::of(storage.as_cuda_slice::<T>()?, &storage.device);
    Ok(start.at::<T>(layout.start_offset()))
}

/// A tensor whose rows are contiguous and lie at any stride.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strided {
    pub(crate) pointer: Pointer,
    pub(crate) n: usize,
    pub(crate) stride: usize,
}

/// Where the rows of `x`, of shape `[n, width]` or `[n, heads, width / heads]`, lie.
///
/// # Errors
///
/// As [`pointer`], and if the shape is another; rows may lie apart.
pub(crate) fn strided<T: Element>(
    x: &Tensor,
    name: &str,
    heads: usize,
    width: usize,
) -> Result<Strided> {
    let (n, stride) = crate::view::rows_of(x, name, heads, width)?;
    let pointer = first::<T>(x)?;
    Ok(Strided { pointer, n, stride })
}

/// A copy of the values of the contiguous tensor `x`.
///
/// # Errors
///
/// As [`pointer`].
pub(crate) fn copied<T: Element>(device: &CudaDevice, x: &Tensor) -> Result<Buffer<T>> {
    let made = Buffer::new(device, x.elem_count())?;
    let from = Some(pointer::<T>(x)?);
    crate::add::write_on_gpu::<T>(device, from, made.pointer(), x.elem_count(), false)?;
    Ok(made)
}
