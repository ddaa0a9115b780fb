//! The buffer that gradients of parameters lie in, and its lending to the backward pass
//! that this thread runs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use candle_core::{DType, Result, Shape, Tensor, TensorId, Var, bail};

use crate::Real;
#[cfg(feature = "cuda")]
use crate::add::write_on_gpu;
#[cfg(feature = "cuda")]
use crate::cuda::Buffer;
use crate::memory::Memory;
use crate::storage::{buffer, tensor, values};

thread_local! {
    /// The buffer that backward passes on this thread write into.
    static ACTIVE: RefCell<Option<Slots>> = const { RefCell::new(None) };
}

/// A slot for each parameter, in the order given.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) memory: Memory,
    slots: HashMap<TensorId, Slot>,
    pub(super) order: Vec<TensorId>,
}

#[derive(Debug, Clone)]
struct Slot {
    range: Range<usize>,
    /// Nothing was added since the last [`Slots::clear`]; the memory is stale.
    empty: bool,
}

impl Slots {
    /// Makes room for the gradients of `params`.
    pub(super) fn new<'a>(params: impl IntoIterator<Item = &'a Var>) -> Result<Self> {
        let mut made = Self::default();
        let (mut first, mut end) = (None, 0);
        for param in params {
            first = first.or(Some(param));
            if param.dtype() != DType::F32 {
                bail!(
                    "gradient slots are f32, a parameter of shape {:?} is {:?}",
                    param.shape(),
                    param.dtype()
                );
            }
            let start = end;
            end += param.elem_count();
            made.order.push(param.id());
            made.slots.insert(
                param.id(),
                Slot {
                    range: start..end,
                    empty: true,
                },
            );
        }
        made.memory = Memory::zeros_beside(first, end)?;
        Ok(made)
    }

    /// Forgets all gradients.
    pub(super) fn clear(&mut self) {
        for slot in self.slots.values_mut() {
            slot.empty = true;
        }
    }

    /// Where the gradients of the parameter `id` lie, if it has a slot.
    pub(super) fn range_of(&self, id: TensorId) -> Option<Range<usize>> {
        self.slots.get(&id).map(|slot| slot.range.clone())
    }

    /// Writes zeros where nothing arrived.
    pub(super) fn fill_empty(&mut self) -> Result<()> {
        for slot in self.slots.values_mut().filter(|slot| slot.empty) {
            match &mut self.memory {
                Memory::Host(data) => data[slot.range.clone()].fill(0.0),
                #[cfg(feature = "cuda")]
                Memory::Gpu(data) => {
                    let at = data.pointer().at::<f32>(slot.range.start);
                    write_on_gpu::<f32>(data.device(), None, at, slot.range.len(), false)?;
                }
            }
        }
        Ok(())
    }

    /// Adds `grad` to the slot of the parameter `id`, which has one.
    pub(super) fn add(&mut self, id: TensorId, grad: &Tensor) -> Result<()> {
        let grad = grad.to_dtype(DType::F32)?.contiguous()?;
        let slot = self.slots.get_mut(&id).expect("`order` names slots only");
        let accumulate = !std::mem::replace(&mut slot.empty, false);
        match &mut self.memory {
            Memory::Host(data) => {
                let into = &mut data[slot.range.clone()];
                crate::simd::write(&values::<f32>(&grad)?, into, accumulate);
            }
            #[cfg(feature = "cuda")]
            Memory::Gpu(data) => {
                let at = data.pointer().at::<f32>(slot.range.start);
                let from = crate::cuda::pointer::<f32>(&grad)?;
                write_on_gpu::<f32>(data.device(), Some(from), at, slot.range.len(), accumulate)?;
            }
        }
        Ok(())
    }
}

/// Lends a buffer to this thread's backward pass and takes it back at the end,
/// also when the pass fails or panics.
pub(super) struct Lent<'a> {
    owner: &'a mut Slots,
    outer: Option<Slots>,
}

impl<'a> Lent<'a> {
    pub(super) fn new(owner: &'a mut Slots) -> Self {
        let outer = ACTIVE.replace(Some(std::mem::take(owner)));
        Self { owner, outer }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(slots) = ACTIVE.replace(self.outer.take()) {
            *self.owner = slots;
        }
    }
}

/// Whether the gradient of the tensor `id` goes into a slot.
pub(crate) fn has_slot(id: TensorId) -> bool {
    ACTIVE.with_borrow(|active| {
        active
            .as_ref()
            .is_some_and(|active| active.slots.contains_key(&id))
    })
}

/// Gradient of the tensor `id`: into its slot if it has one (then `None`), else
/// into a new tensor of shape `shape`.
///
/// `compute(into, accumulate)` adds to `into` if `accumulate`, else overwrites
/// it; what `into` held then means nothing.
pub(crate) fn deliver<T: Real>(
    id: TensorId,
    shape: &Shape,
    compute: impl FnOnce(&mut [T], bool) -> Result<()>,
) -> Result<Option<Tensor>> {
    // Taken out while in use: `compute` runs parallel code, and this thread may
    // be lent to a stranger's task meanwhile.
    let mut active = ACTIVE.take();
    let result = (|| {
        if let Some(active) = &mut active
            && let Some(slot) = active.slots.get_mut(&id)
            && let Memory::Host(data) = &mut active.memory
            && let Some(into) = T::from_f32_slot(&mut data[slot.range.clone()])
        {
            let accumulate = !std::mem::replace(&mut slot.empty, false);
            compute(into, accumulate)?;
            return Ok(None);
        }
        let mut grad = buffer(shape.elem_count());
        compute(&mut grad, false)?;
        Ok(Some(tensor(grad, shape.clone())))
    })();
    ACTIVE.set(active);
    result
}

/// As [`deliver`], of `x`, on the GPU that it lies on; `compute` gets the place of the gradient.
#[cfg(feature = "cuda")]
pub(crate) fn deliver_on_gpu<T: Real>(
    id: TensorId,
    x: &Tensor,
    compute: impl FnOnce(crate::cuda::Pointer, bool) -> Result<()>,
) -> Result<Option<Tensor>> {
    let slot = ACTIVE.with_borrow_mut(|active| {
        let active = active.as_mut()?;
        let slot = active.slots.get_mut(&id)?;
        let Memory::Gpu(data) = &active.memory else {
            return None;
        };
        let is_single = T::DTYPE == DType::F32;
        is_single.then(|| {
            let accumulate = !std::mem::replace(&mut slot.empty, false);
            (data.pointer().at::<f32>(slot.range.start), accumulate)
        })
    });
    if let Some((into, accumulate)) = slot {
        compute(into, accumulate)?;
        return Ok(None);
    }
    let Some(device) = crate::cuda::device_of(x) else {
        bail!("expected a tensor on a GPU, got one on {:?}", x.device());
    };
    let grad = Buffer::<T>::new(device, x.elem_count())?;
    compute(grad.pointer(), false)?;
    Ok(Some(grad.into_tensor(x.shape())))
}
