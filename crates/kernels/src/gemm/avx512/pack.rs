//! The right matrix, packed into panels of words.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::Words;
use super::rows::STRETCH;
use super::tile::COLUMNS;
use super::turn::{LANES, transposed};
use super::word::Word;
use crate::gemm::matrix::Mat;
use crate::gemm::room::written;
use crate::parallel::each;

impl<W: Word> Words<W> {
    /// Packs all of `b` into `room`: stretches of the sum one after the other, in each of
    /// them panels of [`COLUMNS`] columns, word after word. The last panel ends with zeros
    /// so that it is whole vectors wide.
    pub(super) fn pack<'a>(self, b: Mat<'_, f32>, room: &'a mut [MaybeUninit<W>]) -> &'a [W] {
        let columns = b.cols.next_multiple_of(LANES);
        assert!(room.len() == columns * b.rows.div_ceil(W::TERMS));
        let stretches = room.chunks_mut(STRETCH * columns).enumerate();
        let panels = stretches.flat_map(|(stretch, room)| {
            let words = room.len() / columns;
            let from = stretch * STRETCH * W::TERMS;
            let terms = from..b.rows.min(from + words * W::TERMS);
            let panels = room.chunks_mut(COLUMNS * words).enumerate();
            panels.map(move |(panel, room)| {
                let column = panel * COLUMNS;
                let columns = column..b.cols.min(column + COLUMNS);
                (b.part(terms.clone(), columns), room)
            })
        });
        each(panels, |_, (b, room)| {
            if b.col_stride == 1 {
                self.write_across(b.t(), room, b.cols.next_multiple_of(LANES));
            } else {
                self.turn(b, room);
            }
        });
        // SAFETY: panels were packed into all of it.
        unsafe { written(room) }
    }

    /// A panel of columns along each of which the terms lie side by side: squares of sixteen
    /// words of sixteen columns are turned.
    fn turn(self, b: Mat<'_, f32>, panel: &mut [MaybeUninit<W>]) {
        assert!(b.row_stride == 1);
        let (width, words) = (b.cols.next_multiple_of(LANES), b.rows.div_ceil(W::TERMS));
        for at in (0..width).step_by(LANES) {
            for word in (0..words).step_by(LANES) {
                let terms = word * W::TERMS..b.rows.min((word + LANES) * W::TERMS);
                // SAFETY: a `Words` exists where these instructions do; each slice has room
                // for a vector.
                unsafe {
                    W::with_instructions(
                        #[inline(always)]
                        || {
                            let mut square = [_mm512_setzero_si512(); LANES];
                            for (column, lane) in (at..b.cols).zip(&mut square) {
                                let from = &b.data[column * b.col_stride..][terms.clone()];
                                *lane = W::along(from);
                            }
                            let rows = transposed(square);
                            for (word, row) in (word..words).zip(rows) {
                                let to = &mut panel[word * width + at..][..LANES];
                                _mm512_storeu_si512(to.as_mut_ptr().cast(), row);
                            }
                        },
                    );
                }
            }
        }
    }
}
