//! Sums of gradients on a GPU.

use candle_core::{CudaDevice, CudaStorage, Layout, Result, Tensor, bail};

use super::AddNode;
use crate::Real;
use crate::cuda::{Buffer, Element, Grid, Pointer, launch, pointer};
use crate::tape::record_storage;

/// `x + y`
pub(super) fn add<T: Real>(device: &CudaDevice, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let n = x.elem_count();
    let sum = Buffer::<T>::new(device, n)?;
    write::<T>(device, Some(pointer::<T>(x)?), sum.pointer(), n, false)?;
    write::<T>(device, Some(pointer::<T>(y)?), sum.pointer(), n, true)?;
    record_storage(AddNode, &[x, y], sum.into_storage(), x.shape())
}

/// `into = from`, or `into += from`; zeros without `from`.
pub(crate) fn write<T: Element>(
    device: &CudaDevice,
    from: Option<Pointer>,
    into: Pointer,
    n: usize,
    accumulate: bool,
) -> Result<()> {
    let from = from.unwrap_or(Pointer::NULL);
    write_scaled::<T>(device, from, Pointer::NULL, into, n, accumulate)
}

/// `into = by · from`, or `into += by · from`, where `by` points to one number, or
/// is null for one.
pub(crate) fn write_scaled<T: Element>(
    device: &CudaDevice,
    from: Pointer,
    by: Pointer,
    into: Pointer,
    n: usize,
    accumulate: bool,
) -> Result<()> {
    let args = [
        from.into(),
        by.into(),
        into.into(),
        n.into(),
        accumulate.into(),
    ];
    launch::<T>(device, "write", Grid::elements(n), &args)
}

/// `sum += term`, two tensors' memory as Candle lends it.
pub(crate) fn add_to(
    sum: &mut CudaStorage,
    to: &Layout,
    term: &CudaStorage,
    from: &Layout,
) -> Result<()> {
    fn places<T: Element>(
        sum: &CudaStorage,
        to: usize,
        term: &CudaStorage,
        from: usize,
    ) -> Result<[Pointer; 2]> {
        let of = |storage: &CudaStorage, at| {
            Ok::<_, candle_core::Error>(
                Pointer::of(storage.as_cuda_slice::<T>()?, &storage.device).at::<T>(at),
            )
        };
        Ok([of(sum, to)?, of(term, from)?])
    }
    let (Some((to, to_end)), Some((from, from_end))) =
        (to.contiguous_offsets(), from.contiguous_offsets())
    else {
        bail!("gradients to add must be contiguous");
    };
    let n = (to_end - to).min(from_end - from);
    let device = sum.device.clone();
    match candle_core::backend::BackendStorage::dtype(sum) {
        candle_core::DType::F32 => {
            let [to, from] = places::<f32>(sum, to, term, from)?;
            write::<f32>(&device, Some(from), to, n, true)
        }
        _ => {
            let [to, from] = places::<f64>(sum, to, term, from)?;
            write::<f64>(&device, Some(from), to, n, true)
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Result;

    use crate::cuda::agree::agree;

    #[test]
    #[ignore = "needs a GPU"]
    fn sums_agree_with_the_cpu() -> Result<()> {
        for n in [1, 255, 256, 257] {
            let two: [&[usize]; 2] = [&[n, 3], &[n, 3]];
            agree(&two, |v| crate::add(&v[0], &v[1]))?;
            // One tensor twice: its gradients are added where they lie.
            agree(&two[..1], |v| crate::add(&crate::add(&v[0], &v[0])?, &v[0]))?;
        }
        Ok(())
    }
}
