//! Work across the lanes of several vectors: squares turned, sums of many at once.

use super::Real;
use super::lanes::Lanes;

/// Lanes of the longest vector.
pub(crate) const LONGEST: usize = 16;

/// Bit `i` of the number of each lane, as zero or one.
#[inline(always)]
pub(crate) fn lane_bits<T: Real, L: Lanes<Elem = T>>(lanes: L) -> [L::V; 4] {
    let mut bits = [lanes.zero(); 4];
    for (i, bits) in bits.iter_mut().enumerate() {
        let mut numbers = [T::zero(); LONGEST];
        for (lane, number) in numbers.iter_mut().enumerate() {
            if lane >> i & 1 == 1 {
                *number = T::one();
            }
        }
        *bits = lanes.load(&numbers);
    }
    bits
}

/// Transposes the first `N` vectors: swaps the off-diagonal quarters, then those of
/// each quarter, and so on (Eklundh 1972 <https://doi.org/10.1109/T-C.1972.223584>).
#[inline(always)]
pub(crate) fn transpose<L: Lanes>(lanes: L, bits: &[L::V; 4], square: &mut [L::V; LONGEST]) {
    swap::<L, 8>(lanes, bits[3], square);
    swap::<L, 4>(lanes, bits[2], square);
    swap::<L, 2>(lanes, bits[1], square);
    swap::<L, 1>(lanes, bits[0], square);
}

/// Swaps the off-diagonal squares of side `HALF`; `bit` is that bit of each lane's
/// number.
#[inline(always)]
fn swap<L: Lanes, const HALF: usize>(lanes: L, bit: L::V, square: &mut [L::V; LONGEST]) {
    let one = lanes.constant(1.0);
    for pair in 0..LONGEST / 2 {
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

/// The sums of the lanes of `G` vectors, that of vector `i` in lane `i` and in every
/// `G`-th after it. `G` is a power of two, and at most the number of lanes.
///
/// Two vectors become one, whose even lanes hold halves of the first's sum and whose odd
/// lanes those of the second's; two of such become one of quarters, and so on: some four
/// operations a vector, where each by itself takes eight.
#[inline(always)]
pub(crate) fn sums<L: Lanes, const G: usize>(
    lanes: L,
    bits: &[L::V; 4],
    mut vectors: [L::V; G],
) -> L::V {
    let one = lanes.constant(1.0);
    let mut apart = 1;
    for bit in bits {
        if apart < G {
            for i in (0..G).step_by(2 * apart) {
                let (a, b) = (vectors[i], vectors[i + apart]);
                let kept = lanes.select_lt(*bit, one, a, b);
                let moved = lanes.select_lt(*bit, one, b, a);
                vectors[i] = lanes.add(kept, lanes.rotate(moved, L::N - apart));
            }
        } else if apart < L::N {
            vectors[0] = lanes.add(vectors[0], lanes.rotate(vectors[0], L::N - apart));
        }
        apart *= 2;
    }
    vectors[0]
}

#[cfg(test)]
mod tests {
    use super::super::{Kernel, Real};
    use super::*;

    /// Sums of the rows of `x`, each `N` wide, by [`sums`].
    struct Sums<'a, T> {
        x: &'a [T],
        rows: usize,
    }

    impl<T: Real> Kernel<T> for Sums<'_, T> {
        type Output = Vec<T>;

        #[inline(always)]
        fn run<L: Lanes<Elem = T>>(self, lanes: L) -> Vec<T> {
            let bits = lane_bits(lanes);
            let row = |i: usize| lanes.load(&self.x[i * LONGEST..]);
            let sums = match self.rows.min(L::N) {
                1 => sums(lanes, &bits, [row(0)]),
                2 => sums::<_, 2>(lanes, &bits, std::array::from_fn(row)),
                4 => sums::<_, 4>(lanes, &bits, std::array::from_fn(row)),
                8 => sums::<_, 8>(lanes, &bits, std::array::from_fn(row)),
                _ => sums::<_, 16>(lanes, &bits, std::array::from_fn(row)),
            };
            let mut to = vec![T::zero(); L::N];
            lanes.store(&mut to, sums);
            to
        }
    }

    fn check<T: Real>() {
        // Sums of whole numbers are exact in any order.
        let x: Vec<T> = (0..LONGEST * LONGEST)
            .map(|i| T::from_f64((i * i % 97) as f64))
            .collect();
        for rows in [1, 2, 4, 8, 16] {
            let got = T::dispatch(Sums { x: &x, rows });
            let n = got.len();
            for (lane, &got) in got.iter().enumerate() {
                let row = &x[lane % rows.min(n) * LONGEST..][..n];
                let want: f64 = row.iter().map(|x| x.to_f64()).sum();
                assert_eq!(got.to_f64(), want, "{rows} rows, lane {lane}");
            }
        }
    }

    #[test]
    fn every_vector_is_summed_into_its_lane() {
        check::<f32>();
        check::<f64>();
    }
}
