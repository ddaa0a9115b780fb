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
    let mut apart = 1;
    for bit in bits {
        if apart < G {
            for i in (0..G).step_by(2 * apart) {
                vectors[i] = fold(lanes, *bit, apart, [vectors[i], vectors[i + apart]]);
            }
        } else if apart < L::N {
            vectors[0] = lanes.add(vectors[0], lanes.rotate(vectors[0], L::N - apart));
        }
        apart *= 2;
    }
    vectors[0]
}

/// As [`sums`], of as many vectors as there are lanes. Each is asked for when its
/// neighbours are folded, so that few are there at a time.
#[inline(always)]
pub(crate) fn sums_by<L: Lanes>(
    lanes: L,
    bits: &[L::V; 4],
    vector: impl Fn(usize) -> L::V,
) -> L::V {
    match L::N {
        1 => vector(0),
        2 => two::<L, false>(lanes, bits, &vector, 0),
        4 => four::<L, false>(lanes, bits, &vector, 0),
        8 => eight::<L, false>(lanes, bits, &vector, 0),
        _ => {
            let first = eight::<L, false>(lanes, bits, &vector, 0);
            let second = eight::<L, false>(lanes, bits, &vector, 8);
            fold(lanes, bits[3], 8, [first, second])
        }
    }
}

/// The sums of either half of the lanes of half as many vectors as there are lanes: that of
/// vector `i` in lane `2 · i`, of its lower half, and in the next, of its upper one.
#[inline(always)]
pub(crate) fn sums_of_halves<L: Lanes>(
    lanes: L,
    bits: &[L::V; 4],
    vector: impl Fn(usize) -> L::V,
) -> L::V {
    // Sums of upper halves land in upper lanes, not in odd ones. So vectors are taken in an
    // order that leaves two bits of each lane's number the wrong way round.
    match L::N {
        1 | 2 => vector(0),
        4 => turn_ends(lanes, bits, two::<L, true>(lanes, bits, &vector, 0)),
        8 => turn_ends(lanes, bits, four::<L, true>(lanes, bits, &vector, 0)),
        _ => turn_ends(lanes, bits, eight::<L, true>(lanes, bits, &vector, 0)),
    }
}

/// Eight vectors from `i` on, folded.
#[inline(always)]
fn eight<L: Lanes, const HALVES: bool>(
    lanes: L,
    bits: &[L::V; 4],
    vector: &impl Fn(usize) -> L::V,
    i: usize,
) -> L::V {
    let first = four::<L, HALVES>(lanes, bits, vector, i);
    let second = four::<L, HALVES>(lanes, bits, vector, i + 4);
    fold_either::<L, HALVES>(lanes, bits[2], 4, [first, second])
}

/// Four vectors from `i` on, folded.
#[inline(always)]
fn four<L: Lanes, const HALVES: bool>(
    lanes: L,
    bits: &[L::V; 4],
    vector: &impl Fn(usize) -> L::V,
    i: usize,
) -> L::V {
    let first = two::<L, HALVES>(lanes, bits, vector, i);
    let second = two::<L, HALVES>(lanes, bits, vector, i + 2);
    fold_either::<L, HALVES>(lanes, bits[1], 2, [first, second])
}

/// Two vectors from `i` on, folded; halves are taken in the order of [`sums_of_halves`].
#[inline(always)]
fn two<L: Lanes, const HALVES: bool>(
    lanes: L,
    bits: &[L::V; 4],
    vector: &impl Fn(usize) -> L::V,
    i: usize,
) -> L::V {
    let [first, second] = if HALVES {
        [i / 2, i / 2 + L::N / 4]
    } else {
        [i, i + 1]
    };
    fold_either::<L, HALVES>(lanes, bits[0], 1, [vector(first), vector(second)])
}

/// [`fold`], or [`fold_inside`] halves.
#[inline(always)]
fn fold_either<L: Lanes, const HALVES: bool>(
    lanes: L,
    bit: L::V,
    apart: usize,
    vectors: [L::V; 2],
) -> L::V {
    if HALVES {
        fold_inside(lanes, bit, apart, vectors)
    } else {
        fold(lanes, bit, apart, vectors)
    }
}

/// Adds to each lane of either vector the one `apart` lanes on, and keeps those of `a`
/// where `bit` is zero, those of `b` where it is one: the bit that counts `apart`.
#[inline(always)]
fn fold<L: Lanes>(lanes: L, bit: L::V, apart: usize, [a, b]: [L::V; 2]) -> L::V {
    let one = lanes.constant(1.0);
    let kept = lanes.select_lt(bit, one, a, b);
    let moved = lanes.select_lt(bit, one, b, a);
    lanes.add(kept, lanes.rotate(moved, L::N - apart))
}

/// As [`fold`], but adds to a lane where `bit` is one the one `apart` lanes before.
#[inline(always)]
fn fold_inside<L: Lanes>(lanes: L, bit: L::V, apart: usize, [a, b]: [L::V; 2]) -> L::V {
    let one = lanes.constant(1.0);
    let kept = lanes.select_lt(bit, one, a, b);
    let moved = lanes.select_lt(bit, one, b, a);
    let on = lanes.rotate(moved, L::N - apart);
    let back = lanes.rotate(moved, apart);
    lanes.add(kept, lanes.select_lt(bit, one, on, back))
}

/// Moves each lane to where the first and the last bit of its number are the other way
/// round.
#[inline(always)]
fn turn_ends<L: Lanes>(lanes: L, bits: &[L::V; 4], v: L::V) -> L::V {
    let one = lanes.constant(1.0);
    let (low, high) = (bits[0], bits[L::N.ilog2() as usize - 1]);
    let far = L::N / 2 - 1;
    // Lanes of odd number in the lower half, and of even number in the upper one, change.
    let from_above = lanes.select_lt(low, one, v, lanes.rotate(v, L::N - far));
    let from_below = lanes.select_lt(low, one, lanes.rotate(v, far), v);
    lanes.select_lt(high, one, from_above, from_below)
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

    /// Sums of halves of the rows of `x` by [`sums_of_halves`], or of all of them by [`sums_by`].
    struct Halves<'a, T>(&'a [T], bool);

    impl<T: Real> Kernel<T> for Halves<'_, T> {
        type Output = Vec<T>;

        #[inline(always)]
        fn run<L: Lanes<Elem = T>>(self, lanes: L) -> Vec<T> {
            let bits = lane_bits(lanes);
            let row = |i: usize| lanes.load(&self.0[i * LONGEST..]);
            let sums = if self.1 {
                sums_of_halves(lanes, &bits, row)
            } else {
                sums_by(lanes, &bits, row)
            };
            let mut to = vec![T::zero(); L::N];
            lanes.store(&mut to, sums);
            to
        }
    }

    fn check_halves<T: Real>() {
        let x: Vec<T> = (0..LONGEST * LONGEST)
            .map(|i| T::from_f64((i * i % 97) as f64))
            .collect();
        let sum = |x: &[T]| x.iter().map(|x| x.to_f64()).sum::<f64>();
        let (all, halves) = (
            T::dispatch(Halves(&x, false)),
            T::dispatch(Halves(&x, true)),
        );
        let n = all.len();
        for lane in 0..n {
            let row = &x[lane * LONGEST..][..n];
            assert_eq!(all[lane].to_f64(), sum(row), "lane {lane}");
            let half = &x[lane / 2 * LONGEST + lane % 2 * (n / 2)..][..n.div_ceil(2)];
            assert_eq!(halves[lane].to_f64(), sum(half), "half in lane {lane}");
        }
    }

    #[test]
    fn every_half_is_summed_into_its_lane() {
        check_halves::<f32>();
        check_halves::<f64>();
    }

    #[test]
    fn every_vector_is_summed_into_its_lane() {
        check::<f32>();
        check::<f64>();
    }
}
