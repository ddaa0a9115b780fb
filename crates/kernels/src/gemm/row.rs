//! One row times the transpose of a matrix: a sum of products for each of its rows.
//!
//! A model that writes reads all of its weights for every token and uses each number once,
//! so this runs as fast as memory gives them. Both sides of that are here: rows are shared
//! by the threads (the `gemm` crate leaves a single row to one), and each asks for what it
//! will read some kilobytes later, since the processor's own guess is too short.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::matrix::Mat;
use crate::Real;
use crate::simd::{Kernel, Lanes, prefetch};

/// Numbers that a task multiplies.
const TASK: usize = 1 << 15;

/// Numbers after the one that is read, from which on memory is asked for.
const AHEAD: usize = 2048;

/// Vectors that are added up side by side, so that one sum need not wait for another.
const SUMS: usize = 4;

/// If `a b` is a row times the transpose of a matrix, both of which lie together: those.
pub(super) fn find<'a, T: Real>(a: Mat<'a, T>, b: Mat<'a, T>) -> Option<(&'a [T], Mat<'a, T>)> {
    let fits = a.rows == 1 && a.col_stride == 1 && b.row_stride == 1;
    fits.then(|| (&a.data[..a.cols], b.t()))
}

/// `dst = matrix x`, or `dst += matrix x` if `accumulate`.
///
/// # Safety
///
/// If `accumulate`, `dst` is initialised.
pub(super) unsafe fn product<T: Real>(
    dst: &mut [MaybeUninit<T>],
    accumulate: bool,
    x: &[T],
    matrix: Mat<'_, T>,
) {
    let rows = (TASK / x.len()).max(1);
    dst[..matrix.rows]
        .par_chunks_mut(rows)
        .enumerate()
        .for_each(|(task, dst)| {
            T::dispatch(Sums {
                x,
                matrix,
                first: task * rows,
                dst,
                accumulate,
            });
        });
}

/// A task: rows of `matrix` from `first` on, as many as `dst` has numbers.
struct Sums<'a, T> {
    x: &'a [T],
    matrix: Mat<'a, T>,
    first: usize,
    dst: &'a mut [MaybeUninit<T>],
    accumulate: bool,
}

impl<T: Real> Kernel<T> for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let Mat {
            data, row_stride, ..
        } = self.matrix;
        let (x, k) = (self.x, self.x.len());
        let step = SUMS * L::N;
        let whole = k - k % step;
        for (i, to) in self.dst.iter_mut().enumerate() {
            let start = (self.first + i) * row_stride;
            let row = &data[start..start + k];
            let mut sums = [lanes.zero(); SUMS];
            for e in (0..whole).step_by(step) {
                let ahead = start + e + AHEAD;
                prefetch(data.get(ahead..ahead + step).unwrap_or_default());
                for (s, sum) in sums.iter_mut().enumerate() {
                    let e = e + s * L::N;
                    *sum = lanes.mul_add(lanes.load(&row[e..]), lanes.load(&x[e..]), *sum);
                }
            }
            for e in (whole..k).step_by(L::N) {
                let (row, x) = (lanes.load_partial(&row[e..]), lanes.load_partial(&x[e..]));
                sums[0] = lanes.mul_add(row, x, sums[0]);
            }
            let [a, b, c, d] = sums;
            let sum = lanes.sum(lanes.add(lanes.add(a, b), lanes.add(c, d)));
            let before = match self.accumulate {
                // SAFETY: what is added to is initialised, as `product` demands.
                true => unsafe { to.assume_init() },
                false => T::zero(),
            };
            to.write(before + sum);
        }
    }
}
