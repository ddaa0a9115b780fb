//! Matrix products, on views with strides.
//!
//! With vectors of 512 bits, products of `f32` and of numbers rounded to `bf16` are our own
//! (see [`avx512`]); all others go through the `gemm` crate (see [`parts`]). The bits of a
//! product do not depend on the number of threads.

#[cfg_attr(target_arch = "x86_64", path = "avx512/mod.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "avx512_portable.rs")]
mod avx512;
mod matrix;
mod parts;
mod room;
mod row;
#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use crate::parallel::{each, rows_a_piece};
use crate::profile::{self, Shape};
use crate::{Precision, Real};
use avx512::Wide;
use room::{Room, Then};

pub(crate) use matrix::{Mat, MatMut};

/// Whether products of `bf16` are made here.
pub(crate) fn computes_bf16() -> bool {
    Wide::computes_bf16()
}

/// `dst = a b`, or `dst += a b` if `accumulate`.
pub(crate) fn gemm<T: Real>(
    precision: Precision,
    dst: MatMut<'_, T>,
    accumulate: bool,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
) {
    assert!(dst.rows == a.rows && dst.cols == b.cols);
    let len = match dst.rows {
        0 => 0,
        rows => (rows - 1) * dst.width + dst.cols,
    };
    let data: *mut [T] = &mut dst.data[..len];
    let room = Room {
        // SAFETY: every value of `dst` is initialised, and only values are written over them.
        data: unsafe { &mut *(data as *mut [MaybeUninit<T>]) },
        sides: &mut [],
        width: dst.width,
        accumulate,
    };
    // SAFETY: so `accumulate` finds numbers, and there are numbers between rows.
    unsafe { write(precision, room, a, b, &|_, _, _| ()) }
}

/// `a b`, in memory that nothing was written to before.
pub(crate) fn product<T: Real>(precision: Precision, a: Mat<'_, T>, b: Mat<'_, T>) -> Vec<T> {
    let [made, _] = make(precision, a, b, false, &|_, _, _| ());
    made
}

/// `a b`, then `then(first_row, rows)` for some of its rows after the other, each once, by
/// the thread that made them and while they are in its cache.
pub(crate) fn product_then<T: Real>(
    precision: Precision,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    then: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    let [made, _] = make(precision, a, b, false, &|first, rows, _| then(first, rows));
    made
}

/// As [`product_then`], with a second matrix of the same shape: `then` gets its rows, too,
/// all zeros.
pub(crate) fn product_beside<T: Real>(
    precision: Precision,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    then: impl Fn(usize, &mut [T], &mut [T]) + Sync,
) -> [Vec<T>; 2] {
    make(precision, a, b, true, &then)
}

/// `a b` and, if `beside`, a second matrix; `then` is called for all of their rows.
fn make<T: Real>(
    precision: Precision,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    beside: bool,
    then: Then<'_, T>,
) -> [Vec<T>; 2] {
    let len = a.rows * b.cols;
    let lens = [len, if beside { len } else { 0 }];
    let mut made = lens.map(Vec::with_capacity);
    let [data, sides] = &mut made;
    let room = Room {
        data: &mut data.spare_capacity_mut()[..lens[0]],
        sides: &mut sides.spare_capacity_mut()[..lens[1]],
        width: b.cols,
        accumulate: false,
    };
    // SAFETY: there is room for all numbers of the product, which are written and not read,
    // and as many beside, all of which are zeroed for `then`.
    unsafe {
        write(precision, room, a, b, then);
        for (made, len) in made.iter_mut().zip(lens) {
            made.set_len(len);
        }
    }
    made
}

/// The product, then `then` for all of its rows.
///
/// # Safety
///
/// What is added to, and what lies between the rows of a product that is narrower than `dst`,
/// is initialised.
unsafe fn write<T: Real>(
    precision: Precision,
    mut dst: Room<'_, T>,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    then: Then<'_, T>,
) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert!(b.rows == k, "{m}×{k} times {}×{n}", b.rows);
    if m == 0 || n == 0 {
        return;
    }
    assert!(n <= dst.width && dst.data.len() == (m - 1) * dst.width + n);
    if k == 0 && !dst.accumulate {
        // No sum has a term: all are zero.
        for row in dst.data.chunks_mut(dst.width) {
            row[..n].fill(MaybeUninit::new(T::zero()));
        }
    }
    if k == 0 {
        // SAFETY: zeros, and what the caller promises.
        return unsafe { finish(dst, then) };
    }
    let turned = [a.is_turned(), b.is_turned()];
    let shape = Shape {
        m,
        n,
        k,
        turned,
        precision,
    };
    profile::product(shape, || {
        let wide = Wide::of(precision, a, b);
        let singles = T::singles(a.data).zip(T::singles(b.data));
        if let Some((wide, (left, right))) = wide.zip(singles)
            && let Some(dst) = dst.singles()
        {
            let then = |first: usize, rows: &mut [f32], sides: &mut [f32]| {
                if let (Some(rows), Some(sides)) = (T::from_f32_slot(rows), T::from_f32_slot(sides))
                {
                    then(first, rows, sides);
                }
            };
            // SAFETY: the caller's promise.
            unsafe { wide.gemm(dst, a.with(left), b.with(right), &then) };
        } else {
            // SAFETY: the caller's promise, and what was asserted.
            unsafe { parts::gemm(&mut dst, a, b) };
            // SAFETY: the product was written into it.
            unsafe { finish(dst, then) };
        }
    });
}

/// Calls `then` for all rows of a product.
///
/// # Safety
///
/// All of `dst` was written.
unsafe fn finish<T: Real>(mut dst: Room<'_, T>, then: Then<'_, T>) {
    each(dst.tasks(rows_a_piece(dst.width)), |_, task| {
        // SAFETY: the caller's promise.
        unsafe { task.finish(then) }
    });
}
