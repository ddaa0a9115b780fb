//! What is minimised, and what is measured.

use std::sync::Arc;

use attn_core::Linear;
use candle_core::{Result, Tensor};
use kernels::{CrossEntropy, Score};

/// The target of a row that has none.
pub(crate) const IGNORED: u32 = u32::MAX;

/// How targets become one number.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LossOptions {
    /// Share of each target's probability that is spread over all classes; in `[0, 1)`.
    pub label_smoothing: f64,
    /// What the sum is divided by; `None` for the number of targets that count. With
    /// gradient accumulation, the number in all micro-batches together.
    pub divisor: Option<f64>,
}

/// What a model makes of targets; batches add up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Evaluation {
    /// Sum of the surprise at the targets, in nats.
    pub loss_sum: f64,
    /// Targets that count.
    pub n_targets: usize,
    /// Targets that the model holds for the likeliest; of equally likely ones it takes the
    /// first.
    pub n_correct: usize,
}

impl std::ops::AddAssign for Evaluation {
    fn add_assign(&mut self, other: Self) {
        self.loss_sum += other.loss_sum;
        self.n_targets += other.n_targets;
        self.n_correct += other.n_correct;
    }
}

impl Evaluation {
    /// Mean surprise, in nats; `None` without targets.
    pub fn loss(&self) -> Option<f64> {
        (self.n_targets > 0).then(|| self.loss_sum / self.n_targets as f64)
    }

    /// Share of right answers; `None` without targets.
    pub fn accuracy(&self) -> Option<f64> {
        (self.n_targets > 0).then(|| self.n_correct as f64 / self.n_targets as f64)
    }
}

/// Cross-entropy of the rows of `head(x)`.
///
/// # Shapes
///
/// - `x`: `[n, d_model]`
/// - `targets`: `[n]`
/// - returns: a scalar
pub(crate) fn loss(
    head: &Linear,
    x: &Tensor,
    targets: Arc<[u32]>,
    options: LossOptions,
) -> Result<Tensor> {
    let LossOptions {
        label_smoothing,
        divisor,
    } = options;
    let objective = CrossEntropy {
        ignore_index: Some(IGNORED),
        label_smoothing,
        divisor,
    };
    kernels::linear_cross_entropy(x, head.weight(), head.bias(), targets, &objective)
}

/// Sums of the rows of `head(x)`, without smoothing.
///
/// # Shapes
///
/// - `x`: `[n, d_model]`
/// - `targets`: `[n]`
pub(crate) fn evaluate(head: &Linear, x: &Tensor, targets: &[u32]) -> Result<Evaluation> {
    let objective = CrossEntropy {
        ignore_index: Some(IGNORED),
        label_smoothing: 0.0,
        divisor: None,
    };
    let score =
        kernels::linear_cross_entropy_eval(x, head.weight(), head.bias(), targets, &objective)?;
    let Score {
        loss,
        n_valid,
        n_correct,
    } = score;
    Ok(Evaluation {
        loss_sum: loss,
        n_targets: n_valid,
        n_correct,
    })
}
