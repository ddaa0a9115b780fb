//! Products by the `gemm` crate, each as two that run side by side.
//!
//! Threads of the crate that share a product wait for each other several times in it: for
//! what one of them packs for all, and after every few hundred terms of the sums. Two
//! products, of half the rows each or of half the sum, wait once. A single row goes its
//! own way (see [`row`]).
//!
//! How a product is cut depends on its shape, never on the number of threads: so do its
//! bits.

use std::mem::MaybeUninit;

use gemm::Parallelism;
use rayon::prelude::*;

use super::matrix::Mat;
use super::room::Room;
use super::row;
use crate::parallel::rows_a_piece;
use crate::{Real, simd};

/// Rows that a result has at least if it is cut between rows.
const ROWS: usize = 64;

/// Terms that a sum has at least if it is cut.
const TERMS: usize = 512;

/// Elements that the result of half a sum has at most.
const RESULT: usize = 1 << 22;

/// `dst = a b`, or `dst += a b`.
///
/// # Safety
///
/// Shapes agree, `dst` has room, and is initialised if the product is added to it.
pub(super) unsafe fn gemm<T: Real>(dst: &mut Room<'_, T>, a: Mat<'_, T>, b: Mat<'_, T>) {
    let (width, accumulate) = (dst.width, dst.accumulate);
    let dst = &mut *dst.data;
    let (m, n, k) = (a.rows, b.cols, a.cols);
    let threads = rayon::current_num_threads();
    let each = threads.div_ceil(2);
    // Gradients of weights: both sides are many rows, of which products are summed up.
    if a.is_turned() && !b.is_turned() && k >= TERMS && m.max(n) < k && m * n <= RESULT {
        let half = k / 2;
        let mut rest: Vec<T> = Vec::with_capacity(m * n);
        let room = &mut rest.spare_capacity_mut()[..m * n];
        let (a0, b0) = (a.part(0..m, 0..half), b.part(0..half, 0..n));
        let (a1, b1) = (a.part(0..m, half..k), b.part(half..k, 0..n));
        rayon::join(
            // SAFETY: the caller's promise.
            || unsafe { whole(dst, width, accumulate, a0, b0, each) },
            // SAFETY: there is room for `m` rows of `n`, which are not read.
            || unsafe { whole(room, n, false, a1, b1, each) },
        );
        // SAFETY: all of it was just written.
        unsafe { rest.set_len(m * n) };
        // SAFETY: so was every row of the product; what lies between rows that are wider
        // is left alone.
        unsafe { add_rows(&rest, n, dst, width) };
    } else if m >= ROWS {
        let half = (m / 2).next_multiple_of(16);
        let (upper, lower) = dst.split_at_mut(half * width);
        let (a0, a1) = (a.part(0..half, 0..k), a.part(half..m, 0..k));
        rayon::join(
            // SAFETY: the caller's promise, for these rows.
            || unsafe { whole(upper, width, accumulate, a0, b, each) },
            // SAFETY: as above.
            || unsafe { whole(lower, width, accumulate, a1, b, each) },
        );
    } else if let Some((x, matrix)) = row::find(a, b) {
        // SAFETY: the caller's promise.
        unsafe { row::product(dst, accumulate, x, matrix) };
    } else {
        // SAFETY: the caller's promise.
        unsafe { whole(dst, width, accumulate, a, b, threads) };
    }
}

/// Adds `from`, rows of `n`, to the rows of `dst`, which are `width` wide.
///
/// # Safety
///
/// The first `n` elements of each row are initialised.
unsafe fn add_rows<T: Real>(from: &[T], n: usize, dst: &mut [MaybeUninit<T>], width: usize) {
    let rows = dst.par_chunks_mut(width).zip(from.par_chunks(n));
    rows.with_min_len(rows_a_piece(n)).for_each(|(to, from)| {
        let to: *mut [MaybeUninit<T>] = &mut to[..n];
        // SAFETY: the caller's promise; the layout is that of `T`.
        simd::write(from, unsafe { &mut *(to as *mut [T]) }, true);
    });
}

/// The product, shared by `threads`.
///
/// # Safety
///
/// As [`gemm`].
unsafe fn whole<T: Real>(
    dst: &mut [MaybeUninit<T>],
    width: usize,
    accumulate: bool,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    threads: usize,
) {
    let parallelism = if threads > 1 {
        Parallelism::Rayon(threads)
    } else {
        Parallelism::None
    };
    // SAFETY: the constructors checked that every row of each view, at its stride, lies
    // inside its slice; shapes agree and `dst` has room by the caller's promise.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            dst.as_mut_ptr().cast::<T>(),
            1,
            width as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            parallelism,
        );
    }
}
