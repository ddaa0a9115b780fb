//! From `f32` to panels of pairs of `bf16`, rounded to nearest, ties to even.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::Halves;
use super::tile::ROWS;
use crate::gemm::avx512::turn::{LANES, transposed};

/// One of the matrices: lanes, and along each the numbers of the sum. One of the strides
/// is 1.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) data: &'a [f32],
    pub(super) lanes: usize,
    pub(super) depth: usize,
    pub(super) lane_stride: usize,
    pub(super) depth_stride: usize,
}

impl<'a> Side<'a> {
    /// A stretch of the sum.
    pub(super) fn stretch(&self, from: usize, depth: usize) -> Self {
        let data = self.data.get(from * self.depth_stride..);
        Self {
            data: data.unwrap_or_default(),
            depth,
            ..*self
        }
    }

    /// Numbers from one on, side by side, as many as there are up to `most`.
    fn numbers(&self, lane: usize, depth: usize, most: usize) -> &'a [f32] {
        let left = match self.lane_stride {
            1 => self.lanes.saturating_sub(lane),
            _ => self.depth.saturating_sub(depth),
        };
        let inside = lane < self.lanes && depth < self.depth;
        match left.min(most) {
            n if n > 0 && inside => {
                &self.data[lane * self.lane_stride + depth * self.depth_stride..][..n]
            }
            _ => &[],
        }
    }
}

impl Halves {
    /// Packs lanes from `lane` on into panels that are `width` wide, one after the other,
    /// each `words` deep, as many as `to` has room for: all of it is written. What there is
    /// not is zero.
    pub(super) fn pack(
        self,
        from: &Side<'_>,
        lane: usize,
        width: usize,
        words: usize,
        to: &mut [MaybeUninit<u32>],
    ) {
        // SAFETY: a `Halves` exists where these instructions do.
        unsafe {
            match from.lane_stride {
                1 => pack_lanes(from, lane, width, words, to),
                _ => pack_depth(from, lane, width, words, to),
            }
        }
    }
}

/// Lanes lie side by side: two rows become one row of pairs, a vector at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_lanes(
    from: &Side<'_>,
    lane: usize,
    width: usize,
    words: usize,
    to: &mut [MaybeUninit<u32>],
) {
    for (i, panel) in to.chunks_exact_mut(width * words).enumerate() {
        for at in (0..width).step_by(LANES) {
            let lane = lane + i * width + at;
            let end = width.min(at + LANES);
            let whole = match from.lanes.saturating_sub(lane) {
                LANES.. => words.min(from.depth / 2),
                _ => 0,
            };
            for word in 0..whole {
                let first = &from.data[lane + 2 * word * from.depth_stride..];
                let (first, second) = (&first[..LANES], &first[from.depth_stride..][..LANES]);
                let pair = both(load(first), load(second));
                store(
                    interleaved(pair),
                    &mut panel[word * width + at..word * width + end],
                );
            }
            for word in whole..words {
                let numbers = |depth| from.numbers(lane, depth, LANES);
                let pair = both(load(numbers(2 * word)), load(numbers(2 * word + 1)));
                store(
                    interleaved(pair),
                    &mut panel[word * width + at..word * width + end],
                );
            }
        }
    }
}

/// The numbers of the sum lie side by side: squares of 16 pairs of 16 lanes are turned.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_depth(
    from: &Side<'_>,
    lane: usize,
    width: usize,
    words: usize,
    to: &mut [MaybeUninit<u32>],
) {
    for (i, panel) in to.chunks_exact_mut(width * words).enumerate() {
        for (j, at) in (0..width).step_by(LANES).enumerate() {
            let lane = lane + i * width + j * LANES;
            for word in (0..words).step_by(LANES) {
                let mut rows = [_mm512_setzero_si512(); LANES];
                for (l, row) in rows.iter_mut().enumerate().take(width - at) {
                    let numbers = |depth| from.numbers(lane + l, depth, LANES);
                    *row = both(load(numbers(2 * word)), load(numbers(2 * word + LANES)));
                }
                let rows = transposed(rows);
                for (word, row) in (word..words).zip(rows) {
                    let to = &mut panel[word * width + at..(word + 1) * width];
                    let n = to.len().min(LANES);
                    store(row, &mut to[..n]);
                }
            }
        }
    }
}

/// Up to sixteen numbers, and zeros.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(numbers: &[f32]) -> __m512 {
    let mask = match numbers.len() {
        // SAFETY: the slice holds a vector.
        LANES.. => return unsafe { _mm512_loadu_ps(numbers.as_ptr()) },
        n => (1u16 << n) - 1,
    };
    // SAFETY: the mask admits what the slice holds, nothing else is read.
    unsafe { _mm512_maskz_loadu_ps(mask, numbers.as_ptr()) }
}

/// Sixteen words into `to`, or the first twelve.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(words: __m512i, to: &mut [MaybeUninit<u32>]) {
    let at = to.as_mut_ptr();
    // SAFETY: the length is checked before each store.
    unsafe {
        if to.len() == LANES {
            _mm512_storeu_si512(at.cast(), words);
        } else {
            assert!(to.len() == ROWS);
            _mm256_storeu_si256(at.cast(), _mm512_castsi512_si256(words));
            _mm_storeu_si128(at.add(8).cast(), _mm512_extracti32x4_epi32::<2>(words));
        }
    }
}

/// Rounds sixteen numbers, which become the low half, and sixteen for the high half.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn both(low: __m512, high: __m512) -> __m512i {
    let halves = _mm512_cvtne2ps_pbh(high, low);
    // SAFETY: both types are 512 bits, all of which mean something.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(halves) }
}

/// Pairs of the numbers of the low and of the high half.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn interleaved(halves: __m512i) -> __m512i {
    const ORDER: [u16; 2 * LANES] = {
        let mut order = [0; 2 * LANES];
        let mut i = 0;
        while i < LANES {
            order[2 * i] = i as u16;
            order[2 * i + 1] = (i + LANES) as u16;
            i += 1;
        }
        order
    };
    // SAFETY: the order is a vector.
    let order = unsafe { _mm512_loadu_si512(ORDER.as_ptr().cast()) };
    _mm512_permutexvar_epi16(order, halves)
}
