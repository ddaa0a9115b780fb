//! Rows into columns, a square of vectors at a time.

use super::window::{BLOCK, STRIP};
use crate::Real;
use crate::simd::{Kernel, Lanes};

/// `to[c][r] = from[r][c]`: rows become columns of a matrix that is [`BLOCK`] wide.
pub(super) struct Transpose<'a, T> {
    /// Whole strips of rows.
    pub(super) from: &'a [T],
    /// A multiple of [`STRIP`].
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
                let mut square = [lanes.zero(); STRIP];
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

/// Transposes the first `N` vectors: swaps the off-diagonal quarters, then those of
/// each quarter, and so on (Eklundh 1972 <https://doi.org/10.1109/T-C.1972.223584>).
#[inline(always)]
fn transpose<L: Lanes>(lanes: L, bits: &[L::V; 4], square: &mut [L::V; STRIP]) {
    swap::<L, 8>(lanes, bits[3], square);
    swap::<L, 4>(lanes, bits[2], square);
    swap::<L, 2>(lanes, bits[1], square);
    swap::<L, 1>(lanes, bits[0], square);
}

/// Swaps the off-diagonal squares of side `HALF`; `bit` is that bit of each lane's
/// number.
#[inline(always)]
fn swap<L: Lanes, const HALF: usize>(lanes: L, bit: L::V, square: &mut [L::V; STRIP]) {
    let one = lanes.constant(1.0);
    for pair in 0..STRIP / 2 {
        let i = pair / HALF * 2 * HALF + pair % HALF;
        if i + HALF < L::N {
            let (above, below) = (square[i], square[i + HALF]);
            let to_right = lanes.rotate(below, HALF);
            let to_left = lanes.rotate(above, L::N - HALF);
            square[i] = lanes.select_lt(bit, one, above, to_right);
            square[i + HALF] = lanes.select_lt(bit, one, to_left, below);
        }
    }
}

/// Bit `i` of the number of each lane, as zero or one.
#[inline(always)]
fn lane_bits<T: Real, L: Lanes<Elem = T>>(lanes: L) -> [L::V; 4] {
    let mut bits = [lanes.zero(); 4];
    for (i, bits) in bits.iter_mut().enumerate() {
        let mut numbers = [T::zero(); STRIP];
        for (lane, number) in numbers.iter_mut().enumerate() {
            if lane >> i & 1 == 1 {
                *number = T::one();
            }
        }
        *bits = lanes.load(&numbers);
    }
    bits
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
