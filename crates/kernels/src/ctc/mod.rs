//! Connectionist temporal classification: the loss of label sequences that are shorter
//! than their frames and not aligned with them.

mod cpu;
mod lattice;
#[cfg(test)]
mod tests;

use std::ops::Range;

use candle_core::{Result, Tensor, WithDType, bail};
use rayon::prelude::*;

use crate::scaled::Scaled;
use crate::segments;
use crate::storage::{tensor, values, with_real};
use crate::tape::{record, tracked};

/// Label sequences, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct LabelSequences<'a> {
    /// The labels of all sequences.
    pub labels: &'a [u32],
    /// Where each sequence ends, `[batch]`: it starts where the one before it ends.
    pub ends: &'a [u32],
}

/// Options of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ctc {
    /// The symbol that stands for "no label here".
    pub blank: u32,
    /// What the sum of the losses is divided by; the number of sequences that can be
    /// aligned, if `None`. With micro-batches: the number in all of them.
    pub divisor: Option<f64>,
    /// Whether a sequence that cannot be aligned costs nothing, instead of being an error.
    pub zero_infinity: bool,
}

/// Surprise at each label sequence, summed over its alignments, averaged over sequences.
///
/// An alignment names a symbol for every frame; repeats, then blanks, are removed from
/// it. The loss is `−ln Σ Πₜ pₜ[πₜ]` over the alignments `π` that leave the labels, with
/// `pₜ` the softmax of row `t`: Graves et al. 2006, §4.1
/// <https://www.cs.toronto.edu/~graves/icml_2006.pdf>, as `torch.nn.functional.ctc_loss`
/// of a log-softmax with `reduction="sum"`, divided. Computed in `f64` and in logarithms,
/// whatever the type of the logits, so that no length underflows.
///
/// Labels need a frame each, and equal neighbours one more between them. A sequence with
/// fewer frames, or one whose labels have probability 0, cannot be aligned. The result is
/// NaN, with zero gradient, if no sequence can and there is no divisor.
///
/// # Shapes
///
/// - `logits`: `[n_frames, n_symbols]`, contiguous
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n_frames`
/// - `targets`: `batch` sequences of symbols that are not the blank
/// - returns: a scalar
///
/// # Errors
///
/// Fails if a sequence cannot be aligned and `zero_infinity` is false, or a label or the
/// blank is out of range (the message names the sequence), or the sizes disagree.
pub fn ctc_loss(
    logits: &Tensor,
    cu_seqlens: &[u32],
    targets: LabelSequences<'_>,
    options: &Ctc,
) -> Result<Tensor> {
    let problem = Problem::new(logits, cu_seqlens, targets, options.blank)?;
    if let Some(divisor) = options.divisor
        && !(divisor > 0.0 && divisor.is_finite())
    {
        bail!("ctc: divisor = {divisor} is not a positive number");
    }
    with_real!(logits, T => {
        let track = tracked([logits]);
        let mut work = values::<T>(logits)?.to_vec();
        let losses = problem.losses(&mut work, track);
        if let Some(i) = losses.iter().position(|&loss| loss == f64::INFINITY)
            && !options.zero_infinity
        {
            return problem.refuse(i);
        }
        let aligned = losses.iter().filter(|&&loss| loss != f64::INFINITY);
        let scale = 1.0 / options.divisor.unwrap_or(aligned.clone().count() as f64);
        let sum: f64 = aligned.sum();
        if track {
            cpu::scale(scale, &mut work);
        }
        let grad = track.then(|| tensor(work, logits.shape()));
        let loss = <T as WithDType>::from_f64(sum * scale);
        record(Scaled::<T>::new("ctc", [grad]), &[logits], vec![loss], ())
    })
}

/// Surprise at each label sequence, in nats, without a gradient; infinite for one that
/// cannot be aligned. See [`ctc_loss`].
///
/// # Shapes
///
/// - `logits`: `[n_frames, n_symbols]`, contiguous
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n_frames`
/// - `targets`: `batch` sequences of symbols that are not the blank
/// - returns: `batch` losses
///
/// # Errors
///
/// Fails if a label or the blank is out of range, or the sizes disagree.
pub fn ctc_losses(
    logits: &Tensor,
    cu_seqlens: &[u32],
    targets: LabelSequences<'_>,
    blank: u32,
) -> Result<Vec<f64>> {
    let problem = Problem::new(logits, cu_seqlens, targets, blank)?;
    with_real!(logits, T => Ok(problem.losses(&mut values::<T>(logits)?.to_vec(), false)))
}

/// Fewest frames that the labels can be aligned with: one each, and one for the blank
/// between equal neighbours.
pub fn ctc_min_frames(labels: &[u32]) -> usize {
    let equal = labels.windows(2).filter(|pair| pair[0] == pair[1]).count();
    labels.len() + equal
}

/// Checked arguments.
struct Problem<'a> {
    n_symbols: usize,
    cu_seqlens: &'a [u32],
    labels: Vec<&'a [u32]>,
    blank: u32,
}

impl<'a> Problem<'a> {
    fn new(
        logits: &Tensor,
        cu_seqlens: &'a [u32],
        targets: LabelSequences<'a>,
        blank: u32,
    ) -> Result<Self> {
        let (n_frames, n_symbols) = logits.dims2()?;
        segments::check("ctc", cu_seqlens, n_frames)?;
        if blank as usize >= n_symbols {
            bail!("ctc: blank = {blank} is not below {n_symbols} symbols");
        }
        let batch = cu_seqlens.len() - 1;
        let LabelSequences { labels, ends } = targets;
        if ends.len() != batch {
            bail!("ctc: {batch} sequences of frames, {} of labels", ends.len());
        }
        let end = ends.last().map_or(0, |&end| end as usize);
        if !ends.is_sorted() || end != labels.len() {
            bail!(
                "ctc: the ends {ends:?} do not rise to {} labels",
                labels.len()
            );
        }
        let mut start = 0;
        let mut sequences = Vec::with_capacity(batch);
        for (i, &end) in ends.iter().enumerate() {
            let of_sequence = &labels[std::mem::replace(&mut start, end as usize)..end as usize];
            for &label in of_sequence {
                if label as usize >= n_symbols {
                    bail!("ctc: label {label} of sequence {i} is not below {n_symbols} symbols");
                }
                if label == blank {
                    bail!("ctc: label {label} of sequence {i} is the blank");
                }
            }
            sequences.push(of_sequence);
        }
        Ok(Self {
            n_symbols,
            cu_seqlens,
            labels: sequences,
            blank,
        })
    }

    fn frames(&self, i: usize) -> Range<usize> {
        self.cu_seqlens[i] as usize..self.cu_seqlens[i + 1] as usize
    }

    /// Says why sequence `i` cannot be aligned.
    fn refuse(&self, i: usize) -> Result<Tensor> {
        let (n_frames, n_labels) = (self.frames(i).len(), self.labels[i].len());
        let needed = ctc_min_frames(self.labels[i]);
        if n_frames < needed {
            bail!(
                "ctc: sequence {i} has {n_frames} frames, but its {n_labels} labels need \
                 {needed}; subsample less, drop it, or set zero_infinity"
            );
        }
        bail!(
            "ctc: the labels of sequence {i} have probability 0; use finite logits, or set \
             zero_infinity"
        )
    }

    /// The loss of each sequence; over the logits comes the gradient of their sum, if
    /// `gradient`, else nothing that means anything. Zeros where the loss is infinite.
    fn losses<T: crate::Real>(&self, logits: &mut [T], gradient: bool) -> Vec<f64> {
        segments::split_mut(logits, self.cu_seqlens, self.n_symbols)
            .into_par_iter()
            .zip(&self.labels)
            .map(|(logits, labels)| {
                cpu::sequence(logits, self.n_symbols, labels, self.blank, gradient)
            })
            .collect()
    }
}
