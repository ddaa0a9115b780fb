//! Cross-entropy of logits, given or made on the way.
//!
//! [`linear_cross_entropy`] never holds more than a few rows of logits: it works
//! through the rows in chunks and, where a gradient will be asked for, turns each
//! chunk's logits into their gradient and that into the gradients of `x` and `w`
//! before the next chunk (Hsu et al. 2024, §3.2 <https://arxiv.org/abs/2410.10989>).
//! The backward pass only multiplies by what comes from above.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod objective;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, Tensor, WithDType, bail};

use crate::scaled::Scaled;
use crate::storage::{buffer, same_dtype, tensor, values, with_real};
use crate::tape::{record, tracked};
use crate::{Precision, Real};
pub use objective::CrossEntropy;
use objective::Objective;

/// Cross-entropy of each row of `logits` with its target, averaged.
///
/// Row `i` costs `−(1 − s) ln pᵢ[targetᵢ] − s/classes · Σ ln pᵢ`, with `pᵢ` the
/// softmax of the row and `s` the label smoothing; Szegedy et al. 2016, §7
/// <https://arxiv.org/abs/1512.00567>, as `torch.nn.functional.cross_entropy`.
/// The result is NaN, with zero gradient, if every row is ignored and there is no
/// divisor.
///
/// # Shapes
///
/// - `logits`: `[n, classes]`, contiguous
/// - `targets`: `[n]`, each below `classes` or the ignored one
/// - returns: a scalar
///
/// # Errors
///
/// Fails if a target is out of range (the message names it and its row), or the
/// objective is.
pub fn cross_entropy(
    logits: &Tensor,
    targets: Arc<[u32]>,
    objective: &CrossEntropy,
) -> Result<Tensor> {
    let (n, classes) = logits.dims2()?;
    let objective = objective.resolve(&targets, n, classes)?;
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(logits) {
        return with_real!(logits, T => cuda::of_logits::<T>(device, logits, &targets, &objective));
    }
    with_real!(logits, T => {
        let mut work = values::<T>(logits)?.to_vec();
        let track = tracked([logits]);
        let sum: f64 = cpu::rows(&mut work, classes, &targets, &objective, track)
            .iter()
            .map(|row| row.loss)
            .sum();
        let node = Scaled::<T>::new("cross-entropy", [track.then(|| tensor(work, (n, classes)))]);
        record(node, &[logits], vec![scaled::<T>(sum, &objective)], ())
    })
}

/// Cross-entropy of `x wᵀ + bias` with the targets, averaged, without a tensor
/// of all logits.
///
/// The same number as [`cross_entropy`] of [`linear`](crate::linear). Memory
/// beyond the gradients of the arguments does not grow with `n`.
///
/// # Shapes
///
/// - `x`: `[n, in]`, contiguous
/// - `w`: `[classes, in]`, `bias`: `[classes]`
/// - `targets`: `[n]`, each below `classes` or the ignored one
/// - returns: a scalar
///
/// # Errors
///
/// As [`cross_entropy`]; and if shapes or types disagree.
pub fn linear_cross_entropy(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    targets: Arc<[u32]>,
    objective: &CrossEntropy,
) -> Result<Tensor> {
    let head = Head::new(x, w, bias)?;
    let objective = objective.resolve(&targets, head.n, head.classes)?;
    let args: Vec<&Tensor> = [x, w].into_iter().chain(bias).collect();
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return with_real!(x, T => cuda::of_linear::<T>(device, &head, &args, &targets, &objective));
    }
    with_real!(x, T => {
        let mut grads = args.iter().map(|arg| {
            arg.track_op().then(|| buffer::<T>(arg.elem_count()))
        });
        let mut grads = cpu::Grads {
            dx: grads.next().flatten(),
            dw: grads.next().flatten(),
            dbias: grads.next().flatten(),
        };
        let (x_values, w_values) = (values::<T>(x)?, values::<T>(w)?);
        let mut sum = 0.0;
        let work = tracked(args.iter().copied());
        head.chunks(&x_values, &w_values, bias, |chunk, x, logits| {
            let targets = &targets[chunk.clone()];
            let rows = cpu::rows(logits, head.classes, targets, &objective, work);
            sum += rows.iter().map(|row| row.loss).sum::<f64>();
            cpu::chunk_grads(&head, chunk, x, &w_values, logits, &mut grads);
        })?;
        let kept = grads.into_iter().zip(&args);
        let node = Scaled::<T>::new("cross-entropy", kept.map(|(g, arg)| g.map(|g| tensor(g, arg.shape()))));
        record(node, &args, vec![scaled::<T>(sum, &objective)], ())
    })
}

/// What an evaluation adds up over rows that are not ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// Sum of the losses.
    pub loss: f64,
    /// Rows with a target.
    pub n_valid: usize,
    /// Rows whose largest logit, the first if there are several, is the target's.
    pub n_correct: usize,
}

/// Sums for the evaluation of `x wᵀ + bias`, without a tensor of all logits and
/// without a gradient. The objective's divisor is not used.
///
/// # Shapes
///
/// - `x`: `[n, in]`, contiguous
/// - `w`: `[classes, in]`, `bias`: `[classes]`
/// - `targets`: `[n]`, each below `classes` or the ignored one
///
/// # Errors
///
/// As [`linear_cross_entropy`].
pub fn linear_cross_entropy_eval(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    targets: &[u32],
    objective: &CrossEntropy,
) -> Result<Score> {
    let head = Head::new(x, w, bias)?;
    let objective = objective.resolve(targets, head.n, head.classes)?;
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        let args: Vec<&Tensor> = [x, w].into_iter().chain(bias).collect();
        return with_real!(x, T => cuda::score::<T>(device, &head, &args, targets, &objective));
    }
    with_real!(x, T => {
        let mut score = Score { n_valid: objective.n_valid, ..Score::default() };
        let (x, w) = (values::<T>(x)?, values::<T>(w)?);
        head.chunks(&x, &w, bias, |chunk, _, logits| {
            for row in cpu::rows(logits, head.classes, &targets[chunk], &objective, false) {
                score.loss += row.loss;
                score.n_correct += usize::from(row.correct);
            }
        })?;
        Ok(score)
    })
}

/// The column of the largest value of each row, the first if there are several.
///
/// # Shapes
///
/// - `x`: `[n, classes]`, contiguous
/// - returns: `n` columns
///
/// # Errors
///
/// Fails if there are rows, but no columns.
pub fn argmax_rows(x: &Tensor) -> Result<Vec<u32>> {
    let (n, classes) = x.dims2()?;
    if n > 0 && classes == 0 {
        bail!("argmax: {n} rows have no columns");
    }
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return with_real!(x, T => cuda::argmax::<T>(device, x));
    }
    with_real!(x, T => Ok(cpu::argmax(&values::<T>(x)?, classes)))
}

fn scaled<T: Real>(sum: f64, objective: &Objective) -> T {
    <T as WithDType>::from_f64(sum * objective.scale)
}

/// Sizes of the affine map that makes the logits.
struct Head {
    n: usize,
    d: usize,
    classes: usize,
    precision: Precision,
}

impl Head {
    fn new(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let (n, d) = x.dims2()?;
        let (classes, d_w) = w.dims2()?;
        if d != d_w {
            bail!("cross-entropy: x is {n}×{d}, the weight reads {d_w} columns");
        }
        if let Some(bias) = bias
            && bias.dims() != [classes]
        {
            bail!(
                "cross-entropy: {classes} classes, bias of {:?}",
                bias.shape()
            );
        }
        same_dtype(x, std::iter::once(w).chain(bias))?;
        Ok(Self {
            n,
            d,
            classes,
            precision: Precision::current(),
        })
    }

    /// Calls `visit(rows, those rows of x, their logits)` chunk by chunk.
    fn chunks<T: Real>(
        &self,
        x: &[T],
        w: &[T],
        bias: Option<&Tensor>,
        mut visit: impl FnMut(Range<usize>, &[T], &mut [T]),
    ) -> Result<()> {
        let bias = bias.map(values::<T>).transpose()?;
        let rows = cpu::rows_a_chunk(self.classes).min(self.n);
        let mut logits = buffer::<T>(rows * self.classes);
        for first in (0..self.n).step_by(rows.max(1)) {
            let chunk = first..self.n.min(first + rows);
            let x = &x[first * self.d..chunk.end * self.d];
            let logits = &mut logits[..chunk.len() * self.classes];
            cpu::logits(self, chunk.len(), x, w, bias.as_deref(), logits);
            visit(chunk, x, logits);
        }
        Ok(())
    }
}
