//! Matrix products through the `gemm` crate, on views with strides.
//!
//! The bits of a product do not depend on the number of threads: `gemm` splits
//! the result, never the sum.

use gemm::Parallelism;

use crate::Real;

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
pub(crate) fn gemm<T: Real>(dst: MatMut<'_, T>, accumulate: bool, a: Mat<'_, T>, b: Mat<'_, T>) {
    let (m, n, k) = (dst.rows, dst.cols, a.cols);
    assert!(
        a.rows == m && b.cols == n && b.rows == k,
        "{m}×{n} = {}×{} {}×{}",
        a.rows,
        a.cols,
        b.rows,
        b.cols
    );
    if m == 0 || n == 0 {
        return;
    }
    let threads = rayon::current_num_threads();
    let parallelism = if threads > 1 {
        Parallelism::Rayon(threads)
    } else {
        Parallelism::None
    };
    // SAFETY: the constructors checked that every row of each view, at its stride,
    // lies inside its slice, and the asserts above that the shapes agree; `dst` is
    // borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.data.as_mut_ptr(),
            1,
            dst.width as isize,
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
