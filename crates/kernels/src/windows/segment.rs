//! Windows along packed sequences.

use std::sync::Arc;

use candle_core::Result;

use super::Window;
use super::place::Places;
use crate::segments;

/// The windows, and the walls on both sides.
#[derive(Debug)]
pub(super) struct SegmentWindows {
    window: Window,
    cu_rows: Arc<[u32]>,
    cu_windows: Arc<[u32]>,
}

impl SegmentWindows {
    pub(super) fn new(cu_rows: Arc<[u32]>, window: Window) -> Result<Self> {
        let n = cu_rows.last().map_or(0, |&end| end as usize);
        segments::check("windows", &cu_rows, n)?;
        let mut cu_windows = vec![0];
        let mut end = 0u64;
        for rows in segments::ranges(&cu_rows) {
            end += window.count(rows.len()) as u64;
            cu_windows.push(u32::try_from(end).map_err(candle_core::Error::wrap)?);
        }
        Ok(Self {
            window,
            cu_rows,
            cu_windows: cu_windows.into(),
        })
    }

    pub(super) fn cu_windows(&self) -> &Arc<[u32]> {
        &self.cu_windows
    }
}

/// The segment that holds `i`: the last that starts at or before it. Those before it that
/// start there, too, are empty.
fn segment(walls: &[u32], i: usize) -> usize {
    walls.partition_point(|&wall| wall as usize <= i) - 1
}

fn end(walls: &[u32]) -> usize {
    walls[walls.len() - 1] as usize
}

impl Places for SegmentWindows {
    fn n_rows(&self) -> usize {
        end(&self.cu_rows)
    }

    fn n_windows(&self) -> usize {
        end(&self.cu_windows)
    }

    fn n_taps(&self) -> usize {
        self.window.width
    }

    #[inline]
    fn rows_of(&self, window: usize, mut f: impl FnMut(usize, usize)) {
        let s = segment(&self.cu_windows, window);
        let (start, len) = (self.cu_rows[s], self.cu_rows[s + 1] - self.cu_rows[s]);
        let i = window - self.cu_windows[s] as usize;
        for tap in 0..self.window.width {
            if let Some(position) = self.window.position(i, tap, len as usize) {
                f(tap, start as usize + position);
            }
        }
    }

    #[inline]
    fn windows_of(&self, row: usize, mut f: impl FnMut(usize, usize)) {
        let s = segment(&self.cu_rows, row);
        let (start, count) = (
            self.cu_windows[s],
            self.cu_windows[s + 1] - self.cu_windows[s],
        );
        let position = row - self.cu_rows[s] as usize;
        for tap in 0..self.window.width {
            if let Some(i) = self.window.at(position, tap, count as usize) {
                f(start as usize + i, tap);
            }
        }
    }
}
