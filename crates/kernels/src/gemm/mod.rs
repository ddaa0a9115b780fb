//! Matrix products, on views with strides.
//!
//! Those of numbers as they are go through the `gemm` crate (see [`parts`]), those of
//! numbers rounded to `bf16` through [`half`]. The bits of a product do not depend on the
//! number of threads.

#[cfg_attr(target_arch = "x86_64", path = "half/mod.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "half_portable.rs")]
mod half;
mod parts;
mod row;
#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use crate::profile::{self, Shape};
use crate::{Precision, Real};
use half::Halves;

/// Whether products of `bf16` are made here.
pub(crate) fn computes_bf16() -> bool {
    Halves::detect().is_some()
}

/// A matrix inside a slice.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// `rows × cols` values, row after row.
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::columns_of(data, rows, cols, cols)
    }

    /// The first `cols` columns of a matrix that is `width` wide.
    pub(crate) fn columns_of(data: &'a [T], rows: usize, cols: usize, width: usize) -> Self {
        assert!(cols <= width && (rows == 0 || data.len() >= (rows - 1) * width + cols));
        Self {
            data,
            rows,
            cols,
            row_stride: width,
            col_stride: 1,
        }
    }

    /// The same view of numbers that lie as these do.
    fn with<U>(self, data: &[U]) -> Mat<'_, U> {
        assert!(data.len() == self.data.len());
        let Self {
            rows,
            cols,
            row_stride,
            col_stride,
            ..
        } = self;
        Mat {
            data,
            rows,
            cols,
            row_stride,
            col_stride,
        }
    }

    /// Whether its columns, not its rows, lie together.
    fn is_turned(&self) -> bool {
        self.col_stride > self.row_stride
    }

    /// The transpose, a view.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix that receives a product: `cols` columns of rows that are `width` wide.
pub(crate) struct MatMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    width: usize,
}

impl<'a, T> MatMut<'a, T> {
    /// `rows × cols` values, row after row.
    pub(crate) fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::columns_of(data, rows, cols, cols)
    }

    /// The first `cols` columns of a matrix that is `width` wide.
    pub(crate) fn columns_of(data: &'a mut [T], rows: usize, cols: usize, width: usize) -> Self {
        assert!(cols <= width && (rows == 0 || data.len() >= (rows - 1) * width + cols));
        Self {
            data,
            rows,
            cols,
            width,
        }
    }
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
    // SAFETY: every value of `dst` is initialised, and only values are written over them.
    let data = unsafe { &mut *(std::ptr::from_mut(dst.data) as *mut [MaybeUninit<T>]) };
    // SAFETY: so `accumulate` finds numbers.
    unsafe { write(precision, data, dst.width, accumulate, a, b) }
}

/// `a b`, in memory that nothing was written to before.
pub(crate) fn product<T: Real>(precision: Precision, a: Mat<'_, T>, b: Mat<'_, T>) -> Vec<T> {
    let (rows, cols) = (a.rows, b.cols);
    let mut made = Vec::with_capacity(rows * cols);
    // SAFETY: there is room for `rows` rows of `cols` values, all of which are written,
    // and none read.
    unsafe {
        let room = &mut made.spare_capacity_mut()[..rows * cols];
        write(precision, room, cols, false, a, b);
        made.set_len(rows * cols);
    }
    made
}

/// As [`gemm`], into rows of `dst` that are `width` wide. What `dst` holds is read only if
/// `accumulate`, and all that belongs to the product is written.
///
/// # Safety
///
/// If `accumulate`, `dst` is initialised.
unsafe fn write<T: Real>(
    precision: Precision,
    dst: &mut [MaybeUninit<T>],
    width: usize,
    accumulate: bool,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert!(b.rows == k, "{m}×{k} times {}×{n}", b.rows);
    if m == 0 || n == 0 {
        return;
    }
    assert!(n <= width && dst.len() >= (m - 1) * width + n);
    if k == 0 {
        // No sum has a term: all are zero.
        if !accumulate {
            for row in dst.chunks_mut(width).take(m) {
                row[..n].fill(MaybeUninit::new(T::zero()));
            }
        }
        return;
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
        let rounded = match precision {
            Precision::F32 => None,
            Precision::Bf16 => Halves::detect(),
        };
        let singles = (T::singles(a.data), T::singles(b.data));
        if let (Some(halves), (Some(left), Some(right))) = (rounded, singles)
            && let Some(dst) = T::singles_mut(dst)
        {
            // SAFETY: the caller's promise.
            unsafe { halves.gemm(dst, width, accumulate, a.with(left), b.with(right)) };
        } else {
            // SAFETY: the caller's promise, and what was asserted.
            unsafe { parts::gemm(dst, width, accumulate, a, b) };
        }
    });
}
