//! The buffer that gradients of parameters lie in, and its lending to the backward pass
//! that this thread runs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use candle_core::{DType, Result, Shape, Tensor, TensorId, Var, bail};

use crate::Real;
use crate::storage::{buffer, tensor, values};

thread_local! {
    /// The buffer that backward passes on this thread write into.
    static ACTIVE: RefCell<Option<Slots>> = const { RefCell::new(None) };
}

/// A slot for each parameter, in the order given.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) data: Vec<f32>,
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
        let mut end = 0;
        for param in params {
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
        made.data = vec![0.0; end];
        Ok(made)
    }

    /// Forgets all gradients.
    pub(super) fn clear(&mut self) {
        for slot in self.slots.values_mut() {
            slot.empty = true;
        }
    }

    /// The gradients of the parameter `id`, if it has a slot.
    pub(super) fn of(&self, id: TensorId) -> Option<&[f32]> {
        let slot = self.slots.get(&id)?;
        Some(&self.data[slot.range.clone()])
    }

    /// Writes zeros where nothing arrived.
    pub(super) fn fill_empty(&mut self) {
        for slot in self.slots.values_mut().filter(|slot| slot.empty) {
            self.data[slot.range.clone()].fill(0.0);
        }
    }

    /// Adds `grad` to the slot of the parameter `id`, which has one.
    pub(super) fn add(&mut self, id: TensorId, grad: &Tensor) -> Result<()> {
        let grad = grad.to_dtype(DType::F32)?.contiguous()?;
        let grad = values::<f32>(&grad)?;
        let slot = self.slots.get_mut(&id).expect("`order` names slots only");
        let into = &mut self.data[slot.range.clone()];
        if std::mem::replace(&mut slot.empty, false) {
            into.copy_from_slice(&grad);
        } else {
            into.iter_mut()
                .zip(grad.iter())
                .for_each(|(sum, g)| *sum += g);
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
            && let Some(into) = T::from_f32_slot(&mut active.data[slot.range.clone()])
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
