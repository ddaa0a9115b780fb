//! Memory that will soon be read or written, asked for line by line while a tile is made.

use std::arch::x86_64::*;

use crate::gemm::matrix::Mat;

/// Bytes of a line of a cache.
const LINE: usize = 64;

/// Rows of bytes somewhere in memory.
#[derive(Clone, Copy)]
pub(super) struct Region {
    start: *const u8,
    rows: usize,
    /// Bytes of each row, and from each to the next.
    width: usize,
    stride: usize,
}

impl Region {
    /// Nothing.
    pub(super) const NONE: Self = Self {
        start: std::ptr::null(),
        rows: 0,
        width: 0,
        stride: 0,
    };

    /// A matrix whose rows lie together.
    pub(super) fn of(matrix: Mat<'_, f32>) -> Self {
        Self::rows_of(matrix.data, matrix.rows, matrix.cols, matrix.row_stride)
    }

    /// The first `cols` elements of `rows` rows, which are `stride` apart.
    pub(super) fn rows_of<T>(data: &[T], rows: usize, cols: usize, stride: usize) -> Self {
        Self {
            start: data.as_ptr().cast(),
            rows,
            width: cols * size_of::<T>(),
            stride: stride * size_of::<T>(),
        }
    }

    fn lines(&self) -> usize {
        self.rows * self.width.div_ceil(LINE)
    }
}

/// The lines of two regions, one after the other.
pub(super) struct Ahead {
    regions: [Region; 2],
    /// The next line: its region, row and first byte.
    at: [usize; 3],
    /// Lines that are asked for at a time.
    at_a_time: usize,
}

impl Ahead {
    /// All lines of `regions`, in `times` parts.
    pub(super) fn new(regions: [Region; 2], times: usize) -> Self {
        let lines: usize = regions.iter().map(Region::lines).sum();
        Self {
            regions,
            at: [0; 3],
            at_a_time: lines.div_ceil(times.max(1)),
        }
    }

    /// Asks for the next part.
    #[inline(always)]
    pub(super) fn ask(&mut self) {
        for _ in 0..self.at_a_time {
            let [index, row, byte] = &mut self.at;
            let Some(region) = self.regions.get(*index) else {
                return;
            };
            if *row < region.rows {
                let line = region.start.wrapping_add(*row * region.stride + *byte);
                // SAFETY: part of every x86-64; it changes nothing that a program can see.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) };
            }
            *byte += LINE;
            if *byte >= region.width {
                (*row, *byte) = (*row + 1, 0);
            }
            if *row >= region.rows {
                (*index, *row) = (*index + 1, 0);
            }
        }
    }
}
