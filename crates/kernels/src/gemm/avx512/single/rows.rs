//! Rows times a matrix, which is packed first, by all threads.
//!
//! Each task takes some rows through all panels of the packed matrix, and what follows the
//! product is done to them while they are in its second cache.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::Singles;
use super::ahead::{Ahead, Region};
use super::tile::{COLUMNS, ROWS, Tile};
use crate::gemm::avx512::rows_a_task;
use crate::gemm::avx512::turn::LANES;
use crate::gemm::matrix::Mat;
use crate::gemm::room::{Room, Then};

/// Terms of the sum for which a panel is packed: it is then 64 KiB, of which a tile reads
/// four lines at a time.
pub(super) const STRETCH: usize = 256;
/// Terms of the sum for which columns are packed at one time.
const DEPTH: usize = 8 * STRETCH;
/// Numbers that are packed at one time, 4 MiB of them: all threads read them out of the
/// cache that they share.
const PACKED: usize = 1 << 20;
/// Most numbers of the result of a task, 128 KiB of them, so that they are in its second
/// cache when the last of them is made.
const RESULT: usize = 1 << 15;
/// Most panels of rows of a task.
const MOST_PANELS: usize = 16;

impl Singles {
    /// As [`Singles::gemm`], where numbers of a row of `a` lie side by side.
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
        let depth = k.min(DEPTH);
        let columns = (PACKED / depth).next_multiple_of(COLUMNS).min(n);
        let mut room = Vec::with_capacity(columns.next_multiple_of(LANES) * depth);
        for column in (0..n).step_by(columns) {
            for term in (0..k).step_by(depth) {
                let b = b.part(term..k.min(term + depth), column..n.min(column + columns));
                let len = b.cols.next_multiple_of(LANES) * b.rows;
                let packed = self.pack(b, &mut room.spare_capacity_mut()[..len]);
                let last = column + columns >= n && term + depth >= k;
                let add = dst.accumulate || term > 0;
                let tasks = dst.tasks(rows);
                tasks.into_par_iter().for_each(|task| {
                    let these = task.first..m.min(task.first + rows);
                    let a = a.part(these, term..term + b.rows);
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
        packed: &[f32],
        mut result: Tile<'_>,
        sides: &[MaybeUninit<f32>],
    ) {
        let (stride, all) = (result.stride, result.columns);
        let first = a.part(0..a.rows.min(ROWS), 0..a.cols.min(STRETCH));
        Ahead::new([Region::of(first), Region::NONE], 1).ask();
        let columns = all.next_multiple_of(LANES);
        let stretches = packed.chunks(STRETCH * columns);
        for (term, stretch) in (0..a.cols).step_by(STRETCH).zip(stretches) {
            let terms = STRETCH.min(a.cols - term);
            let panels = stretch.chunks(COLUMNS * terms);
            for (column, panel) in (0..columns).step_by(COLUMNS).zip(panels) {
                let panel = Mat::new(panel, terms, panel.len() / terms);
                for row in (0..a.rows).step_by(ROWS) {
                    let end = a.rows.min(row + ROWS);
                    // Later panels find the rows in a cache.
                    let next = match column {
                        0 => Region::of(a.part(end..a.rows.min(end + ROWS), term..term + terms)),
                        _ => Region::NONE,
                    };
                    let beside = match term + terms == a.cols {
                        true if !sides.is_empty() => {
                            let sides = &sides[row * stride + column..];
                            Region::rows_of(sides, end - row, COLUMNS.min(all - column), stride)
                        }
                        _ => Region::NONE,
                    };
                    let mut ahead = Ahead::new([beside, next], terms.div_ceil(LANES));
                    let a = a.part(row..end, term..term + terms);
                    self.multiply(a, panel, result.at(row, column, term > 0), &mut ahead);
                }
            }
        }
    }
}
