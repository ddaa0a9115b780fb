//! The softmax over the edges of a row, head by head, a block of edges at a time.
//!
//! Scores have a row for each edge, `stride` numbers wide. Where that is less than a
//! vector, each vector has several edges, and sums and maxima are folded once a block.

use super::pairs::{padded, stride};
use crate::Real;
use crate::simd::{LONGEST, Lanes, map2, update};

/// Scores below it are forbidden: `-inf` in a bias.
const FORBIDDEN: f64 = -3e38;

/// What the softmax of one destination has seen so far; `stride` numbers each, again and
/// again to the end of a vector.
pub(super) struct Running<T> {
    n_heads: usize,
    pub(super) max: Vec<T>,
    pub(super) sum: Vec<T>,
    /// What sums of earlier blocks are multiplied by.
    pub(super) decay: Vec<T>,
}

impl<T: Real> Running<T> {
    pub(super) fn new(n_heads: usize) -> Self {
        let numbers = || vec![T::zero(); stride(n_heads).max(LONGEST)];
        Self {
            n_heads,
            max: numbers(),
            sum: numbers(),
            decay: numbers(),
        }
    }

    /// Forgets everything.
    #[inline(always)]
    pub(super) fn start(&mut self) {
        self.max.fill(T::from_f64(f64::NEG_INFINITY));
        self.sum.fill(T::zero());
    }

    /// Turns the scores of `n` further edges into weights, relative to the largest score
    /// so far.
    #[inline(always)]
    pub(super) fn step<L: Lanes<Elem = T>>(&mut self, lanes: L, n: usize, scores: &mut [T]) {
        let h = stride(self.n_heads);
        // Lanes that far apart are of one head.
        let wide = h.max(L::N);
        let scores = &mut scores[..padded(n, self.n_heads)];
        scores[n * h..].fill(T::from_f64(f64::NEG_INFINITY));
        let forbidden = lanes.constant(FORBIDDEN);
        for at in (0..wide).step_by(L::N) {
            let before = lanes.load(&self.max[at..]);
            let mut max = before;
            for i in (at..scores.len()).step_by(wide) {
                max = lanes.max(max, lanes.load(&scores[i..]));
            }
            max = across(
                lanes,
                h,
                max,
                #[inline(always)]
                |a, b| lanes.max(a, b),
            );
            lanes.store(&mut self.max[at..], max);
            // The largest, but zero where all is forbidden: `-inf - -inf` is no number.
            let max = lanes.select_lt(max, forbidden, lanes.zero(), max);
            let mut sum = lanes.zero();
            for i in (at..scores.len()).step_by(wide) {
                let weight = lanes.exp(lanes.sub(lanes.load(&scores[i..]), max));
                lanes.store(&mut scores[i..], weight);
                sum = lanes.add(sum, weight);
            }
            sum = across(
                lanes,
                h,
                sum,
                #[inline(always)]
                |a, b| lanes.add(a, b),
            );
            let decay = lanes.exp(lanes.sub(before, max));
            lanes.store(&mut self.decay[at..], decay);
            let sum = lanes.mul_add(lanes.load(&self.sum[at..]), decay, sum);
            lanes.store(&mut self.sum[at..], sum);
        }
    }
}

/// `by` over every `h`-th lane of `v`, in each of them.
#[inline(always)]
fn across<L: Lanes>(lanes: L, h: usize, mut v: L::V, by: impl Fn(L::V, L::V) -> L::V) -> L::V {
    for apart in [8, 4, 2, 1] {
        if h <= apart && apart < L::N {
            v = by(v, lanes.rotate(v, apart));
        }
    }
    v
}

/// From scores to weights, `e^(scores − log_sums)`, and from gradients of kept weights to
/// those of scores, `weights ⊙ (keep ⊙ grads − deltas)`; then `weights ⊙= keep`.
#[inline(always)]
pub(super) fn again<L: Lanes>(
    lanes: L,
    weights: &mut [L::Elem],
    grads: &mut [L::Elem],
    keep: Option<&[L::Elem]>,
    [log_sums, deltas]: [&[L::Elem]; 2],
) {
    map2(
        lanes,
        weights,
        log_sums,
        #[inline(always)]
        |score, log_sum| lanes.exp(lanes.sub(score, log_sum)),
    );
    if let Some(keep) = keep {
        map2(lanes, grads, keep, |grad, keep| lanes.mul(grad, keep));
    }
    update(
        lanes,
        grads,
        weights,
        deltas,
        #[inline(always)]
        |grad, weight, delta| lanes.mul(weight, lanes.sub(grad, delta)),
    );
    if let Some(keep) = keep {
        map2(lanes, weights, keep, |weight, keep| lanes.mul(weight, keep));
    }
}
