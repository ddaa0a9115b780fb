//! Packed rows in the order of time: step after step, the longest sequence first.

use std::ops::Range;

use super::Direction;
use crate::Real;
use crate::parallel::rows_mut;
use crate::segments;
use crate::storage::buffer;

/// Which rows are computed at which step.
///
/// A sequence has the same place among the rows of every step that it takes part in,
/// because those that end are behind those that go on.
#[derive(Debug)]
pub(super) struct Steps {
    /// The packed row of each row in the order of time.
    rows: Vec<u32>,
    /// Where each row in the order of packing stands in the order of time.
    places: Vec<u32>,
    /// Where each step starts, and the end: in the order of time.
    starts: Vec<usize>,
}

impl Steps {
    pub(super) fn new(cu_seqlens: &[u32], direction: Direction) -> Self {
        let mut sequences: Vec<Range<usize>> = segments::ranges(cu_seqlens).collect();
        // Stable: equal lengths keep their order.
        sequences.sort_by_key(|rows| std::cmp::Reverse(rows.len()));
        let n = sequences.iter().map(Range::len).sum();
        let (mut rows, mut places) = (Vec::with_capacity(n), vec![0; n]);
        let mut starts = vec![0];
        let n_steps = sequences.first().map_or(0, Range::len);
        for step in 0..n_steps {
            let running = sequences.iter().take_while(|rows| step < rows.len());
            for sequence in running {
                let row = match direction {
                    Direction::Forward => sequence.start + step,
                    Direction::Backward => sequence.end - 1 - step,
                };
                // Rows are counted by the `u32` walls.
                places[row] = rows.len() as u32;
                rows.push(row as u32);
            }
            starts.push(rows.len());
        }
        Self {
            rows,
            places,
            starts,
        }
    }

    /// Rows there are.
    pub(super) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// Steps of the longest sequence.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The rows of a step, in the order of time.
    pub(super) fn at(&self, step: usize) -> Range<usize> {
        self.starts[step]..self.starts[step + 1]
    }

    /// The rows of the step before that go on in this one, in the same order; `None`
    /// before the first.
    pub(super) fn before(&self, step: usize) -> Option<Range<usize>> {
        let start = self.starts[step.checked_sub(1)?];
        Some(start..start + self.at(step).len())
    }

    /// Sequences that have a row at all: the most rows of a step.
    pub(super) fn widest(&self) -> usize {
        match self.len() {
            0 => 0,
            _ => self.at(0).len(),
        }
    }

    /// Packed rows, `width` wide, in the order of time.
    pub(super) fn gather<T: Real>(&self, x: &[T], width: usize) -> Vec<T> {
        permuted(x, width, &self.rows)
    }

    /// Rows in the order of time, packed.
    pub(super) fn scatter<T: Real>(&self, x: &[T], width: usize) -> Vec<T> {
        permuted(x, width, &self.places)
    }
}

/// Row `i` of the result is row `from[i]` of `x`.
fn permuted<T: Real>(x: &[T], width: usize, from: &[u32]) -> Vec<T> {
    let mut y = buffer(x.len());
    rows_mut(&mut y, width, |first, y| {
        for (y, &row) in y.chunks_exact_mut(width).zip(&from[first..]) {
            let row = row as usize;
            y.copy_from_slice(&x[row * width..(row + 1) * width]);
        }
    });
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_sequence_comes_first_and_none_is_padded() {
        let steps = Steps::new(&[0, 1, 4, 4, 6], Direction::Forward);
        assert_eq!(steps.rows, [1, 4, 0, 2, 5, 3]);
        assert_eq!(steps.starts, [0, 3, 5, 6]);
        assert_eq!((steps.before(0), steps.before(2)), (None, Some(3..4)));
        let steps = Steps::new(&[0, 1, 4, 4, 6], Direction::Backward);
        assert_eq!(steps.rows, [3, 5, 0, 2, 4, 1]);
    }

    #[test]
    fn scattering_undoes_gathering() {
        let x: Vec<f64> = (0..12).map(f64::from).collect();
        for direction in [Direction::Forward, Direction::Backward] {
            let steps = Steps::new(&[0, 1, 4, 4, 6], direction);
            assert_eq!(steps.scatter(&steps.gather(&x, 2), 2), x);
        }
        let none = Steps::new(&[0, 0], Direction::Forward);
        assert_eq!((none.len(), none.widest(), none.n_rows()), (0, 0, 0));
    }
}
