//! Gradients of parameters in one flat buffer.
//!
//! Candle's tape gives every parameter a gradient tensor of its own: allocated,
//! zeroed, added to and dropped once a step. A trainer wants them side by side:
//! to accumulate over micro-batches, to take one norm, to run one optimiser. So
//! while [`FlatGrads::backward`] runs, our operations add the gradient of a
//! parameter straight into its slot and hand nothing to the tape. Without it
//! (`loss.backward()`), the same kernels write the same bits into tensors, and
//! Candle's [`GradStore`](candle_core::backprop::GradStore) holds them.

pub(crate) mod slots;

use std::borrow::Cow;

use candle_core::{Result, Tensor, Var};

use crate::memory::Memory;
use crate::tape;
use slots::{Lent, Slots};

/// One `f32` gradient slot for each parameter, in the order given.
#[derive(Debug, Default)]
pub struct FlatGrads(Slots);

impl FlatGrads {
    /// Makes room for the gradients of `params`.
    ///
    /// # Errors
    ///
    /// Fails if a parameter is not `f32`.
    pub fn new<'a>(params: impl IntoIterator<Item = &'a Var>) -> Result<Self> {
        Ok(Self(Slots::new(params)?))
    }

    /// Forgets all gradients.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds the gradient of `loss` with respect to every parameter; the graph is
    /// freed on the way, see [`crate::backward`].
    ///
    /// # Shapes
    ///
    /// - `loss`: a scalar
    pub fn backward(&mut self, loss: Tensor) -> Result<()> {
        let lent = Lent::new(&mut self.0);
        let store = tape::backward(loss);
        drop(lent);
        let mut store = store?;
        for id in self.0.order.clone() {
            // What operations that know no slots have left on the tape.
            let Some(grad) = store.get_id(id).cloned() else {
                continue;
            };
            store.insert_id(id, grad.detach());
            self.0.add(id, &grad)?;
        }
        self.0.fill_empty()
    }

    /// All gradients, parameter after parameter, zero where none arrived: a copy if they lie
    /// on a GPU.
    ///
    /// # Errors
    ///
    /// Fails if they cannot be copied.
    pub fn values(&self) -> Result<Cow<'_, [f32]>> {
        self.0.memory.to_host()
    }

    /// Euclidean norm of all gradients together, added up in `f64`.
    ///
    /// # Errors
    ///
    /// Fails if they lie on a GPU that fails.
    pub fn norm(&self) -> Result<f64> {
        match &self.0.memory {
            Memory::Host(grads) => Ok(crate::optim::global_norm(grads)),
            #[cfg(feature = "cuda")]
            Memory::Gpu(grads) => crate::optim::norm_on_gpu(grads),
        }
    }

    /// The gradients of one parameter, flat, or `None` if it has no slot: a copy if they lie
    /// on a GPU.
    ///
    /// # Errors
    ///
    /// As [`FlatGrads::values`].
    pub fn of(&self, param: &Var) -> Result<Option<Cow<'_, [f32]>>> {
        let range = self.0.range_of(param.id());
        range
            .map(|range| self.0.memory.part_to_host(range))
            .transpose()
    }

    /// The memory that all gradients lie in.
    pub(crate) fn memory(&self) -> &Memory {
        &self.0.memory
    }
}

#[cfg(test)]
mod tests;
