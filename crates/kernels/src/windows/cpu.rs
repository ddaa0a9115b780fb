//! The loops on slices.

use candle_core::WithDType;

use super::place::Places;
use crate::Real;
use crate::parallel::{Pieces, each_piece, rows_a_piece, rows_mut};
use crate::simd::write;

/// `y` starts as zeros.
pub(super) fn unfold<T: Real>(places: &impl Places, x: &[T], d: usize, y: &mut [T]) {
    let width = places.n_taps() * d;
    rows_mut(y, width, |first, y| {
        for (window, y) in (first..).zip(y.chunks_exact_mut(width)) {
            places.rows_of(window, |tap, row| {
                y[tap * d..(tap + 1) * d].copy_from_slice(&x[row * d..(row + 1) * d]);
            });
        }
    });
}

/// `dx` starts as zeros.
pub(super) fn fold<T: Real>(places: &impl Places, dy: &[T], d: usize, dx: &mut [T]) {
    let width = places.n_taps() * d;
    rows_mut(dx, d, |first, dx| {
        for (row, dx) in (first..).zip(dx.chunks_exact_mut(d)) {
            places.windows_of(row, |window, tap| {
                let at = window * width + tap * d;
                write(&dy[at..at + d], dx, true);
            });
        }
    });
}

/// `1 / rows` of a window; it has one at least.
fn share<T: Real>(places: &impl Places, window: usize) -> T {
    let mut rows = 0;
    places.rows_of(window, |_, _| rows += 1);
    <T as WithDType>::from_f64(1.0 / f64::from(rows))
}

/// `y` starts as zeros.
pub(super) fn mean<T: Real>(places: &impl Places, x: &[T], d: usize, y: &mut [T]) {
    rows_mut(y, d, |first, y| {
        for (window, y) in (first..).zip(y.chunks_exact_mut(d)) {
            places.rows_of(window, |_, row| write(&x[row * d..(row + 1) * d], y, true));
            let share = share::<T>(places, window);
            y.iter_mut().for_each(|y| *y *= share);
        }
    });
}

/// `dx` starts as zeros.
pub(super) fn mean_backward<T: Real>(places: &impl Places, dy: &[T], d: usize, dx: &mut [T]) {
    rows_mut(dx, d, |first, dx| {
        for (row, dx) in (first..).zip(dx.chunks_exact_mut(d)) {
            places.windows_of(row, |window, _| {
                let share = share::<T>(places, window);
                let dy = &dy[window * d..(window + 1) * d];
                dx.iter_mut()
                    .zip(dy)
                    .for_each(|(dx, &dy)| *dx += dy * share);
            });
        }
    });
}

/// `taken` receives the place in the window that each value of `y` comes from. A NaN is
/// larger than any number.
pub(super) fn max<T: Real>(
    places: &impl Places,
    x: &[T],
    d: usize,
    y: &mut [T],
    taken: &mut [u32],
) {
    if y.is_empty() {
        return;
    }
    let piece = rows_a_piece(d);
    let both = (Pieces::of(y, piece * d), Pieces::of(taken, piece * d));
    each_piece(both, |i, (y, taken)| {
        let rows = y.chunks_exact_mut(d).zip(taken.chunks_exact_mut(d));
        for (window, (y, taken)) in (i * piece..).zip(rows) {
            let mut first = true;
            places.rows_of(window, |tap, row| {
                let tap = tap as u32;
                let x = &x[row * d..(row + 1) * d];
                for ((y, taken), &x) in y.iter_mut().zip(taken.iter_mut()).zip(x) {
                    // A NaN compares with nothing, itself included.
                    if first || x > *y || x.partial_cmp(&x).is_none() {
                        (*y, *taken) = (x, tap);
                    }
                }
                first = false;
            });
        }
    });
}

/// `dx` starts as zeros.
pub(super) fn max_backward<T: Real>(
    places: &impl Places,
    dy: &[T],
    taken: &[u32],
    d: usize,
    dx: &mut [T],
) {
    rows_mut(dx, d, |first, dx| {
        for (row, dx) in (first..).zip(dx.chunks_exact_mut(d)) {
            places.windows_of(row, |window, tap| {
                let at = window * d..(window + 1) * d;
                let passed = dy[at.clone()].iter().zip(&taken[at]);
                for (dx, (&dy, &taken)) in dx.iter_mut().zip(passed) {
                    if taken as usize == tap {
                        *dx += dy;
                    }
                }
            });
        }
    });
}
