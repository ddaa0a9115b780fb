//! The loops of `segment_pool` on slices.

use std::ops::Range;

use candle_core::WithDType;

use super::Pool;
use crate::Real;
use crate::parallel::rows_mut;
use crate::simd::write;

fn segment(cu_seqlens: &[u32], i: usize) -> Range<usize> {
    cu_seqlens[i] as usize..cu_seqlens[i + 1] as usize
}

fn one_over<T: Real>(n: usize) -> T {
    <T as WithDType>::from_f64(1.0 / n as f64)
}

/// `y` starts as zeros.
pub(super) fn pool<T: Real>(pool: Pool, cu_seqlens: &[u32], x: &[T], d: usize, y: &mut [T]) {
    let row = |i: usize| &x[i * d..(i + 1) * d];
    rows_mut(y, d, |first, y| {
        for (i, y) in y.chunks_exact_mut(d).enumerate() {
            let rows = segment(cu_seqlens, first + i);
            match pool {
                _ if rows.is_empty() => {}
                Pool::First => y.copy_from_slice(row(rows.start)),
                Pool::Last => y.copy_from_slice(row(rows.end - 1)),
                Pool::Sum => rows.for_each(|i| write(row(i), y, true)),
                Pool::Mean => {
                    let share = one_over::<T>(rows.len());
                    rows.for_each(|i| write(row(i), y, true));
                    y.iter_mut().for_each(|y| *y *= share);
                }
            }
        }
    });
}

/// `dx` starts as zeros.
pub(super) fn pool_backward<T: Real>(
    pool: Pool,
    cu_seqlens: &[u32],
    dy: &[T],
    d: usize,
    dx: &mut [T],
) {
    rows_mut(dx, d, |first, dx| {
        // The last segment that starts at or before the row; those before it that
        // start there, too, are empty.
        let mut i = cu_seqlens.partition_point(|&wall| wall as usize <= first) - 1;
        for (row, dx) in (first..).zip(dx.chunks_exact_mut(d)) {
            while cu_seqlens[i + 1] as usize <= row {
                i += 1;
            }
            let (rows, dy) = (segment(cu_seqlens, i), &dy[i * d..(i + 1) * d]);
            let share = match pool {
                Pool::Mean => one_over(rows.len()),
                Pool::Sum => T::one(),
                Pool::First if row == rows.start => T::one(),
                Pool::Last if row == rows.end - 1 => T::one(),
                Pool::First | Pool::Last => continue,
            };
            dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = dy * share);
        }
    });
}
