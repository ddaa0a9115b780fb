//! One sequence: from logits to emissions, and from the lattice back to logits.

use candle_core::WithDType;

use super::ctc_min_frames;
use super::lattice::Lattice;
use crate::Real;
use crate::parallel::pieces_mut;
use crate::simd::{Kernel, Lanes, map1, max, sum};

/// The loss of one sequence; over its logits comes their gradient, if `gradient`.
pub(super) fn sequence<T: Real>(
    logits: &mut [T],
    n_symbols: usize,
    labels: &[u32],
    blank: u32,
    gradient: bool,
) -> f64 {
    let n_frames = logits.len() / n_symbols;
    if ctc_min_frames(labels) > n_frames {
        logits.fill(T::zero());
        return f64::INFINITY;
    }
    // Of every frame: `ln p` of the blank, then of each label.
    let symbols: Vec<u32> = std::iter::once(blank)
        .chain(labels.iter().copied())
        .collect();
    let mut emissions = vec![0.0; n_frames * symbols.len()];
    T::dispatch(Softmax {
        logits,
        n_symbols,
        symbols: &symbols,
        emissions: &mut emissions,
    });
    let lattice = Lattice::new(labels, &emissions);
    let loss = lattice.loss();
    if loss == f64::INFINITY {
        logits.fill(T::zero());
    } else if gradient {
        lattice.visit(|frame, shares| {
            let row = &mut logits[frame * n_symbols..(frame + 1) * n_symbols];
            for (&symbol, &share) in symbols.iter().zip(shares) {
                row[symbol as usize] -= <T as WithDType>::from_f64(share);
            }
        });
    }
    loss
}

/// `x *= by`
pub(super) fn scale<T: Real>(by: f64, x: &mut [T]) {
    pieces_mut(x, |_, x| T::dispatch(Scale { by, x }));
}

struct Scale<'a, T> {
    by: f64,
    x: &'a mut [T],
}

impl<T: Real> Kernel<T> for Scale<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let by = lanes.constant(self.by);
        map1(lanes, self.x, |x| lanes.mul(x, by));
    }
}

/// Turns each row of logits into probabilities, and notes the logarithms of some.
struct Softmax<'a, T> {
    logits: &'a mut [T],
    n_symbols: usize,
    symbols: &'a [u32],
    /// One row a frame, one column a symbol of `symbols`.
    emissions: &'a mut [f64],
}

impl<T: Real> Kernel<T> for Softmax<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let rows = self.logits.chunks_exact_mut(self.n_symbols);
        let emissions = self.emissions.chunks_exact_mut(self.symbols.len());
        for (x, log_p) in rows.zip(emissions) {
            let largest = max(lanes, x);
            for (log_p, &symbol) in log_p.iter_mut().zip(self.symbols) {
                *log_p = (x[symbol as usize] - largest).to_f64();
            }
            let shift = lanes.splat(largest);
            map1(
                lanes,
                x,
                #[inline(always)]
                |x| lanes.exp(lanes.sub(x, shift)),
            );
            let total = sum(lanes, x).to_f64();
            let log_total = total.ln();
            log_p.iter_mut().for_each(|log_p| *log_p -= log_total);
            let share = lanes.constant(1.0 / total);
            map1(lanes, x, |e| lanes.mul(e, share));
        }
    }
}
