//! Which rows a window covers, and which windows cover a row.

use super::Window;

/// The windows over the rows of a batch.
pub(super) trait Places: Sync {
    /// Rows there are.
    fn n_rows(&self) -> usize;

    /// Windows there are.
    fn n_windows(&self) -> usize;

    /// Places in a window.
    fn n_taps(&self) -> usize;

    /// Calls `f(tap, row)` for every place of `window` that holds a row, in order.
    fn rows_of(&self, window: usize, f: impl FnMut(usize, usize));

    /// Calls `f(window, tap)` for every window that covers `row`, and the place at which
    /// it does, in the order of the places.
    fn windows_of(&self, row: usize, f: impl FnMut(usize, usize));
}

impl Window {
    /// The position at `tap` of window `i` over `n` positions, if it is one of them.
    pub(super) fn position(self, i: usize, tap: usize, n: usize) -> Option<usize> {
        (i * self.stride + tap)
            .checked_sub(self.before)
            .filter(|&position| position < n)
    }

    /// The window, of `count`, whose place `tap` is `position`, if there is one.
    pub(super) fn at(self, position: usize, tap: usize, count: usize) -> Option<usize> {
        (position + self.before)
            .checked_sub(tap)
            .filter(|start| start.is_multiple_of(self.stride))
            .map(|start| start / self.stride)
            .filter(|&i| i < count)
    }
}
