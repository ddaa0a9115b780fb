//! Whether a forward pass trains, and where its random draws come from.

/// One forward pass through a model: evaluation, or training at one place of a run.
///
/// Dropout draws from (`seed`, `step`, site of the layer, element): two passes with
/// the same `Pass` drop the same elements, whatever the number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    training: Option<(u64, u64)>,
}

impl Pass {
    /// A pass that drops nothing.
    pub fn eval() -> Self {
        Self { training: None }
    }

    /// A pass that trains. `step` numbers the forward passes of a run: with gradient
    /// accumulation every micro-batch has its own.
    pub fn train(seed: u64, step: u64) -> Self {
        Self {
            training: Some((seed, step)),
        }
    }

    /// Whether this pass trains.
    pub fn is_training(self) -> bool {
        self.training.is_some()
    }
}
