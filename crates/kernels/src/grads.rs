//! Gradients of parameters in one flat buffer.
//!
//! Candle's tape gives every parameter a gradient tensor of its own: allocated,
//! zeroed, added to and dropped once a step. A trainer wants them side by side:
//! to accumulate over micro-batches, to take one norm, to run one optimiser. So
//! while [`FlatGrads::backward`] runs, our operations add the gradient of a
//! parameter straight into its slot and hand nothing to the tape. Without it
//! (`loss.backward()`), the same kernels write the same bits into tensors, and
//! Candle's [`GradStore`](candle_core::backprop::GradStore) holds them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use candle_core::{DType, Result, Tensor, TensorId, Var, bail};

use crate::Real;
use crate::storage::{buffer, tensor, values};
use crate::tape;

thread_local! {
    /// The buffer that backward passes on this thread write into.
    static ACTIVE: RefCell<Option<FlatGrads>> = const { RefCell::new(None) };
}

/// One `f32` gradient slot for each parameter, in the order given.
#[derive(Debug, Default)]
pub struct FlatGrads {
    data: Vec<f32>,
    slots: HashMap<TensorId, Slot>,
    order: Vec<TensorId>,
}

#[derive(Debug, Clone)]
struct Slot {
    range: Range<usize>,
    /// Nothing was added since the last [`FlatGrads::clear`]; the memory is stale.
    empty: bool,
}

impl FlatGrads {
    /// Makes room for the gradients of `params`.
    ///
    /// # Errors
    ///
    /// Fails if a parameter is not `f32`.
    pub fn new<'a>(params: impl IntoIterator<Item = &'a Var>) -> Result<Self> {
        let mut flat = Self::default();
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
            flat.order.push(param.id());
            flat.slots.insert(
                param.id(),
                Slot {
                    range: start..end,
                    empty: true,
                },
            );
        }
        flat.data = vec![0.0; end];
        Ok(flat)
    }

    /// Forgets all gradients.
    pub fn clear(&mut self) {
        for slot in self.slots.values_mut() {
            slot.empty = true;
        }
    }

    /// Adds the gradient of `loss` with respect to every parameter; the graph is
    /// freed on the way, see [`crate::backward`].
    ///
    /// # Shapes
    ///
    /// - `loss`: a scalar
    pub fn backward(&mut self, loss: Tensor) -> Result<()> {
        let active = Activated::enter(self);
        let store = tape::backward(loss);
        drop(active);
        let mut store = store?;
        for id in self.order.clone() {
            // What operations that know no slots have left on the tape.
            let Some(grad) = store.get_id(id).cloned() else {
                continue;
            };
            store.insert_id(id, grad.detach());
            self.add(id, &grad)?;
        }
        for slot in self.slots.values_mut().filter(|slot| slot.empty) {
            self.data[slot.range.clone()].fill(0.0);
        }
        Ok(())
    }

    /// All gradients, parameter after parameter; zero where none arrived.
    pub fn values(&self) -> &[f32] {
        &self.data
    }

    /// All gradients, to be changed in place (clipping, averaging).
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The gradients of one parameter, flat, or `None` if it has no slot.
    pub fn of(&self, param: &Var) -> Option<&[f32]> {
        self.slots
            .get(&param.id())
            .map(|slot| &self.data[slot.range.clone()])
    }

    fn add(&mut self, id: TensorId, grad: &Tensor) -> Result<()> {
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
struct Activated<'a> {
    owner: &'a mut FlatGrads,
    outer: Option<FlatGrads>,
}

impl<'a> Activated<'a> {
    fn enter(owner: &'a mut FlatGrads) -> Self {
        let outer = ACTIVE.replace(Some(std::mem::take(owner)));
        Self { owner, outer }
    }
}

impl Drop for Activated<'_> {
    fn drop(&mut self) {
        if let Some(flat) = ACTIVE.replace(self.outer.take()) {
            *self.owner = flat;
        }
    }
}

/// Whether the gradient of the tensor `id` goes into a slot.
pub(crate) fn has_slot(id: TensorId) -> bool {
    ACTIVE.with_borrow(|active| {
        active
            .as_ref()
            .is_some_and(|flat| flat.slots.contains_key(&id))
    })
}

/// Gradient of the tensor `id`: into its slot if it has one (then `None`), else
/// into a new tensor of shape `shape`.
///
/// `compute(into, accumulate)` adds to `into` if `accumulate`, else overwrites
/// it; what `into` held then means nothing.
pub(crate) fn deliver<T: Real>(
    id: TensorId,
    shape: &candle_core::Shape,
    compute: impl FnOnce(&mut [T], bool) -> Result<()>,
) -> Result<Option<Tensor>> {
    // Taken out while in use: `compute` runs parallel code, and this thread may
    // be lent to a stranger's task meanwhile.
    let mut active = ACTIVE.take();
    let result = (|| {
        if let Some(flat) = &mut active
            && let Some(slot) = flat.slots.get_mut(&id)
            && let Some(into) = T::from_f32_slot(&mut flat.data[slot.range.clone()])
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

#[cfg(test)]
mod tests;
