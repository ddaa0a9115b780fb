//! Rotary positions: rows are turned once, not once an edge.

use std::ops::Range;

use crate::Real;
use crate::attention::{Direction, Turn};
use crate::parallel::{numbers, rows_mut};
use crate::simd::{Kernel, Lanes};
use crate::view::{Columns, Panel, Rows};

/// The first `width` columns of all rows, each head turned by the angle of its row.
pub(super) fn turned<T: Real>(
    rows: Rows<'_, T>,
    n: usize,
    width: usize,
    head_dim: usize,
    turn: Turn<'_, T>,
) -> Vec<T> {
    let mut y = vec![T::zero(); n * width];
    rows_mut(&mut y, width, |first, y| {
        T::dispatch(Forward {
            turn,
            head_dim,
            rows,
            first,
            width,
            y,
        });
    });
    y
}

struct Forward<'a, T> {
    turn: Turn<'a, T>,
    head_dim: usize,
    rows: Rows<'a, T>,
    first: usize,
    width: usize,
    y: &'a mut [T],
}

impl<T: Real> Kernel<T> for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        for (i, y) in (self.first..).zip(self.y.chunks_exact_mut(self.width)) {
            let x = self.rows.row(i, 0, self.width).chunks_exact(self.head_dim);
            for (x, y) in x.zip(y.chunks_exact_mut(self.head_dim)) {
                self.turn
                    .apply(lanes, i, Direction::Forward, T::one(), x, y);
            }
        }
    }
}

/// Turns gradients back, in place. `pieces` are ranges of rows that share none.
pub(super) fn turn_back<T: Real>(
    gradients: Columns<'_, T>,
    pieces: &[Range<usize>],
    width: usize,
    head_dim: usize,
    turn: Turn<'_, T>,
) {
    numbers(pieces.len(), &|i| {
        let rows = &pieces[i];
        // SAFETY: pieces share no row.
        let panel = unsafe { gradients.head(rows, 0, width) };
        T::dispatch(Back {
            turn,
            head_dim,
            rows: rows.clone(),
            panel,
        });
    });
}

struct Back<'a, T> {
    turn: Turn<'a, T>,
    head_dim: usize,
    rows: Range<usize>,
    panel: Panel<'a, T>,
}

impl<T: Real> Kernel<T> for Back<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(mut self, lanes: L) {
        let mut x = vec![T::zero(); self.head_dim];
        for (at, i) in self.rows.enumerate() {
            for y in self.panel.row(at).chunks_exact_mut(self.head_dim) {
                x.copy_from_slice(y);
                self.turn.apply(lanes, i, Direction::Back, T::one(), &x, y);
            }
        }
    }
}
