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

use super::Mat;
use pack::Side;
use tile::{COLUMNS, LANES, ROWS, Tile};

/// Words of the sum for which a task packs rows at one time: a panel of columns is then
/// 32 KiB, one of rows 12.
const STRETCH: usize = 256;
/// Words of the sum for which columns are packed at one time, so that the memory of it
/// is bounded.
const DEPTH: usize = 8 * STRETCH;
/// Most rows of a task: they stay in the second cache while all columns go by.
const MOST_ROWS: usize = 12 * ROWS;

/// Witness that this machine multiplies `bf16`.
#[derive(Clone, Copy)]
pub(super) struct Halves(());

impl Halves {
    /// If the machine has what it takes.
    pub(super) fn detect() -> Option<Self> {
        let all = crate::instruction_set() == "avx512"
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16");
        all.then_some(Self(()))
    }

    /// `dst (+)= a b`, in rows of `dst` that are `width` wide.
    ///
    /// # Safety
    ///
    /// If `accumulate`, `dst` is initialised.
    pub(super) unsafe fn gemm(
        self,
        dst: &mut [MaybeUninit<f32>],
        width: usize,
        accumulate: bool,
        a: Mat<'_, f32>,
        b: Mat<'_, f32>,
    ) {
        let (a, b) = (side(a), side(b.t()));
        let (m, n) = (a.lanes, b.lanes);
        let threads = rayon::current_num_threads();
        let rows = m.div_ceil(2 * threads).clamp(ROWS, MOST_ROWS);
        let rows = rows.next_multiple_of(ROWS);
        let mut packed = Vec::new();
        for start in (0..a.depth).step_by(2 * DEPTH) {
            let depth = (a.depth - start).min(2 * DEPTH);
            let (a, b) = (a.stretch(start, depth), b.stretch(start, depth));
            let words = depth.div_ceil(2);
            packed.resize(n.next_multiple_of(LANES) * words, 0);
            self.pack_columns(&b, words, &mut packed);
            dst.par_chunks_mut(rows * width)
                .take(m.div_ceil(rows))
                .enumerate()
                .for_each(|(task, dst)| {
                    let first = task * rows;
                    let result = Result {
                        dst,
                        width,
                        rows: rows.min(m - first),
                        columns: n,
                        add: accumulate || start > 0,
                    };
                    self.task(&a, first, &packed, words, result);
                });
        }
    }

    /// All columns, in panels one after the other.
    fn pack_columns(self, from: &Side<'_>, words: usize, to: &mut [u32]) {
        // Numbers of a row lie side by side: so should the panels of a task.
        let n_panels = from.lanes.div_ceil(COLUMNS);
        let panels = n_panels.div_ceil(2 * rayon::current_num_threads());
        to.par_chunks_mut(panels * COLUMNS * words)
            .enumerate()
            .for_each(|(task, to)| {
                let whole = to.len() / (COLUMNS * words) * COLUMNS;
                let (to, last) = to.split_at_mut(whole * words);
                let lane = task * panels * COLUMNS;
                self.pack(from, lane, COLUMNS, words, to);
                self.pack(from, lane + whole, LANES, words, last);
            });
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
        let mut packed = vec![0; rows.next_multiple_of(ROWS) * STRETCH.min(words)];
        for word in (0..words).step_by(STRETCH) {
            let stretch = STRETCH.min(words - word);
            let start = 2 * word;
            let a = a.stretch(start, (a.depth - start).min(2 * stretch));
            let packed = &mut packed[..rows.next_multiple_of(ROWS) * stretch];
            self.pack(&a, first, ROWS, stretch, packed);
            let mut columns = columns;
            for column in (0..n).step_by(COLUMNS) {
                let panel = COLUMNS.min((n - column).next_multiple_of(LANES));
                let (b, rest) = columns.split_at(panel * words);
                columns = rest;
                let b = &b[word * panel..][..stretch * panel];
                for (i, a) in packed.chunks_exact(ROWS * stretch).enumerate() {
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
