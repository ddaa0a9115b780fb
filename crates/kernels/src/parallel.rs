//! Work on the rows of a matrix, split over the threads of the current pool.
//!
//! Pieces depend on the shape alone, never on the number of threads, and sums
//! over pieces run in index order: so do the bits.

use rayon::prelude::*;

use crate::Real;

/// Elements a piece should have, so that its work outweighs handing it over.
pub(crate) const GRAIN: usize = 1 << 14;

/// Rows of width `width` that one piece holds.
pub(crate) fn rows_a_piece(width: usize) -> usize {
    (GRAIN / width.max(1)).max(1)
}

/// Calls `work(first_row, rows)` on consecutive pieces of `y`, whose rows are
/// `width` wide.
pub(crate) fn rows_mut<T: Real>(y: &mut [T], width: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    if y.is_empty() || width == 0 {
        return;
    }
    let rows = rows_a_piece(width);
    if y.len() <= rows * width {
        work(0, y);
        return;
    }
    y.par_chunks_mut(rows * width)
        .enumerate()
        .for_each(|(piece, y)| work(piece * rows, y));
}

/// As [`rows_mut`]; each piece also gets the elements of `side` that belong to
/// its rows, one a row.
pub(crate) fn rows_mut_with<T: Real, S: Send>(
    y: &mut [T],
    width: usize,
    side: &mut [S],
    work: impl Fn(usize, &mut [T], &mut [S]) + Sync,
) {
    if y.is_empty() || width == 0 {
        return;
    }
    let rows = rows_a_piece(width);
    y.par_chunks_mut(rows * width)
        .zip(side.par_chunks_mut(rows))
        .enumerate()
        .for_each(|(piece, (y, side))| work(piece * rows, y, side));
}

/// Calls `work(first_element, elements)` on consecutive pieces of `y`. Pieces
/// start at multiples of 2¹⁴.
pub(crate) fn pieces_mut<T: Real>(y: &mut [T], work: impl Fn(usize, &mut [T]) + Sync) {
    rows_mut(y, 1, work);
}

/// As [`rows_mut`]; each piece also adds to its own row of `sums` numbers. The
/// rows are then added up in order, into `total`.
pub(crate) fn rows_mut_with_sums<T: Real>(
    y: &mut [T],
    width: usize,
    total: &mut [T],
    work: impl Fn(usize, &mut [T], &mut [T]) + Sync,
) {
    if y.is_empty() || width == 0 {
        return;
    }
    if total.is_empty() {
        return rows_mut(y, width, |first, rows| work(first, rows, &mut []));
    }
    let rows = rows_a_piece(width);
    let sums = total.len();
    let pieces = y.len().div_ceil(rows * width);
    let mut partial = vec![T::zero(); pieces * sums];
    y.par_chunks_mut(rows * width)
        .zip(partial.par_chunks_mut(sums))
        .enumerate()
        .for_each(|(piece, (y, sums))| work(piece * rows, y, sums));
    for sums in partial.chunks_exact(sums) {
        total
            .iter_mut()
            .zip(sums)
            .for_each(|(total, &s)| *total += s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_visited_whether_or_not_sums_are_wanted() {
        for sums in [0, 3] {
            let mut y = vec![0.0; 3 * 10_000];
            let mut total = vec![0.0; sums];
            rows_mut_with_sums(&mut y, 3, &mut total, |_, rows, sums| {
                rows.fill(1.0);
                sums.iter_mut()
                    .for_each(|sum| *sum += (rows.len() / 3) as f64);
            });
            assert!(y.iter().all(|&y: &f64| y == 1.0));
            assert!(total.iter().all(|&total| total == 10_000.0));
        }
    }
}
