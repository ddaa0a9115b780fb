//! Softmax on transposed tiles: a row is a key, a vector lies across queries.
//!
//! So the maximum and the sum over keys are vectors, too, and no step adds up the
//! lanes of one vector.

use super::window::{BLOCK, Ends, STRIP, Window};
use crate::Real;
use crate::simd::{Kernel, Lanes};

/// What the softmax of a block's queries knows so far, one number a query.
pub(super) struct Running<'a, T> {
    /// Largest score; `-inf` before the first.
    pub(super) max: &'a mut [T],
    /// Sum of `e^(score − max)`.
    pub(super) sum: &'a mut [T],
    /// `e^(old max − max)` of the last step: what earlier sums shrink by.
    pub(super) decay: &'a mut [T],
}

/// One step of the online softmax (Milakov and Gimelshein 2018
/// <https://arxiv.org/abs/1805.02867>): scores become `e^(score − max)`, zero where
/// a query does not read a key.
pub(super) struct OnlineSoftmax<'a, T> {
    pub(super) window: &'a Window,
    /// Needed where the window is not whole.
    pub(super) ends: Option<&'a Ends<T>>,
    /// `[TILE, BLOCK]`
    pub(super) scores: &'a mut [T],
    pub(super) running: Running<'a, T>,
}

impl<T: Real> Kernel<T> for OnlineSoftmax<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let Running { max, sum, decay } = self.running;
        let minus_infinity = lanes.constant(f64::NEG_INFINITY);
        let lowest = lanes.constant(lowest::<T>());
        for (strip, keys) in self.window.strips() {
            for i in (strip * STRIP..(strip + 1) * STRIP).step_by(L::N) {
                let before = lanes.load(&max[i..]);
                let mut largest = before;
                if let Some(ends) = self.ends {
                    let (start, end) = (lanes.load(&ends.start[i..]), lanes.load(&ends.end[i..]));
                    for j in keys.clone() {
                        let at = j * BLOCK + i;
                        let key = lanes.constant(j as f64);
                        let score = lanes.load(&self.scores[at..]);
                        let score = lanes.select_lt(key, start, minus_infinity, score);
                        let score = lanes.select_lt(key, end, score, minus_infinity);
                        lanes.store(&mut self.scores[at..], score);
                        largest = lanes.max(score, largest);
                    }
                } else {
                    for j in keys.clone() {
                        largest = lanes.max(lanes.load(&self.scores[j * BLOCK + i..]), largest);
                    }
                }
                // Where all scores are -inf, so that -inf less it is -inf, not NaN.
                let shift = lanes.select_lt(largest, lowest, lanes.zero(), largest);
                let shrink = lanes.exp(lanes.sub(before, shift));
                let mut total = lanes.mul(lanes.load(&sum[i..]), shrink);
                for j in keys.clone() {
                    let at = j * BLOCK + i;
                    let weight = lanes.exp(lanes.sub(lanes.load(&self.scores[at..]), shift));
                    lanes.store(&mut self.scores[at..], weight);
                    total = lanes.add(total, weight);
                }
                lanes.store(&mut max[i..], largest);
                lanes.store(&mut sum[i..], total);
                lanes.store(&mut decay[i..], shrink);
            }
        }
    }
}

/// The lowest number of `T` but `-inf`.
fn lowest<T: Real>() -> f64 {
    match T::DTYPE {
        candle_core::DType::F64 => f64::MIN,
        _ => f64::from(f32::MIN),
    }
}

/// Weights again from scores, and the gradient of the scores:
/// `p = e^(score − lse)`, `ds = p (m dp − delta)`, where `m` is the dropout mask;
/// the weights are left as `p m`, as they met the values.
pub(super) struct SoftmaxBackward<'a, T> {
    pub(super) window: &'a Window,
    /// Needed where the window is not whole.
    pub(super) ends: Option<&'a Ends<T>>,
    /// `[TILE, BLOCK]`: scores, then weights.
    pub(super) scores: &'a mut [T],
    /// `[TILE, BLOCK]`: gradient of the weights, then of the scores.
    pub(super) grads: &'a mut [T],
    /// `[TILE, BLOCK]`: dropout mask, if there is dropout.
    pub(super) keep: Option<&'a [T]>,
    /// Logarithm of the sum of `e^score` of each query; `inf` if it reads nothing.
    pub(super) log_sum: &'a [T],
    /// `Σ dy·y` of each query.
    pub(super) delta: &'a [T],
}

impl<T: Real> Kernel<T> for SoftmaxBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let minus_infinity = lanes.constant(f64::NEG_INFINITY);
        for (strip, keys) in self.window.strips() {
            for i in (strip * STRIP..(strip + 1) * STRIP).step_by(L::N) {
                let log_sum = lanes.load(&self.log_sum[i..]);
                let delta = lanes.load(&self.delta[i..]);
                let ends = self
                    .ends
                    .map(|ends| (lanes.load(&ends.start[i..]), lanes.load(&ends.end[i..])));
                for j in keys.clone() {
                    let at = j * BLOCK + i;
                    let mut score = lanes.load(&self.scores[at..]);
                    if let Some((start, end)) = ends {
                        let key = lanes.constant(j as f64);
                        score = lanes.select_lt(key, start, minus_infinity, score);
                        score = lanes.select_lt(key, end, score, minus_infinity);
                    }
                    let weight = lanes.exp(lanes.sub(score, log_sum));
                    let mut grad = lanes.load(&self.grads[at..]);
                    let mut kept = weight;
                    if let Some(keep) = self.keep {
                        let keep = lanes.load(&keep[at..]);
                        grad = lanes.mul(grad, keep);
                        kept = lanes.mul(weight, keep);
                    }
                    lanes.store(&mut self.scores[at..], kept);
                    lanes.store(
                        &mut self.grads[at..],
                        lanes.mul(weight, lanes.sub(grad, delta)),
                    );
                }
            }
        }
    }
}
