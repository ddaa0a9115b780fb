//! The forward pass: destination by destination.

use std::ops::Range;

use super::call::{Call, Scratch};
use super::pairs::{Pairs, blocks, stride};
use super::score::Score;
use super::softmax::Running;
use crate::Real;
use crate::attention::ln;
use crate::parallel::numbers;
use crate::simd::{Kernel, Lanes, map1};
use crate::view::{Panel, SharedRows};

/// Results of the forward pass.
pub(super) struct Results<'a, T> {
    /// `[n_destinations, n_heads · head_dim]`, zeros at first
    pub(super) y: SharedRows<'a, T>,
    /// `[n_destinations, stride]`: logarithm of the sum of `e^score`; `inf` for a row
    /// that reads nothing, and past the heads
    pub(super) log_sum: SharedRows<'a, T>,
}

/// Computes all results.
pub(super) fn forward<T: Real, S: Score<T>>(call: &Call<'_, T, S>, results: &Results<'_, T>) {
    let pieces = call.edges.incoming().pieces;
    numbers(pieces.len(), &|i| {
        let rows = &pieces[i];
        let Call { heads, .. } = call;
        // SAFETY: pieces share no row.
        let y = unsafe { results.y.panel(rows.clone(), 0..heads.q_width()) };
        // SAFETY: as above.
        let log_sum = unsafe {
            results
                .log_sum
                .panel(rows.clone(), 0..stride(heads.n_heads))
        };
        T::dispatch(Piece {
            call,
            rows: rows.clone(),
            y,
            log_sum,
        });
    });
}

/// The results of some rows.
struct Piece<'a, 'b, T, S> {
    call: &'a Call<'b, T, S>,
    rows: Range<usize>,
    y: Panel<'a, T>,
    log_sum: Panel<'a, T>,
}

impl<T: Real, S: Score<T>> Kernel<T> for Piece<'_, '_, T, S> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(mut self, lanes: L) {
        let call = self.call;
        let (h, d) = (call.heads.n_heads, call.heads.head_dim);
        let side = call.edges.incoming();
        let mut scratch = Scratch::new(h);
        let mut running = Running::new(h);
        let first = self.rows.start;
        for row in self.rows {
            let y = self.y.row(row - first);
            running.start();
            let places = side.places(row);
            for block in blocks(places.clone()) {
                let again = block.start > places.start;
                let pairs = Pairs::incoming(side, row, block);
                call.scores(lanes, &pairs, &mut scratch.scores);
                running.step(lanes, pairs.len(), &mut scratch.scores);
                if again {
                    scale_heads(lanes, &running.decay, d, y);
                }
                call.drop(lanes, &pairs, &mut scratch);
                call.add_values(lanes, &pairs, &scratch.scores, y);
            }
            let log_sum = self.log_sum.row(row - first);
            log_sum[h..].fill(T::from_f64(f64::INFINITY));
            for (head, log_sum) in log_sum[..h].iter_mut().enumerate() {
                let (max, sum) = (running.max[head], &mut running.sum[head]);
                if *sum == T::zero() {
                    *log_sum = T::from_f64(f64::INFINITY);
                } else {
                    *log_sum = max + ln(*sum);
                    *sum = T::one() / *sum;
                }
            }
            scale_heads(lanes, &running.sum, d, y);
        }
    }
}

/// `y[h] *= factors[h]`
#[inline(always)]
fn scale_heads<L: Lanes>(lanes: L, factors: &[L::Elem], head_dim: usize, y: &mut [L::Elem]) {
    for (y, &factor) in y.chunks_exact_mut(head_dim).zip(factors) {
        let factor = lanes.splat(factor);
        map1(lanes, y, |y| lanes.mul(factor, y));
    }
}
