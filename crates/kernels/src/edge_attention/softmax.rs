//! The softmax over the edges of a row, head by head, a block of edges at a time.
//!
//! Scores have a row for each edge, `stride` numbers wide.

use super::pairs::stride;
use crate::Real;
use crate::simd::{Lanes, map1, map2, update};

/// Scores below it are forbidden: `-inf` in a bias.
const FORBIDDEN: f64 = -3e38;

/// What the softmax of one destination has seen so far; `stride` numbers each.
pub(super) struct Running<T> {
    pub(super) max: Vec<T>,
    pub(super) sum: Vec<T>,
    /// What sums of earlier blocks are multiplied by.
    pub(super) decay: Vec<T>,
}

impl<T: Real> Running<T> {
    pub(super) fn new(n_heads: usize) -> Self {
        let numbers = || vec![T::zero(); stride(n_heads)];
        Self {
            max: numbers(),
            sum: numbers(),
            decay: numbers(),
        }
    }

    /// Forgets everything.
    pub(super) fn start(&mut self) {
        self.max.fill(T::from_f64(f64::NEG_INFINITY));
        self.sum.fill(T::zero());
    }

    /// Turns the scores of further edges into weights, relative to the largest score
    /// so far.
    #[inline(always)]
    pub(super) fn step<L: Lanes<Elem = T>>(&mut self, lanes: L, scores: &mut [T]) {
        let n = self.max.len();
        self.decay.copy_from_slice(&self.max);
        for scores in scores.chunks_exact(n) {
            map2(lanes, &mut self.max, scores, |a, b| lanes.max(a, b));
        }
        // The largest, but zero where all is forbidden: `-inf - -inf` is no number.
        let forbidden = lanes.constant(FORBIDDEN);
        map2(
            lanes,
            &mut self.decay,
            &self.max,
            #[inline(always)]
            |before, max| {
                let max = lanes.select_lt(max, forbidden, lanes.zero(), max);
                lanes.exp(lanes.sub(before, max))
            },
        );
        for scores in scores.chunks_exact_mut(n) {
            map2(
                lanes,
                scores,
                &self.max,
                #[inline(always)]
                |score, max| {
                    let max = lanes.select_lt(max, forbidden, lanes.zero(), max);
                    lanes.sub(score, max)
                },
            );
        }
        exp(lanes, scores);
        map2(lanes, &mut self.sum, &self.decay, |sum, decay| {
            lanes.mul(sum, decay)
        });
        for weights in scores.chunks_exact(n) {
            map2(lanes, &mut self.sum, weights, |a, b| lanes.add(a, b));
        }
    }
}

/// `x = e^x`, in whole vectors, wherever rows end.
#[inline(always)]
pub(super) fn exp<L: Lanes>(lanes: L, x: &mut [L::Elem]) {
    map1(
        lanes,
        x,
        #[inline(always)]
        |x| lanes.exp(x),
    );
}

/// `grads = weights ⊙ (keep ⊙ grads − delta)`, then `weights ⊙= keep`: from the
/// gradients of kept weights to those of scores. `delta` belongs to one edge.
#[inline(always)]
pub(super) fn backward<L: Lanes>(
    lanes: L,
    weights: &mut [L::Elem],
    grads: &mut [L::Elem],
    keep: Option<&[L::Elem]>,
    delta: &[L::Elem],
) {
    if let Some(keep) = keep {
        map2(lanes, grads, keep, |grad, keep| lanes.mul(grad, keep));
    }
    update(
        lanes,
        grads,
        weights,
        delta,
        #[inline(always)]
        |grad, weight, delta| lanes.mul(weight, lanes.sub(grad, delta)),
    );
    if let Some(keep) = keep {
        map2(lanes, weights, keep, |weight, keep| lanes.mul(weight, keep));
    }
}
