//! What one core does at a time: a few rows times a panel of columns, in registers.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::Singles;
use super::ahead::Ahead;
use crate::gemm::avx512::turn::LANES;
use crate::gemm::matrix::Mat;

/// Rows of a tile.
pub(super) const ROWS: usize = 6;
/// Columns of a tile: four vectors, so that its sums take 24 of 32 registers.
pub(super) const COLUMNS: usize = 4 * LANES;

/// A place in the result.
pub(super) struct Tile<'a> {
    /// From its first number on.
    pub(super) data: &'a mut [MaybeUninit<f32>],
    /// Distance of its rows.
    pub(super) stride: usize,
    pub(super) columns: usize,
    /// Whether it is added to what is there, which then is initialised.
    pub(super) add: bool,
}

impl Tile<'_> {
    /// What lies from one number of it on, up to [`COLUMNS`] wide.
    pub(super) fn at(&mut self, row: usize, column: usize, add: bool) -> Tile<'_> {
        Tile {
            data: &mut self.data[row * self.stride + column..],
            columns: COLUMNS.min(self.columns - column),
            add: self.add || add,
            ..*self
        }
    }
}

impl Singles {
    /// `tile (+)= a b` for up to [`ROWS`] rows, whose numbers or whose columns lie side by
    /// side, and up to [`COLUMNS`] columns; `b` may be wider than `tile`. Meanwhile, a part of
    /// what lies `ahead` is asked for, once in [`LANES`] terms.
    pub(super) fn multiply(
        self,
        a: Mat<'_, f32>,
        b: Mat<'_, f32>,
        mut tile: Tile<'_>,
        ahead: &mut Ahead,
    ) {
        let vectors = tile.columns.div_ceil(LANES);
        // SAFETY: a `Singles` exists where these instructions do.
        unsafe {
            if a.rows == ROWS {
                match vectors {
                    1 => multiply::<ROWS, 1>(a, b, tile, ahead),
                    2 => multiply::<ROWS, 2>(a, b, tile, ahead),
                    3 => multiply::<ROWS, 3>(a, b, tile, ahead),
                    _ => multiply::<ROWS, 4>(a, b, tile, ahead),
                }
                return;
            }
            for row in 0..a.rows {
                let a = a.part(row..row + 1, 0..a.cols);
                let tile = tile.at(row, 0, false);
                match vectors {
                    1 => multiply::<1, 1>(a, b, tile, ahead),
                    2 => multiply::<1, 2>(a, b, tile, ahead),
                    3 => multiply::<1, 3>(a, b, tile, ahead),
                    _ => multiply::<1, 4>(a, b, tile, ahead),
                }
            }
        }
    }
}

/// `R` rows of `V` vectors.
#[target_feature(enable = "avx512f")]
fn multiply<const R: usize, const V: usize>(
    a: Mat<'_, f32>,
    b: Mat<'_, f32>,
    tile: Tile<'_>,
    ahead: &mut Ahead,
) {
    let (terms, columns) = (a.cols, tile.columns);
    assert!(a.rows == R && b.rows == terms && terms > 0 && b.col_stride == 1);
    assert!(a.data.len() > (R - 1) * a.row_stride + (terms - 1) * a.col_stride);
    assert!(columns <= b.cols && b.data.len() >= (terms - 1) * b.row_stride + b.cols);
    assert!((V - 1) * LANES < columns && columns <= V * LANES);
    assert!(tile.data.len() >= (R - 1) * tile.stride + columns);
    let last = u16::MAX >> (V * LANES - columns);
    let (b_data, to) = (b.data.as_ptr(), tile.data.as_mut_ptr().cast::<f32>());
    // SAFETY: row `r` of the left matrix starts in its slice.
    let rows: [*const f32; R] =
        std::array::from_fn(|r| unsafe { a.data.as_ptr().add(r * a.row_stride) });
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    for start in (0..terms).step_by(LANES) {
        ahead.ask();
        if start < V * LANES {
            for r in 0..R {
                let line = to.wrapping_add(r * tile.stride + start);
                _mm_prefetch::<_MM_HINT_ET0>(line.cast_const().cast());
            }
        }
        for term in start..terms.min(start + LANES) {
            let mut right = [_mm512_setzero_ps(); V];
            for (v, right) in right.iter_mut().enumerate() {
                let mask = if v + 1 == V { last } else { u16::MAX };
                // SAFETY: the right matrix has a row for each term, and the mask admits no
                // more than that.
                *right = unsafe {
                    _mm512_maskz_loadu_ps(mask, b_data.add(term * b.row_stride + v * LANES))
                };
            }
            for (sums, row) in sums.iter_mut().zip(rows) {
                // SAFETY: each row has a number for each term.
                let left = _mm512_set1_ps(unsafe { *row.add(term * a.col_stride) });
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = _mm512_fmadd_ps(left, right, *sum);
                }
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            let mask = if v + 1 == V { last } else { u16::MAX };
            // SAFETY: the result has `R` rows of `columns` numbers, and the mask admits no
            // more; they are initialised if they are added to.
            unsafe {
                let to = to.add(r * tile.stride + v * LANES);
                let before = match tile.add {
                    true => _mm512_maskz_loadu_ps(mask, to),
                    false => _mm512_setzero_ps(),
                };
                _mm512_mask_storeu_ps(to, mask, _mm512_add_ps(before, sum));
            }
        }
    }
}
