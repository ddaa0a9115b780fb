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
    assert!(dst.rows == a.rows && dst.cols == b.cols);
    // SAFETY: the constructor of `dst` checked that every row lies inside its slice.
    unsafe { write(dst.data.as_mut_ptr(), dst.width, accumulate, a, b) }
}

/// `a b`, in memory that nothing was written to before.
pub(crate) fn product<T: Real>(a: Mat<'_, T>, b: Mat<'_, T>) -> Vec<T> {
    let (rows, cols) = (a.rows, b.cols);
    let mut made = Vec::with_capacity(rows * cols);
    // SAFETY: there is room for `rows` rows of `cols` values, all of which are written,
    // and none read.
    unsafe {
        write(made.as_mut_ptr(), cols, false, a, b);
        made.set_len(rows * cols);
    }
    made
}

/// As [`gemm`]. What `dst` holds is read only if `accumulate`, and all of it is written.
///
/// # Safety
///
/// `dst` must point to the rows of `a b`, each `width` from the one before, which nobody
/// else reads or writes meanwhile.
unsafe fn write<T: Real>(
    dst: *mut T,
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
    if k == 0 && !accumulate {
        // `gemm` would leave `dst` as it is. No sum has a term: all are zero.
        for i in 0..m {
            // SAFETY: the caller vouches for every row of `dst`; zero is all zero bytes.
            unsafe { dst.add(i * width).write_bytes(0, n) };
        }
        return;
    }
    let threads = rayon::current_num_threads();
    let parallelism = if threads > 1 {
        Parallelism::Rayon(threads)
    } else {
        Parallelism::None
    };
    // SAFETY: the constructors checked that every row of each view, at its stride,
    // lies inside its slice, the assert above that the shapes agree, and the caller
    // vouches for `dst`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst,
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

#[cfg(test)]
mod tests {
    use candle_core::Result;
    use testkit::randn;

    use super::*;

    /// `Σ a[i, p] b[p, j]`, with rows of `a` and `b` at their own widths.
    fn definition(
        a: impl Fn(usize, usize) -> f64,
        b: impl Fn(usize, usize) -> f64,
        (m, n, k): (usize, usize, usize),
    ) -> Vec<f64> {
        let at = |i: usize, j: usize| (0..k).map(|p| a(i, p) * b(p, j)).sum();
        (0..m * n).map(|at_| at(at_ / n, at_ % n)).collect()
    }

    const SIZES: [(usize, usize, usize); 8] = [
        (1, 1, 1),
        (1, 17, 3),
        (65, 1, 17),
        (3, 65, 1),
        (17, 17, 17),
        (70, 90, 130),
        (5, 4, 0),
        (0, 3, 2),
    ];

    #[test]
    fn views_multiply_as_the_matrices_they_show() -> Result<()> {
        for (m, n, k) in SIZES {
            // Both operands and the result are columns of wider matrices.
            let (wide_a, wide_b, wide_y) = (k + 3, n + 5, n + 2);
            let a = randn(1, m * wide_a)?.to_vec1::<f64>()?;
            let b = randn(2, k * wide_b)?.to_vec1::<f64>()?;
            let want = definition(
                |i, p| a[i * wide_a + p],
                |p, j| b[p * wide_b + j],
                (m, n, k),
            );
            for accumulate in [false, true] {
                let mut y = vec![7.0; m * wide_y];
                gemm(
                    MatMut::columns_of(&mut y, m, n, wide_y),
                    accumulate,
                    Mat::columns_of(&a, m, k, wide_a),
                    Mat::columns_of(&b, k, n, wide_b),
                );
                for (i, row) in y.chunks_exact(wide_y).enumerate() {
                    for (j, &got) in row.iter().enumerate() {
                        let want = match j < n {
                            true => want[i * n + j] + if accumulate { 7.0 } else { 0.0 },
                            false => 7.0,
                        };
                        let place = (m, n, k, i, j);
                        assert!((got - want).abs() < 1e-12, "{place:?}: {got}, want {want}");
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn transposes_are_views() -> Result<()> {
        for (m, n, k) in SIZES {
            let a = randn(1, k * m)?.to_vec1::<f64>()?;
            let b = randn(2, n * k)?.to_vec1::<f64>()?;
            let want = definition(|i, p| a[p * m + i], |p, j| b[j * k + p], (m, n, k));
            let single = |x: &[f64]| -> Vec<f32> { x.iter().map(|&x| x as f32).collect() };
            let (a32, b32) = (single(&a), single(&b));
            let y = product(Mat::new(&a, k, m).t(), Mat::new(&b, n, k).t());
            let y32 = product(Mat::new(&a32, k, m).t(), Mat::new(&b32, n, k).t());
            assert_eq!([y.len(), y32.len()], [m * n; 2]);
            for ((y, y32), want) in y.iter().zip(&y32).zip(&want) {
                assert!((y - want).abs() < 1e-12, "{y}, want {want}");
                // 130 roundings of sums of up to 30, which have half an ulp of 1e-6: √130 of
                // these, and three times that among 6300 results.
                let error = (f64::from(*y32) - want).abs();
                assert!(error < 3.5e-5, "{y32}, want {want}");
            }
        }
        Ok(())
    }
}
