//! Reading a tensor's memory, and making a tensor from memory.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::{Deref, Range};

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, DType, InplaceOp1, Layout, Result, Shape, Storage, StorageRef, Tensor, Var,
    WithDType, bail,
};

use crate::Real;
use crate::parallel::rows_new;

/// The values of a contiguous tensor on the CPU, borrowed.
pub(crate) struct Values<'a, T> {
    storage: StorageRef<'a>,
    range: Range<usize>,
    elem: PhantomData<T>,
}

impl<T: Real> Deref for Values<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let Storage::Cpu(storage) = &*self.storage else {
            unreachable!("`values` accepts CPU storage only")
        };
        let all = T::cpu_storage_as_slice(storage).expect("`values` checked the type");
        &all[self.range.clone()]
    }
}

/// Borrows the values of `x`.
///
/// # Errors
///
/// Fails if `x` is not on the CPU, not contiguous, or not of type `T`.
pub(crate) fn values<T: Real>(x: &Tensor) -> Result<Values<'_, T>> {
    if x.dtype() != T::DTYPE {
        bail!(
            "expected {:?} values, got {:?} of shape {:?}",
            T::DTYPE,
            x.dtype(),
            x.shape()
        );
    }
    let (storage, layout) = x.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!(
            "expected a contiguous tensor, got strides {:?} for shape {:?}",
            layout.stride(),
            layout.shape()
        );
    };
    if !matches!(*storage, Storage::Cpu(_)) {
        bail!(
            "this operation runs on the CPU only, the tensor is on {:?}",
            x.device()
        );
    }
    Ok(Values {
        storage,
        range: start..end,
        elem: PhantomData,
    })
}

/// Lends the values of `var` to `change`, in place: every tensor that shares its
/// memory sees the change, and graphs that recorded the old values do not know.
///
/// # Errors
///
/// As [`values`].
pub(crate) fn change<T: Real>(var: &Var, change: impl FnOnce(&mut [T])) -> Result<()> {
    with_memory(var, |all, range| change(&mut all[range]))
}

/// Takes the values of `x` out of their memory, which is empty then: nobody may read `x`, or
/// what shares its memory, any more. Only a part of some memory is copied out of it.
///
/// # Errors
///
/// As [`values`].
pub(crate) fn take<T: Real>(x: &Tensor) -> Result<Vec<T>> {
    let mut taken = Vec::new();
    with_memory(x, |all, range| {
        taken = match range.len() == all.len() {
            true => std::mem::take(all),
            false => all[range].to_vec(),
        };
    })?;
    Ok(taken)
}

/// Lends the memory of `x`, and tells where in it the values lie.
fn with_memory<T: Real>(x: &Tensor, lend: impl FnOnce(&mut Vec<T>, Range<usize>)) -> Result<()> {
    x.inplace_op1(&Change {
        change: Cell::new(Some(lend)),
        elem: PhantomData,
    })
}

struct Change<T, F> {
    change: Cell<Option<F>>,
    elem: PhantomData<T>,
}

impl<T: Real, F: FnOnce(&mut Vec<T>, Range<usize>)> InplaceOp1 for Change<T, F> {
    fn name(&self) -> &'static str {
        "change"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let found = storage.dtype();
        let (Some(all), Some((start, end))) =
            (T::storage_mut(storage), layout.contiguous_offsets())
        else {
            bail!(
                "expected contiguous {:?} values, got {found:?} of shape {:?}",
                T::DTYPE,
                layout.shape()
            );
        };
        let change = self.change.take().expect("an operation is applied once");
        change(all, start..end);
        Ok(())
    }
}

/// A copy of the values of `x` in memory of its own, where `x` is.
///
/// # Errors
///
/// As [`values`], but on a GPU, too.
pub(crate) fn copied(x: &Tensor) -> Result<Storage> {
    with_real!(x, T => {
        #[cfg(feature = "cuda")]
        if let Some(device) = crate::cuda::device_of(x) {
            return Ok(crate::cuda::copied::<T>(device, x)?.into_storage());
        }
        Ok(Storage::Cpu(T::to_cpu_storage_owned(values::<T>(x)?.to_vec())))
    })
}

/// A tensor on the CPU that owns `values` and carries no graph.
pub(crate) fn tensor<T: Real>(values: Vec<T>, shape: impl Into<Shape>) -> Tensor {
    let storage = Storage::Cpu(T::to_cpu_storage_owned(values));
    Tensor::from_storage(storage, shape, candle_core::op::BackpropOp::none(), false)
}

/// A buffer for `n` results, zero.
pub(crate) fn buffer<T: Real>(n: usize) -> Vec<T> {
    rows_new(n, 1, |_, _| ())
}

/// Runs `$body` with `$T` bound to the element type of tensor `$x`.
macro_rules! with_real {
    ($x:expr, $T:ident => $body:expr) => {
        match $x.dtype() {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => candle_core::bail!("expected f32 or f64, got {other:?}"),
        }
    };
}
pub(crate) use with_real;

/// Fails unless all of `tensors` have the type of `x`.
pub(crate) fn same_dtype<'a>(
    x: &Tensor,
    tensors: impl IntoIterator<Item = &'a Tensor>,
) -> Result<DType> {
    let want = x.dtype();
    for t in tensors {
        if t.dtype() != want {
            bail!("operands differ in type: {want:?} and {:?}", t.dtype());
        }
    }
    Ok(want)
}
