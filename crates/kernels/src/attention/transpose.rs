//! Rows into columns, a square of vectors at a time.

use super::window::BLOCK;
use crate::Real;
use crate::simd::{Kernel, LONGEST, Lanes, lane_bits, transpose};

/// `to[c][r] = from[r][c]`: rows become columns of a matrix that is [`BLOCK`] wide.
pub(super) struct Transpose<'a, T> {
    /// Whole strips of rows.
    pub(super) from: &'a [T],
    /// A multiple of a strip.
    pub(super) from_width: usize,
    pub(super) to: &'a mut [T],
}

impl<T: Real> Kernel<T> for Transpose<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let bits = lane_bits(lanes);
        let rows = self.from.len() / self.from_width;
        for r in (0..rows).step_by(L::N) {
            for c in (0..self.from_width).step_by(L::N) {
                let mut square = [lanes.zero(); LONGEST];
                for (i, row) in square.iter_mut().enumerate().take(L::N) {
                    *row = lanes.load(&self.from[(r + i) * self.from_width + c..]);
                }
                transpose(lanes, &bits, &mut square);
                for (i, &column) in square.iter().enumerate().take(L::N) {
                    lanes.store(&mut self.to[(c + i) * BLOCK + r..], column);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Real>() {
        let number = |r: usize, c: usize| T::from_f64((r * 100 + c) as f64);
        for (rows, width) in [(16, 16), (48, 32), (64, 80)] {
            let from: Vec<T> = (0..rows * width)
                .map(|i| number(i / width, i % width))
                .collect();
            let mut to = vec![T::zero(); width * BLOCK];
            T::dispatch(Transpose {
                from: &from,
                from_width: width,
                to: &mut to,
            });
            for (c, column) in to.chunks_exact(BLOCK).enumerate() {
                for (r, &got) in column.iter().enumerate() {
                    let want = if r < rows { number(r, c) } else { T::zero() };
                    assert!(got == want, "row {r}, column {c}: {got}");
                }
            }
        }
    }

    #[test]
    fn rows_become_columns() {
        check::<f32>();
        check::<f64>();
    }
}
