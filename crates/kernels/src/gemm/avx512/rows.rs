//! Rows times a matrix, which is packed first, by all threads.
//!
//! Each task takes some rows through all panels of the packed matrix, and what follows the
//! product is done to them while they are in its second cache.

use std::mem::MaybeUninit;

use super::ahead::{Ahead, Region};
use super::as_words::{Layout, Lies};
use super::tile::{COLUMNS, ROWS, Tile};
use super::turn::LANES;
use super::word::Word;
use super::{Words, rows_a_task};
use crate::gemm::matrix::Mat;
use crate::gemm::room::{Room, Then};
use crate::parallel::each;

/// Words of the sum for which a panel is packed: it is then 64 KiB, of which a tile reads
/// four lines at a time.
pub(super) const STRETCH: usize = 256;
/// Words of the sum for which columns are packed at one time.
const DEPTH: usize = 8 * STRETCH;
/// Words that are packed at one time, 4 MiB of them: all threads read them out of the
/// cache that they share.
const PACKED: usize = 1 << 20;
/// Most numbers of the result of a task, 128 KiB of them, so that they are in its second
/// cache when the last of them is made.
const RESULT: usize = 1 << 15;
/// Most panels of rows of a task.
const MOST_PANELS: usize = 16;

impl<W: Word> Words<W> {
    /// As [`Words::gemm`], where the result has rows of `a` for rows.
    ///
    /// # Safety
    ///
    /// As there.
    pub(super) unsafe fn rows(
        self,
        mut dst: Room<'_, f32>,
        a: Mat<'_, f32>,
        b: Mat<'_, f32>,
        then: Then<'_, f32>,
    ) {
        let width = dst.width;
        let (m, n, k) = (a.rows, b.cols, a.cols);
        let rows = rows_a_task(m, ROWS, (RESULT / n / ROWS).clamp(1, MOST_PANELS));
        let words = k.div_ceil(W::TERMS).min(DEPTH);
        let columns = (PACKED / words).next_multiple_of(COLUMNS).min(n);
        let mut room = Vec::with_capacity(columns.next_multiple_of(LANES) * words);
        for column in (0..n).step_by(columns) {
            for term in (0..k).step_by(words * W::TERMS) {
                let terms = term..k.min(term + words * W::TERMS);
                let b = b.part(terms.clone(), column..n.min(column + columns));
                let len = b.cols.next_multiple_of(LANES) * b.rows.div_ceil(W::TERMS);
                let packed = self.pack(b, &mut room.spare_capacity_mut()[..len]);
                let last = column + columns >= n && terms.end == k;
                let add = dst.accumulate || term > 0;
                each(dst.tasks(rows), |_, task| {
                    let these = task.first..m.min(task.first + rows);
                    let a = a.part(these, terms.clone());
                    let sides = task.sides.get(column..).unwrap_or_default();
                    let result = Tile {
                        data: &mut task.data[column..],
                        stride: width,
                        columns: b.cols,
                        add,
                    };
                    self.panels(a, packed, result, sides);
                    if last {
                        // SAFETY: all columns are made, and what lies between wider rows is
                        // initialised.
                        unsafe { task.finish(then) };
                    }
                });
            }
        }
    }

    /// All rows of `a`, times all columns. When the last terms are added, memory is asked for
    /// that of `sides` which lies where the tile does.
    fn panels(
        self,
        a: Mat<'_, f32>,
        packed: &[W],
        mut result: Tile<'_>,
        sides: &[MaybeUninit<f32>],
    ) {
        let (stride, all) = (result.stride, result.columns);
        let step = STRETCH * W::TERMS;
        let first = a.part(0..a.rows.min(ROWS), 0..a.cols.min(step));
        Ahead::new([Region::of(first), Region::NONE], 1).ask();
        let columns = all.next_multiple_of(LANES);
        let lies = match a.col_stride {
            1 => Lies::Rows,
            _ => Lies::Columns,
        };
        let words = a.cols.min(step).div_ceil(W::TERMS);
        let layout = Layout::of::<W>(a, lies, ROWS, words);
        let mut room = vec![W::default(); a.rows.div_ceil(ROWS) * layout.len];
        let stretches = packed.chunks(STRETCH * columns);
        for (term, stretch) in (0..a.cols).step_by(step).zip(stretches) {
            let terms = term..a.cols.min(term + step);
            let words = terms.len().div_ceil(W::TERMS);
            let panels = stretch.chunks(COLUMNS * words);
            for (column, panel) in (0..columns).step_by(COLUMNS).zip(panels) {
                let panel = Mat::new(panel, words, panel.len() / words);
                for (i, row) in (0..a.rows).step_by(ROWS).enumerate() {
                    let end = a.rows.min(row + ROWS);
                    // Later panels find the rows in a cache.
                    let next = match column {
                        0 => Region::of(a.part(end..a.rows.min(end + ROWS), terms.clone())),
                        _ => Region::NONE,
                    };
                    let beside = match terms.end == a.cols {
                        true if !sides.is_empty() => {
                            let sides = &sides[row * stride + column..];
                            Region::rows_of(sides, end - row, COLUMNS.min(all - column), stride)
                        }
                        _ => Region::NONE,
                    };
                    let mut ahead = Ahead::new([beside, next], words.div_ceil(LANES));
                    let room = &mut room[i * layout.len..][..layout.len];
                    let a = a.part(row..end, terms.clone());
                    let a = self.of(a, &layout, room, column == 0);
                    self.multiply(a, panel, result.at(row, column, term > 0), &mut ahead);
                }
            }
        }
    }
}
