//! The right matrix, packed into panels.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::Singles;
use super::rows::STRETCH;
use super::tile::COLUMNS;
use crate::gemm::avx512::turn::{LANES, transposed};
use crate::gemm::matrix::Mat;
use crate::gemm::room::written;

impl Singles {
    /// Packs all of `b` into `room`: stretches of the sum one after the other, in each of
    /// them panels of [`COLUMNS`] columns, term after term. The last panel ends with zeros
    /// so that it is whole vectors wide.
    pub(super) fn pack<'a>(self, b: Mat<'_, f32>, room: &'a mut [MaybeUninit<f32>]) -> &'a [f32] {
        let columns = b.cols.next_multiple_of(LANES);
        assert!(room.len() == columns * b.rows);
        room.par_chunks_mut(STRETCH * columns)
            .enumerate()
            .for_each(|(stretch, room)| {
                let terms = room.len() / columns;
                let from = stretch * STRETCH;
                room.par_chunks_mut(COLUMNS * terms)
                    .enumerate()
                    .for_each(|(panel, room)| {
                        let column = panel * COLUMNS;
                        let b = b.part(from..from + terms, column..b.cols.min(column + COLUMNS));
                        if b.col_stride == 1 {
                            copy(b, room);
                        } else {
                            // SAFETY: a `Singles` exists where these instructions do.
                            unsafe { turn(b, room) };
                        }
                    });
            });
        // SAFETY: panels were packed into all of it.
        unsafe { written(room) }
    }
}

/// A panel of columns that lie side by side.
fn copy(b: Mat<'_, f32>, panel: &mut [MaybeUninit<f32>]) {
    let width = b.cols.next_multiple_of(LANES);
    for (term, to) in panel.chunks_exact_mut(width).enumerate() {
        let from = &b.data[term * b.row_stride..][..b.cols];
        let (numbers, rest) = to.split_at_mut(b.cols);
        for (to, from) in numbers.iter_mut().zip(from) {
            to.write(*from);
        }
        rest.fill(MaybeUninit::new(0.0));
    }
}

/// A panel of columns along each of which the terms lie side by side: squares of sixteen
/// numbers of sixteen columns are turned.
#[target_feature(enable = "avx512f")]
fn turn(b: Mat<'_, f32>, panel: &mut [MaybeUninit<f32>]) {
    assert!(b.row_stride == 1);
    let width = b.cols.next_multiple_of(LANES);
    for at in (0..width).step_by(LANES) {
        for term in (0..b.rows).step_by(LANES) {
            let terms = LANES.min(b.rows - term);
            let mask = u16::MAX >> (LANES - terms);
            let mut square = [_mm512_setzero_si512(); LANES];
            for (column, lane) in (at..b.cols).zip(&mut square) {
                let from = &b.data[column * b.col_stride + term..][..terms];
                // SAFETY: the mask admits what the slice holds, nothing else is read.
                *lane = unsafe { _mm512_maskz_loadu_epi32(mask, from.as_ptr().cast()) };
            }
            for (term, words) in (term..term + terms).zip(transposed(square)) {
                let to = &mut panel[term * width + at..][..LANES];
                // SAFETY: the slice has room for a vector.
                unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), words) };
            }
        }
    }
}
