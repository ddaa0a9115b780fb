//! What one core does at a time: a panel of rows times a panel of columns, in registers.
//!
//! A *panel* holds *lanes* (rows of the left matrix or columns of the right one) side by
//! side, word after word along the sum. A word is two `bf16` that follow each other along
//! the sum, the first in the low half; `vdpbf16ps` adds the two products of a pair of
//! words to an `f32`.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::Halves;
use crate::gemm::avx512::turn::LANES;

/// Rows of a tile.
pub(super) const ROWS: usize = 12;
/// Columns of a tile: two vectors, so that its sums take 24 of 32 registers.
pub(super) const COLUMNS: usize = 2 * LANES;

/// The place of a tile in the result.
pub(super) struct Tile<'a> {
    /// From its first number on.
    pub(super) data: &'a mut [MaybeUninit<f32>],
    /// Distance of its rows.
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whether it is added to what is there, which then is initialised.
    pub(super) add: bool,
}

impl Tile<'_> {
    #[inline(always)]
    fn row(&mut self, row: usize) -> &mut [MaybeUninit<f32>] {
        &mut self.data[row * self.stride..][..self.columns]
    }

    /// Takes what belongs to it of a whole tile.
    fn take(&mut self, whole: &[f32]) {
        for (row, from) in (0..self.rows).zip(whole.chunks_exact(COLUMNS)) {
            let add = self.add;
            for (to, from) in self.row(row).iter_mut().zip(from) {
                let before = match add {
                    // SAFETY: what is added to is initialised.
                    true => unsafe { to.assume_init() },
                    false => 0.0,
                };
                to.write(before + from);
            }
        }
    }
}

impl Halves {
    /// `tile (+)= a b` for panels of [`ROWS`] rows and of [`COLUMNS`] or [`LANES`] columns,
    /// each as many words deep.
    pub(super) fn multiply(self, a: &[u32], b: &[u32], tile: Tile<'_>) {
        let words = a.len() / ROWS;
        // SAFETY: a `Halves` exists where these instructions do.
        unsafe {
            if b.len() == words * COLUMNS {
                multiply::<2>(a, b, tile);
            } else {
                multiply::<1>(a, b, tile);
            }
        }
    }
}

/// [`ROWS`] rows of `V` vectors.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn multiply<const V: usize>(a: &[u32], b: &[u32], mut tile: Tile<'_>) {
    let words = a.len() / ROWS;
    assert!(a.len() == words * ROWS && b.len() == words * V * LANES);
    // The result is asked for, to be written.
    for row in 0..tile.rows {
        for line in tile.row(row).chunks(LANES) {
            _mm_prefetch::<_MM_HINT_ET0>(line.as_ptr().cast());
        }
    }
    let mut sums = [[_mm512_setzero_ps(); V]; ROWS];
    let (a, b) = (a.as_ptr(), b.as_ptr());
    for p in 0..words {
        let mut right = [_mm512_setzero_si512(); V];
        for (v, right) in right.iter_mut().enumerate() {
            // SAFETY: `p` is below `words`, and the assert tells the lengths.
            *right = unsafe { _mm512_loadu_si512(b.add((p * V + v) * LANES).cast()) };
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: as above.
            let word = unsafe { *a.add(p * ROWS + r) };
            let left = _mm512_set1_epi32(word.cast_signed());
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = add_products(*sum, left, right);
            }
        }
    }
    if (tile.rows, tile.columns) != (ROWS, V * LANES) {
        let mut whole = [0f32; ROWS * COLUMNS];
        for (sums, row) in sums.iter().zip(whole.chunks_exact_mut(COLUMNS)) {
            for (&sum, to) in sums.iter().zip(row.chunks_exact_mut(LANES)) {
                // SAFETY: `to` has room for a vector.
                unsafe { _mm512_storeu_ps(to.as_mut_ptr(), sum) };
            }
        }
        tile.take(&whole);
        return;
    }
    let add = tile.add;
    for (r, sums) in sums.iter().enumerate() {
        for (&sum, to) in sums.iter().zip(tile.row(r).chunks_exact_mut(LANES)) {
            let to = to.as_mut_ptr().cast();
            // SAFETY: `to` has room for a vector, which is initialised if it is added to.
            unsafe {
                let before = match add {
                    true => _mm512_loadu_ps(to),
                    false => _mm512_setzero_ps(),
                };
                _mm512_storeu_ps(to, _mm512_add_ps(before, sum));
            }
        }
    }
}

/// `sum + a₀ b₀ + a₁ b₁` in each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn add_products(sum: __m512, a: __m512i, b: __m512i) -> __m512 {
    // SAFETY: both types are 512 bits, all of which mean something.
    let [a, b]: [__m512bh; 2] = unsafe { std::mem::transmute([a, b]) };
    _mm512_dpbf16_ps(sum, a, b)
}
