//! What one core does at a time: a few rows times a panel of columns, in registers.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::Words;
use super::ahead::Ahead;
use super::turn::LANES;
use super::word::Word;
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

impl<W: Word> Words<W> {
    /// `tile (+)= a b` for up to [`ROWS`] rows, whose words or whose columns lie side by
    /// side, and up to [`COLUMNS`] columns; `b` may be wider than `tile`. Meanwhile, a part of
    /// what lies `ahead` is asked for, once in [`LANES`] words.
    pub(super) fn multiply(
        self,
        a: Mat<'_, W>,
        b: Mat<'_, W>,
        mut tile: Tile<'_>,
        ahead: &mut Ahead,
    ) {
        let vectors = tile.columns.div_ceil(LANES);
        // SAFETY: a `Words` exists where these instructions do.
        unsafe {
            W::with_instructions(
                #[inline(always)]
                || {
                    if a.rows == ROWS {
                        match vectors {
                            1 => multiply::<W, ROWS, 1>(a, b, tile, ahead),
                            2 => multiply::<W, ROWS, 2>(a, b, tile, ahead),
                            3 => multiply::<W, ROWS, 3>(a, b, tile, ahead),
                            _ => multiply::<W, ROWS, 4>(a, b, tile, ahead),
                        }
                        return;
                    }
                    for row in 0..a.rows {
                        let a = a.part(row..row + 1, 0..a.cols);
                        multiply::<W, 1, 4>(a, b, tile.at(row, 0, false), ahead);
                    }
                },
            );
        }
    }
}

/// `R` rows of `V` vectors.
///
/// # Safety
///
/// This machine multiplies these words.
#[inline(always)]
unsafe fn multiply<W: Word, const R: usize, const V: usize>(
    a: Mat<'_, W>,
    b: Mat<'_, W>,
    tile: Tile<'_>,
    ahead: &mut Ahead,
) {
    let (words, columns) = (a.cols, tile.columns);
    assert!(a.rows == R && b.rows == words && words > 0 && b.col_stride == 1);
    assert!(a.data.len() > (R - 1) * a.row_stride + (words - 1) * a.col_stride);
    assert!(columns <= b.cols && b.data.len() >= (words - 1) * b.row_stride + b.cols);
    assert!(columns <= V * LANES);
    assert!(tile.data.len() >= (R - 1) * tile.stride + columns);
    assert!(R == 1 || (V - 1) * LANES < columns);
    // Rows that are made alone, which are few, are made by `V` vectors however many columns there
    // are; else only the last vector may lack some.
    let masks: [u16; V] = std::array::from_fn(|v| match columns.saturating_sub(v * LANES) {
        LANES.. => u16::MAX,
        n => (1 << n) - 1,
    });
    let mask = |v: usize| match R > 1 && v + 1 < V {
        true => u16::MAX,
        false => masks[v],
    };
    let (b_data, to) = (
        b.data.as_ptr().cast::<i32>(),
        tile.data.as_mut_ptr().cast::<f32>(),
    );
    // SAFETY: row `r` of the left matrix starts in its slice.
    let rows: [*const i32; R] =
        std::array::from_fn(|r| unsafe { a.data.as_ptr().add(r * a.row_stride).cast() });
    // SAFETY: the caller's promise.
    let mut sums = [[unsafe { _mm512_setzero_ps() }; V]; R];
    for start in (0..words).step_by(LANES) {
        ahead.ask();
        if start < V * LANES {
            for r in 0..R {
                let line = to.wrapping_add(r * tile.stride + start);
                // SAFETY: part of every x86-64; it changes nothing that a program can see.
                unsafe { _mm_prefetch::<_MM_HINT_ET0>(line.cast_const().cast()) };
            }
        }
        for word in start..words.min(start + LANES) {
            // SAFETY: the caller's promise; the right matrix has a row for each word, of which
            // the mask admits no more; each row of the left one has a word for each, too.
            unsafe {
                let mut right = [_mm512_setzero_si512(); V];
                for (v, right) in right.iter_mut().enumerate() {
                    let from = b_data.wrapping_add(word * b.row_stride + v * LANES);
                    *right = _mm512_maskz_loadu_epi32(mask(v), from);
                }
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let left = _mm512_set1_epi32(*row.add(word * a.col_stride));
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = W::add_products(*sum, left, right);
                    }
                }
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            let to = to.wrapping_add(r * tile.stride + v * LANES);
            // SAFETY: the result has `R` rows of `columns` numbers, and the mask admits no
            // more; they are initialised if they are added to.
            unsafe {
                let before = match tile.add {
                    true => _mm512_maskz_loadu_ps(mask(v), to),
                    false => _mm512_setzero_ps(),
                };
                _mm512_mask_storeu_ps(to, mask(v), _mm512_add_ps(before, sum));
            }
        }
    }
}
