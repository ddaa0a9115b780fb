//! Numbers of a matrix as words: where they lie, or rounded and written elsewhere.

use std::arch::x86_64::_mm512_storeu_si512;
use std::mem::MaybeUninit;

use super::Words;
use super::turn::LANES;
use super::word::Word;
use crate::gemm::matrix::Mat;

/// Words between two rows beside the words themselves: rows at distances that are powers of two
/// would share few places of the first cache.
const GAP: usize = LANES;

/// How the words of a matrix are written whose numbers are no words as they lie.
pub(super) struct Layout {
    lies: Lies,
    /// Distance of the rows, or columns, that lie together.
    stride: usize,
    pub(super) len: usize,
}

/// What lies together.
#[derive(Clone, Copy)]
pub(super) enum Lies {
    Rows,
    Columns,
}

impl Layout {
    /// Of `rows` rows of `words` words of a matrix like `from`.
    pub(super) fn of<W: Word>(from: Mat<'_, f32>, lies: Lies, rows: usize, words: usize) -> Self {
        let (lines, width) = match lies {
            Lies::Rows => (rows, words),
            Lies::Columns => (words, rows),
        };
        let stride = width.next_multiple_of(LANES) + GAP;
        let len = match W::as_they_lie(from) {
            Some(_) => 0,
            None => lines * stride,
        };
        Self { lies, stride, len }
    }
}

impl<W: Word> Words<W> {
    /// The numbers as words, where they lie or else in `room`, into which they are written if
    /// they are `new`.
    pub(super) fn of<'a>(
        self,
        from: Mat<'a, f32>,
        layout: &Layout,
        room: &'a mut [W],
        new: bool,
    ) -> Mat<'a, W> {
        if let Some(words) = W::as_they_lie(from) {
            return words;
        }
        let (rows, cols) = (from.rows, from.cols.div_ceil(W::TERMS));
        let Layout { lies, stride, .. } = *layout;
        if new {
            match lies {
                Lies::Rows => self.write_along(from, room, stride),
                Lies::Columns => self.write_across(from, uninit(room), stride),
            }
        }
        let (row_stride, col_stride) = match lies {
            Lies::Rows => (stride, 1),
            Lies::Columns => (1, stride),
        };
        Mat {
            data: room,
            rows,
            cols,
            row_stride,
            col_stride,
        }
    }

    /// Words of rows that lie together, in rows that are `stride` apart.
    fn write_along(self, from: Mat<'_, f32>, room: &mut [W], stride: usize) {
        // SAFETY: a `Words` exists where these instructions do.
        unsafe {
            W::with_instructions(
                #[inline(always)]
                || write_along(from, room, stride),
            );
        }
    }

    /// Words of columns that lie together, in columns that are `stride` apart, a multiple of
    /// [`LANES`]; zeros follow each column.
    pub(super) fn write_across(
        self,
        from: Mat<'_, f32>,
        room: &mut [MaybeUninit<W>],
        stride: usize,
    ) {
        // SAFETY: a `Words` exists where these instructions do.
        unsafe {
            W::with_instructions(
                #[inline(always)]
                || write_across(from, room, stride),
            );
        }
    }
}

/// # Safety
///
/// This machine multiplies these words.
#[inline(always)]
unsafe fn write_along<W: Word>(from: Mat<'_, f32>, room: &mut [W], stride: usize) {
    assert!(from.col_stride == 1);
    for (row, room) in (0..from.rows).zip(room.chunks_mut(stride)) {
        let numbers = &from.data[row * from.row_stride..][..from.cols];
        let whole = numbers.chunks_exact(W::TERMS * LANES);
        let rest = whole.remainder();
        let mut rooms = room.chunks_exact_mut(LANES);
        for (numbers, room) in whole.zip(&mut rooms) {
            // SAFETY: there is room for a vector; the caller's promise.
            unsafe { _mm512_storeu_si512(room.as_mut_ptr().cast(), W::along(numbers)) };
        }
        if let Some(room) = rooms.next()
            && !rest.is_empty()
        {
            // SAFETY: as above.
            unsafe { _mm512_storeu_si512(room.as_mut_ptr().cast(), W::along(rest)) };
        }
    }
}

/// # Safety
///
/// This machine multiplies these words.
#[inline(always)]
unsafe fn write_across<W: Word>(from: Mat<'_, f32>, room: &mut [MaybeUninit<W>], stride: usize) {
    assert!(from.row_stride == 1);
    let words = from.cols.div_ceil(W::TERMS);
    for (word, room) in (0..words).zip(room.chunks_mut(stride)) {
        let column = |term: usize| match word * W::TERMS + term {
            at if at < from.cols => &from.data[at * from.col_stride..][..from.rows],
            _ => &[],
        };
        let terms = [column(0), column(W::TERMS - 1)];
        let [first, second] = terms.map(|numbers| numbers.chunks_exact(LANES));
        let whole = first.len().min(second.len());
        let (rooms, rest) = room.split_at_mut(whole * LANES);
        for ((first, second), room) in first.zip(second).zip(rooms.chunks_exact_mut(LANES)) {
            // SAFETY: there is room for a vector; the caller's promise.
            unsafe {
                let words = W::across([first, second]);
                _mm512_storeu_si512(room.as_mut_ptr().cast(), words);
            }
        }
        for (i, room) in (whole..).zip(rest.chunks_exact_mut(LANES)) {
            let numbers = terms.map(|numbers| {
                let numbers = numbers.get(i * LANES..).unwrap_or_default();
                &numbers[..numbers.len().min(LANES)]
            });
            // SAFETY: as above.
            unsafe { _mm512_storeu_si512(room.as_mut_ptr().cast(), W::across(numbers)) };
        }
    }
}

/// Room for words, in which there are words.
fn uninit<W>(room: &mut [W]) -> &mut [MaybeUninit<W>] {
    let room: *mut [W] = room;
    // SAFETY: only words are written over them.
    unsafe { &mut *(room as *mut [MaybeUninit<W>]) }
}
