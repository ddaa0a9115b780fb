//! Work on the rows of a matrix, split over the threads of the current pool.
//!
//! Pieces depend on the shape alone, never on the number of threads, and sums
//! over pieces run in index order: so do the bits.

use std::mem::MaybeUninit;

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

/// As [`rows_mut`], on `len` new values. A piece is zeroed by the thread that works on
/// it, just before: it is in that thread's cache then, and no other waits meanwhile.
pub(crate) fn rows_new<T: Real>(
    len: usize,
    width: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    let pieces = len.div_ceil(rows_a_piece(width) * width.max(1));
    let none = (0..pieces).into_par_iter().map(|_| [(); 0].as_mut_slice());
    pieces_new(len, width, none, |first, rows, _| work(first, rows))
}

/// As [`rows_new`]; each piece also gets the elements of `side` that belong to its rows,
/// one a row.
pub(crate) fn rows_new_with<T: Real, S: Send>(
    len: usize,
    width: usize,
    side: &mut [S],
    work: impl Fn(usize, &mut [T], &mut [S]) + Sync,
) -> Vec<T> {
    let rows = rows_a_piece(width);
    assert!(width == 0 || side.len() == len / width);
    pieces_new(len, width, side.par_chunks_mut(rows), work)
}

/// As [`rows_mut`]; each piece also adds to its own row of as many numbers as `total` has,
/// zero at first. These rows are then added up in order, into `total`.
pub(crate) fn rows_mut_with_sums<T: Real>(
    y: &mut [T],
    width: usize,
    total: &mut [T],
    work: impl Fn(usize, &mut [T], &mut [T]) + Sync,
) {
    if total.is_empty() {
        return rows_mut(y, width, |first, y| work(first, y, &mut []));
    }
    let rows = rows_a_piece(width);
    let piece_len = rows * width.max(1);
    let mut partial = vec![T::zero(); y.len().div_ceil(piece_len) * total.len()];
    y.par_chunks_mut(piece_len)
        .zip(partial.par_chunks_mut(total.len()))
        .enumerate()
        .for_each(|(piece, (y, sums))| work(piece * rows, y, sums));
    for sums in partial.chunks_exact(total.len()) {
        total
            .iter_mut()
            .zip(sums)
            .for_each(|(total, &s)| *total += s);
    }
}

/// `len` new values in pieces of rows; each piece is worked on with its part of `sides`.
fn pieces_new<'a, T: Real, S: Send + 'a>(
    len: usize,
    width: usize,
    sides: impl IndexedParallelIterator<Item = &'a mut [S]>,
    work: impl Fn(usize, &mut [T], &mut [S]) + Sync,
) -> Vec<T> {
    let rows = rows_a_piece(width);
    let piece_len = rows * width;
    let mut made = Vec::with_capacity(len);
    if len == 0 {
        return made;
    }
    assert!(width > 0 && sides.len() == len.div_ceil(piece_len));
    made.spare_capacity_mut()[..len]
        .par_chunks_mut(piece_len)
        .zip(sides)
        .enumerate()
        .for_each(|(piece, (room, side))| work(piece * rows, zeroed(room), side));
    // SAFETY: there is room for `len` values; there were as many sides as pieces, so
    // every piece of them was zeroed.
    unsafe { made.set_len(len) };
    made
}

/// Fills `room` with zeros.
pub(crate) fn zeroed<T: Real>(room: &mut [MaybeUninit<T>]) -> &mut [T] {
    room.fill(MaybeUninit::new(T::zero()));
    // SAFETY: every element was just written; the layout is that of `T`.
    unsafe { &mut *(std::ptr::from_mut(room) as *mut [T]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_visited_whether_or_not_sums_are_wanted() {
        for sums in [0, 3] {
            let mut total = vec![0.0; sums];
            let mut y = vec![0.0; 3 * 10_000];
            rows_mut_with_sums(&mut y, 3, &mut total, |_, rows, sums| {
                rows.iter_mut().for_each(|y| *y += 1.0);
                sums.iter_mut()
                    .for_each(|sum| *sum += (rows.len() / 3) as f64);
            });
            assert_eq!(y.len(), 3 * 10_000);
            assert!(y.iter().all(|&y: &f64| y == 1.0));
            assert!(total.iter().all(|&total| total == 10_000.0));
        }
    }

    #[test]
    fn new_rows_go_with_their_sides() {
        let mut side = vec![0; 10_000];
        let y = rows_new_with(3 * 10_000, 3, &mut side, |first, rows, side| {
            for (i, (row, side)) in rows.chunks_exact_mut(3).zip(side).enumerate() {
                row.fill((first + i) as f32);
                *side = first + i;
            }
        });
        assert!(y.iter().zip(0..).all(|(&y, i)| y == (i / 3) as f32));
        assert!(side.into_iter().eq(0..10_000));
        assert!(rows_new::<f32>(0, 3, |_, _| ()).is_empty());
        assert!(rows_new::<f32>(0, 0, |_, _| ()).is_empty());
    }
}
