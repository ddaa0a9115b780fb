//! Sums over many rows of products of a column of one matrix with a row of another: the
//! gradients of weights.
//!
//! Each task makes some rows of the result. It goes over the terms of the sum, some rows of
//! both matrices at a time, which its second cache holds while every tile adds to what is
//! there; memory is asked for those that come next meanwhile. Nothing is packed into panels.

use super::ahead::{Ahead, Region};
use super::as_words::{Layout, Lies};
use super::tile::{COLUMNS, ROWS, Tile};
use super::turn::LANES;
use super::word::Word;
use super::{Words, rows_a_task};
use crate::gemm::matrix::Mat;
use crate::gemm::room::{Room, Then};
use crate::parallel::each;

/// Words of both matrices that a task goes over at one time, 320 KiB of them: with those
/// that come next and its part of the result, its second cache holds them.
const BLOCK: usize = 80 << 10;
/// Fewest and most words of the sum that a tile takes at one time.
const FEWEST_WORDS: usize = 16;
const MOST_WORDS: usize = 256;
/// Most panels of rows of a task.
const MOST_PANELS: usize = 43;
/// Most columns that are made at one time.
const MOST_COLUMNS: usize = 8 * COLUMNS;

impl<W: Word> Words<W> {
    /// As [`Words::gemm`], where numbers of a column of `a` and of a row of `b` lie side by
    /// side.
    ///
    /// # Safety
    ///
    /// As there.
    pub(super) unsafe fn sums(
        self,
        mut dst: Room<'_, f32>,
        a: Mat<'_, f32>,
        b: Mat<'_, f32>,
        then: Then<'_, f32>,
    ) {
        let (width, add) = (dst.width, dst.accumulate);
        let (m, n, k) = (a.rows, b.cols, a.cols);
        let rows = rows_a_task(m, ROWS, MOST_PANELS);
        // By the shape alone: the bits of a sum depend on where it is cut.
        let most = m.min(MOST_PANELS * ROWS) + n.min(MOST_COLUMNS);
        let terms = (BLOCK / most).clamp(FEWEST_WORDS, MOST_WORDS) * W::TERMS;
        each(dst.tasks(rows), |_, task| {
            let a = a.part(task.first..m.min(task.first + rows), 0..k);
            for column in (0..n).step_by(MOST_COLUMNS) {
                let b = b.part(0..k, column..n.min(column + MOST_COLUMNS));
                let result = Tile {
                    data: &mut task.data[column..],
                    stride: width,
                    columns: b.cols,
                    add,
                };
                self.blocks(a, b, terms, result);
            }
            // SAFETY: all columns are made, and what lies between wider rows is initialised.
            unsafe { task.finish(then) };
        });
    }

    /// `result (+)= a b`, some terms after the other.
    fn blocks(self, a: Mat<'_, f32>, b: Mat<'_, f32>, terms: usize, mut result: Tile<'_>) {
        let (m, n, k) = (a.rows, b.cols, a.cols);
        let tiles = m.div_ceil(ROWS) * n.div_ceil(COLUMNS);
        let words = k.min(terms).div_ceil(W::TERMS);
        let layouts = [(a, m), (b.t(), n)]
            .map(|(from, rows)| Layout::of::<W>(from, Lies::Columns, rows, words));
        let mut rooms = layouts
            .each_ref()
            .map(|layout| vec![W::default(); layout.len]);
        // The first come from memory as they may, but all at once.
        let first = 0..k.min(terms);
        let first = [a.part(0..m, first.clone()).t(), b.part(first, 0..n)];
        Ahead::new(first.map(Region::of), 1).ask();
        for term in (0..k).step_by(terms) {
            let these = term..k.min(term + terms);
            let next = these.end..k.min(these.end + terms);
            let next = [a.part(0..m, next.clone()).t(), b.part(next, 0..n)].map(Region::of);
            let [left, right] = &mut rooms;
            let left = self.of(a.part(0..m, these.clone()), &layouts[0], left, true);
            let right = self
                .of(b.part(these, 0..n).t(), &layouts[1], right, true)
                .t();
            let words = left.cols;
            let mut ahead = Ahead::new(next, tiles * words.div_ceil(LANES));
            for column in (0..n).step_by(COLUMNS) {
                let panel = right.part(0..words, column..n.min(column + COLUMNS));
                for row in (0..m).step_by(ROWS) {
                    let left = left.part(row..m.min(row + ROWS), 0..words);
                    self.multiply(left, panel, result.at(row, column, term > 0), &mut ahead);
                }
            }
        }
    }
}
