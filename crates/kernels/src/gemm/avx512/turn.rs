//! Squares of sixteen vectors of sixteen words, turned.

use std::arch::x86_64::*;

/// Words in a vector.
pub(super) const LANES: usize = 16;

/// Row `i` of the result holds word `i` of every row.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transposed(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    // Squares of 2, 4, 8 and 16 words are turned, one after the other.
    let (mut twos, mut fours, mut all) = (rows, rows, rows);
    for i in (0..LANES).step_by(2) {
        twos[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        twos[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for i in (0..LANES).step_by(4) {
        for h in 0..2 {
            fours[i + 2 * h] = _mm512_unpacklo_epi64(twos[i + h], twos[i + h + 2]);
            fours[i + 2 * h + 1] = _mm512_unpackhi_epi64(twos[i + h], twos[i + h + 2]);
        }
    }
    // In its quarters, `fours[4 g + c]` holds words c, c + 4, c + 8 and c + 12 of rows
    // 4 g to 4 g + 3.
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    for c in 0..4 {
        let (low, high) = ([fours[c], fours[4 + c]], [fours[8 + c], fours[12 + c]]);
        let [even_low, even_high] = [low, high].map(|[a, b]| _mm512_shuffle_i32x4::<EVEN>(a, b));
        let [odd_low, odd_high] = [low, high].map(|[a, b]| _mm512_shuffle_i32x4::<ODD>(a, b));
        all[c] = _mm512_shuffle_i32x4::<EVEN>(even_low, even_high);
        all[c + 4] = _mm512_shuffle_i32x4::<EVEN>(odd_low, odd_high);
        all[c + 8] = _mm512_shuffle_i32x4::<ODD>(even_low, even_high);
        all[c + 12] = _mm512_shuffle_i32x4::<ODD>(odd_low, odd_high);
    }
    all
}
