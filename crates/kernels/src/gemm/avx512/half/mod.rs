//! Matrix products of `f32` that are rounded to `bf16` on the way in, summed in `f32`:
//! the loops over packed panels (Goto and van de Geijn 2008, "Anatomy of high-performance
//! matrix multiplication").
//!
//! The right matrix is packed first, by all threads; each task then takes some rows of
//! the left one, packs them a stretch of the sum at a time, and goes over all columns.
//! Every number of the result is one chain of sums, cut at fixed places: its bits depend
//! neither on the threads nor on its neighbours.

mod pack;
mod tile;

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::rows_a_task;
use super::turn::LANES;
use crate::gemm::matrix::Mat;
use crate::gemm::room::{Room, Then, written};
use pack::Side;
use tile::{COLUMNS, ROWS, Tile};

/// Words of the sum for which a task packs rows at one time: a panel of columns is then
/// 32 KiB, one of rows 12.
const STRETCH: usize = 256;
/// Words of the sum for which columns are packed at one time: 1024 columns are then 2 MiB,
/// which all threads read out of the cache that they share.
const DEPTH: usize = 2 * STRETCH;
/// Most panels of rows of a task: they stay in the second cache while all columns go by.
const MOST_PANELS: usize = 12;

/// Witness that this machine multiplies `bf16`.
#[derive(Clone, Copy)]
pub(in crate::gemm) struct Halves(());

impl Halves {
    /// If the machine has what it takes.
    pub(super) fn detect() -> Option<Self> {
        let all = crate::instruction_set() == "avx512"
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16");
        all.then_some(Self(()))
    }

    /// As [`Wide::gemm`](super::Wide::gemm).
    ///
    /// # Safety
    ///
    /// As there.
    pub(super) unsafe fn gemm(
        self,
        mut dst: Room<'_, f32>,
        a: Mat<'_, f32>,
        b: Mat<'_, f32>,
        then: Then<'_, f32>,
    ) {
        let width = dst.width;
        let (a, b) = (side(a), side(b.t()));
        let (m, n) = (a.lanes, b.lanes);
        let rows = rows_a_task(m, ROWS, MOST_PANELS);
        let depth = a.depth.min(2 * DEPTH);
        let mut room = Vec::with_capacity(n.next_multiple_of(LANES) * depth.div_ceil(2));
        for start in (0..a.depth).step_by(2 * DEPTH) {
            let depth = (a.depth - start).min(2 * DEPTH);
            let last = start + depth == a.depth;
            let (a, b) = (a.stretch(start, depth), b.stretch(start, depth));
            let words = depth.div_ceil(2);
            let room = &mut room.spare_capacity_mut()[..n.next_multiple_of(LANES) * words];
            let packed = self.pack_columns(&b, words, room);
            let add = dst.accumulate || start > 0;
            dst.tasks(rows).into_par_iter().for_each(|task| {
                let result = Result {
                    dst: &mut *task.data,
                    width,
                    rows: rows.min(m - task.first),
                    columns: n,
                    add,
                };
                self.task(&a, task.first, packed, words, result);
                if last {
                    // SAFETY: all columns are made, and what lies between wider rows is
                    // initialised.
                    unsafe { task.finish(then) };
                }
            });
        }
    }

    /// All columns, in panels one after the other, which fill `room`.
    fn pack_columns<'a>(
        self,
        from: &Side<'_>,
        words: usize,
        room: &'a mut [MaybeUninit<u32>],
    ) -> &'a [u32] {
        // Numbers of a row lie side by side: so should the panels of a task.
        let n_panels = from.lanes.div_ceil(COLUMNS);
        let panels = n_panels.div_ceil(2 * rayon::current_num_threads());
        room.par_chunks_mut(panels * COLUMNS * words)
            .enumerate()
            .for_each(|(task, to)| {
                let whole = to.len() / (COLUMNS * words) * COLUMNS;
                let (to, last) = to.split_at_mut(whole * words);
                let lane = task * panels * COLUMNS;
                self.pack(from, lane, COLUMNS, words, to);
                self.pack(from, lane + whole, LANES, words, last);
            });
        // SAFETY: the tasks together packed panels into all of it.
        unsafe { written(room) }
    }

    /// The rows of `a` from `first` on that belong to `result`, times all columns.
    fn task(self, a: &Side<'_>, first: usize, columns: &[u32], words: usize, result: Result<'_>) {
        let Result {
            dst,
            width,
            rows,
            columns: n,
            add,
        } = result;
        let mut room = Vec::with_capacity(rows.next_multiple_of(ROWS) * STRETCH.min(words));
        for word in (0..words).step_by(STRETCH) {
            let stretch = STRETCH.min(words - word);
            let start = 2 * word;
            let a = a.stretch(start, (a.depth - start).min(2 * stretch));
            let room = &mut room.spare_capacity_mut()[..rows.next_multiple_of(ROWS) * stretch];
            self.pack(&a, first, ROWS, stretch, room);
            // SAFETY: panels were just packed into all of it.
            let rows_packed = unsafe { written(room) };
            let mut columns = columns;
            for column in (0..n).step_by(COLUMNS) {
                let panel = COLUMNS.min((n - column).next_multiple_of(LANES));
                let (b, rest) = columns.split_at(panel * words);
                columns = rest;
                let b = &b[word * panel..][..stretch * panel];
                for (i, a) in rows_packed.chunks_exact(ROWS * stretch).enumerate() {
                    let tile = Tile {
                        data: &mut dst[i * ROWS * width + column..],
                        stride: width,
                        rows: ROWS.min(rows - i * ROWS),
                        columns: panel.min(n - column),
                        add: add || word > 0,
                    };
                    self.multiply(a, b, tile);
                }
            }
        }
    }
}

/// The part of the result that a task makes.
struct Result<'a> {
    dst: &'a mut [MaybeUninit<f32>],
    width: usize,
    rows: usize,
    columns: usize,
    /// Whether it is added to what is there.
    add: bool,
}

/// The rows of `matrix` as lanes.
fn side(matrix: Mat<'_, f32>) -> Side<'_> {
    let side = Side {
        data: matrix.data,
        lanes: matrix.rows,
        depth: matrix.cols,
        lane_stride: matrix.row_stride,
        depth_stride: matrix.col_stride,
    };
    assert!(side.lane_stride == 1 || side.depth_stride == 1);
    side
}
