//! `C = f(C) + A B` on tiles that stay in the nearest caches.
//!
//! One product serves all of attention. Rows of `B` and `C` are contiguous and
//! whole vectors wide; `A` is read one number at a time, at any strides, so that it
//! may be a transpose. Part of `C` stays in registers while the sum runs.
//!
//! Each element of `C` is one chain of fused multiply-adds along the sum, whatever
//! the shape: so a row's bits do not depend on its neighbours, and zeros at the
//! ends of the sum do not change them.

use std::ops::Range;

use crate::Real;
use crate::simd::{Kernel, Lanes};

/// One rectangle of `C` and the stretch of the sum that matters to it. If that is
/// empty, the rectangle stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Rows of `A` and `C`.
    pub(super) rows: Range<usize>,
    /// Columns of `B` and `C`; both ends multiples of the vector length.
    pub(super) columns: Range<usize>,
    /// Columns of `A`, rows of `B`.
    pub(super) sum: Range<usize>,
}

/// What the product is added to.
#[derive(Clone, Copy)]
pub(super) enum Start<'a, T> {
    /// Zero.
    Zero,
    /// What `C` holds.
    Held,
    /// What `C` holds, row by row times these.
    Scaled(&'a [T]),
}

/// `C = start + A B`, part by part.
pub(super) struct Product<'a, T> {
    pub(super) start: Start<'a, T>,
    pub(super) c: &'a mut [T],
    pub(super) c_stride: usize,
    pub(super) a: &'a [T],
    /// Distance between rows, and between columns, of `A`; one of them is 1.
    pub(super) a_strides: (usize, usize),
    pub(super) b: &'a [T],
    pub(super) b_stride: usize,
    pub(super) parts: &'a [Part],
}

impl<T: Real> Kernel<T> for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(mut self, lanes: L) {
        for part in self.parts {
            if part.rows.is_empty() || part.columns.is_empty() || part.sum.is_empty() {
                continue;
            }
            self.check::<L>(part);
            // 32 registers hold 8 × 3 vectors of sums, 16 hold 4 × 3.
            let many = size_of::<L::V>() == 64;
            // SAFETY: just checked, the strides as well.
            unsafe {
                match (many, self.a_strides) {
                    (true, (1, _)) => self.part::<L, 8, true>(lanes, part),
                    (true, _) => self.part::<L, 8, false>(lanes, part),
                    (false, (1, _)) => self.part::<L, 4, true>(lanes, part),
                    (false, _) => self.part::<L, 4, false>(lanes, part),
                }
            }
        }
    }
}

impl<T: Real> Product<'_, T> {
    /// Checks that `part` lies inside the three matrices.
    #[inline(always)]
    fn check<L: Lanes<Elem = T>>(&self, part: &Part) {
        let Part { rows, columns, sum } = part;
        assert!(columns.start.is_multiple_of(L::N) && columns.end.is_multiple_of(L::N));
        assert!((rows.end - 1) * self.c_stride + columns.end <= self.c.len());
        let (row, column) = self.a_strides;
        assert!(row == 1 || column == 1);
        assert!((rows.end - 1) * row + (sum.end - 1) * column < self.a.len());
        assert!((sum.end - 1) * self.b_stride + columns.end <= self.b.len());
        if let Start::Scaled(factors) = self.start {
            assert!(rows.end <= factors.len());
        }
    }

    /// Columns in groups of at most three vectors, rows in groups of `R`. `COLUMNS`
    /// if the columns of `A` are contiguous, else its rows are.
    ///
    /// # Safety
    ///
    /// As [`Self::check`].
    #[inline(always)]
    unsafe fn part<L: Lanes<Elem = T>, const R: usize, const COLUMNS: bool>(
        &mut self,
        lanes: L,
        part: &Part,
    ) {
        let mut column = part.columns.start;
        while column < part.columns.end {
            let vectors = (part.columns.end - column) / L::N;
            // SAFETY: these columns are the part's.
            column += L::N
                * unsafe {
                    match vectors {
                        3 | 5.. => self.columns::<L, R, 3, COLUMNS>(lanes, part, column),
                        2 | 4 => self.columns::<L, R, 2, COLUMNS>(lanes, part, column),
                        _ => self.columns::<L, R, 1, COLUMNS>(lanes, part, column),
                    }
                };
        }
    }

    /// `V` vectors of columns from `column` on; returns `V`.
    ///
    /// # Safety
    ///
    /// As [`Self::check`], for these columns.
    #[inline(always)]
    unsafe fn columns<L: Lanes<Elem = T>, const R: usize, const V: usize, const COLUMNS: bool>(
        &mut self,
        lanes: L,
        part: &Part,
        column: usize,
    ) -> usize {
        let mut row = part.rows.start;
        while row < part.rows.end {
            // SAFETY: these rows are the part's.
            row += unsafe {
                match part.rows.end - row {
                    left if left >= R => {
                        self.block::<L, R, V, COLUMNS>(lanes, &part.sum, row, column)
                    }
                    4.. => self.block::<L, 4, V, COLUMNS>(lanes, &part.sum, row, column),
                    2 | 3 => self.block::<L, 2, V, COLUMNS>(lanes, &part.sum, row, column),
                    _ => self.block::<L, 1, V, COLUMNS>(lanes, &part.sum, row, column),
                }
            };
        }
        V
    }

    /// `R` rows of `V` vectors, in registers; returns `R`.
    ///
    /// # Safety
    ///
    /// As [`Self::check`], for these rows and columns.
    #[inline(always)]
    unsafe fn block<L: Lanes<Elem = T>, const R: usize, const V: usize, const COLUMNS: bool>(
        &mut self,
        lanes: L,
        sum: &Range<usize>,
        row: usize,
        column: usize,
    ) -> usize {
        let (a_row, a_column) = self.a_strides;
        let (c_stride, b_stride) = (self.c_stride, self.b_stride);
        // SAFETY: all offsets below are those that the caller vouches for.
        unsafe {
            let c = self.c.as_mut_ptr().add(row * c_stride + column);
            let mut sums = [[lanes.zero(); V]; R];
            if !matches!(self.start, Start::Zero) {
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = load(lanes, c.add(r * c_stride + v * L::N));
                    }
                }
            }
            if let Start::Scaled(factors) = self.start {
                for (r, sums) in sums.iter_mut().enumerate() {
                    let factor = lanes.splat(*factors.get_unchecked(row + r));
                    for sum in sums {
                        *sum = lanes.mul(*sum, factor);
                    }
                }
            }
            let a = self.a.as_ptr().add(row * a_row + sum.start * a_column);
            let b = self.b.as_ptr().add(sum.start * b_stride + column);
            // Named apart, or their addresses become one long chain of additions.
            let a_rows: [*const T; R] = std::array::from_fn(|r| a.wrapping_add(r * a_row));
            for p in 0..sum.len() {
                let mut right = [lanes.zero(); V];
                for (v, right) in right.iter_mut().enumerate() {
                    *right = load(lanes, b.add(p * b_stride + v * L::N));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let left = lanes.splat(if COLUMNS {
                        *a.add(p * a_column + r)
                    } else {
                        *a_rows[r].add(p)
                    });
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = lanes.mul_add(left, right, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    let to = c.add(r * c_stride + v * L::N);
                    lanes.store(std::slice::from_raw_parts_mut(to, L::N), sum);
                }
            }
        }
        R
    }
}

/// # Safety
///
/// A vector can be read from `from`.
#[inline(always)]
unsafe fn load<L: Lanes>(lanes: L, from: *const L::Elem) -> L::V {
    // SAFETY: the caller's promise.
    lanes.load(unsafe { std::slice::from_raw_parts(from, L::N) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose products and sums are exact, so that any order gives the same.
    fn numbers(n: usize, step: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * step) % 17) as f64 - 8.0).collect()
    }

    #[test]
    fn every_shape_gives_the_product() {
        let (stride, depth) = (96, 7);
        let a = numbers(40 * 40, 5);
        let b = numbers(depth * stride, 3);
        let factors = numbers(40, 7);
        for a_strides in [(40, 1), (1, 40)] {
            for m in [1, 2, 3, 4, 5, 8, 13, 16, 31] {
                for n in [16, 32, 48, 64, 80, 96] {
                    for start in [Start::Zero, Start::Held, Start::Scaled(&factors)] {
                        let before = numbers(33 * stride, 11);
                        let mut c = before.clone();
                        let parts = [
                            Part {
                                rows: 0..m,
                                columns: 0..n,
                                sum: 1..depth,
                            },
                            Part {
                                rows: m..m + 1,
                                columns: 0..16,
                                sum: 0..0,
                            },
                        ];
                        f64::dispatch(Product {
                            start,
                            c: &mut c,
                            c_stride: stride,
                            a: &a,
                            a_strides,
                            b: &b,
                            b_stride: stride,
                            parts: &parts,
                        });
                        let want = |i: usize, j: usize| {
                            let held = before[i * stride + j];
                            if i >= m || j >= n {
                                return held;
                            }
                            let product =
                                |p| a[i * a_strides.0 + p * a_strides.1] * b[p * stride + j];
                            (1..depth).map(product).sum::<f64>()
                                + match start {
                                    Start::Zero => 0.0,
                                    Start::Held => held,
                                    Start::Scaled(factors) => held * factors[i],
                                }
                        };
                        for (at, &got) in c.iter().enumerate() {
                            let (i, j) = (at / stride, at % stride);
                            assert_eq!(got, want(i, j), "{m}×{n} at {i}, {j}");
                        }
                    }
                }
            }
        }
    }
}
