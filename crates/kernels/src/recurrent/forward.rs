//! All steps ahead.

use super::cell::{Cell, Forward};
use super::steps::Steps;
use crate::gemm::{Mat, MatMut, gemm};
use crate::storage::buffer;
use crate::{Precision, Real};

/// What the steps leave, in the order of time.
pub(super) struct Run<T> {
    /// The gates, after their functions, `[n, GATES · d]`.
    pub(super) gates: Vec<T>,
    /// What else the cell remembers, `[n, d]`.
    pub(super) extra: Vec<T>,
    /// `[n, d]`
    pub(super) states: Vec<T>,
}

/// `gates` holds the projected inputs, in the order of time.
pub(super) fn run<C: Cell, T: Real>(
    steps: &Steps,
    d: usize,
    mut gates: Vec<T>,
    w: &[T],
    bias: Option<&[T]>,
) -> Run<T> {
    let width = C::GATES * d;
    let n = steps.n_rows();
    let (mut extra, mut states) = (buffer::<T>(n * d), buffer::<T>(n * d));
    let zeros = buffer::<T>(steps.widest() * d);
    let mut hidden = buffer::<T>(steps.widest() * width);
    for step in 0..steps.len() {
        let rows = steps.at(step);
        let hidden = &mut hidden[..rows.len() * width];
        match bias {
            Some(bias) => hidden
                .chunks_exact_mut(width)
                .for_each(|row| row.copy_from_slice(bias)),
            None => hidden.fill(T::zero()),
        }
        let (states_past, states) = states.split_at_mut(rows.start * d);
        let (extra_past, extra) = extra.split_at_mut(rows.start * d);
        let (before, extra_before) = match steps.before(step) {
            None => (&zeros[..], &zeros[..]),
            Some(before) => {
                let at = before.start * d..before.end * d;
                (&states_past[at.clone()], &extra_past[at])
            }
        };
        if step > 0 {
            gemm(
                Precision::F32,
                MatMut::new(hidden, rows.len(), width),
                true,
                Mat::new(before, rows.len(), d),
                Mat::new(w, width, d).t(),
            );
        }
        Forward {
            d,
            gates: &mut gates[rows.start * width..rows.end * width],
            hidden,
            before,
            extra_before,
            extra: &mut extra[..rows.len() * d],
            states: &mut states[..rows.len() * d],
        }
        .run::<C>();
    }
    Run {
        gates,
        extra,
        states,
    }
}
