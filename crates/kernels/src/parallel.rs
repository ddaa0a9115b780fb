//! Work on the rows of a matrix, split over the threads of the current pool.
//!
//! Pieces depend on the shape alone, never on the number of threads, and sums
//! over pieces run in index order: so do the bits.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

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
    each_piece(Pieces::of(y, rows * width), |i, y| work(i * rows, y));
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
    let both = (Pieces::of(y, rows * width), Pieces::of(side, rows));
    each_piece(both, |i, (y, side)| work(i * rows, y, side));
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
    pieces_new(len, width, &mut [(); 0], |first, rows, _| work(first, rows))
}

/// As [`rows_new`]; each piece also gets the elements of `side` that belong to its rows,
/// one a row.
pub(crate) fn rows_new_with<T: Real, S: Send>(
    len: usize,
    width: usize,
    side: &mut [S],
    work: impl Fn(usize, &mut [T], &mut [S]) + Sync,
) -> Vec<T> {
    assert!(width == 0 || side.len() == len / width);
    pieces_new(len, width, side, work)
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
    let sums = Pieces::of(&mut partial, total.len());
    each_piece((Pieces::of(y, piece_len), sums), |i, (y, sums)| {
        work(i * rows, y, sums);
    });
    for sums in partial.chunks_exact(total.len()) {
        total
            .iter_mut()
            .zip(sums)
            .for_each(|(total, &s)| *total += s);
    }
}

/// `len` new values in pieces of rows; each piece is worked on with its part of `side`, one
/// element a row, or none.
fn pieces_new<T: Real, S: Send>(
    len: usize,
    width: usize,
    side: &mut [S],
    work: impl Fn(usize, &mut [T], &mut [S]) + Sync,
) -> Vec<T> {
    let rows = rows_a_piece(width);
    let mut made = Vec::with_capacity(len);
    if len == 0 {
        return made;
    }
    assert!(width > 0);
    let room = Pieces::of(&mut made.spare_capacity_mut()[..len], rows * width);
    each_piece((room, Pieces::of(side, rows)), |i, (room, side)| {
        work(i * rows, zeroed(room), side);
    });
    // SAFETY: there is room for `len` values, and every piece of them was zeroed.
    unsafe { made.set_len(len) };
    made
}

/// A slice in pieces of some length, the last of which may be shorter, that several threads
/// take by number.
pub(crate) struct Pieces<'a, T> {
    start: *mut T,
    len: usize,
    length: usize,
    all: PhantomData<&'a mut [T]>,
}

// SAFETY: it gives out what a thread may be sent, each piece to one thread.
unsafe impl<T: Send> Sync for Pieces<'_, T> {}

impl<'a, T> Pieces<'a, T> {
    /// Those of `all`, each `length` long.
    pub(crate) fn of(all: &'a mut [T], length: usize) -> Self {
        assert!(length > 0 || all.is_empty());
        Self {
            start: all.as_mut_ptr(),
            len: all.len(),
            length,
            all: PhantomData,
        }
    }
}

/// What is worked on in pieces: slices, or several of them side by side.
pub(crate) trait Cut: Sync {
    type Piece;

    /// How many pieces there are; of several slices, how many of the first.
    fn n(&self) -> usize;

    /// Piece `i`; empty past the last.
    ///
    /// # Safety
    ///
    /// Nobody else has this piece.
    unsafe fn get(&self, i: usize) -> Self::Piece;
}

impl<'a, T: Send> Cut for Pieces<'a, T> {
    type Piece = &'a mut [T];

    fn n(&self) -> usize {
        self.len.div_ceil(self.length.max(1))
    }

    unsafe fn get(&self, i: usize) -> &'a mut [T] {
        let first = (i * self.length).min(self.len);
        let len = self.length.min(self.len - first);
        // SAFETY: it lies inside the slice, which nobody else reads or writes; nobody has this
        // part of it, by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), len) }
    }
}

impl<A: Cut, B: Cut> Cut for (A, B) {
    type Piece = (A::Piece, B::Piece);

    fn n(&self) -> usize {
        self.0.n()
    }

    unsafe fn get(&self, i: usize) -> Self::Piece {
        // SAFETY: the caller's promise.
        unsafe { (self.0.get(i), self.1.get(i)) }
    }
}

/// Calls `work` with the number of each piece and the piece, on all threads.
pub(crate) fn each_piece<C: Cut>(cut: C, work: impl Fn(usize, C::Piece) + Sync) {
    // SAFETY: each number comes once, and whoever made the cut lent all of it.
    numbers(cut.n(), &|i| work(i, unsafe { cut.get(i) }));
}

/// Fills `room` with zeros.
pub(crate) fn zeroed<T: Real>(room: &mut [MaybeUninit<T>]) -> &mut [T] {
    room.fill(MaybeUninit::new(T::zero()));
    // SAFETY: every element was just written; the layout is that of `T`.
    unsafe { &mut *(std::ptr::from_mut(room) as *mut [T]) }
}

/// Calls `work` with each of a few `items`, and its number, on all threads.
pub(crate) fn each<I: Send>(items: impl IntoIterator<Item = I>, work: impl Fn(usize, I) + Sync) {
    let items = items.into_iter().map(|item| Mutex::new(Some(item)));
    let items: Vec<_> = items.collect();
    numbers(items.len(), &|i| {
        // Nobody else has this number, so the lock is free.
        let item = items[i]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        work(i, item.expect("each number comes once"));
    });
}

/// Calls `work` with each number below `n`, once, on all threads.
///
/// A parallel iterator over pieces would do the same, but is compiled anew for each kind of
/// piece and of work, some 670 kB in all; this is compiled once.
pub(crate) fn numbers(n: usize, work: &(dyn Fn(usize) + Sync)) {
    (0..n).into_par_iter().for_each(work);
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

    #[test]
    fn pieces_are_those_of_the_slice() {
        let mut all: Vec<usize> = (0..10).collect();
        let mut fewer: Vec<usize> = (20..23).collect();
        let seen = Mutex::new(Vec::new());
        let both = (Pieces::of(&mut all, 4), Pieces::of(&mut fewer, 2));
        each_piece(both, |i, (all, fewer)| {
            let both = (i, all.to_vec(), fewer.to_vec());
            seen.lock().expect("no thread panics").push(both);
        });
        let mut seen = seen.into_inner().expect("no thread panics");
        seen.sort_unstable();
        let want = [
            (0, vec![0, 1, 2, 3], vec![20, 21]),
            (1, vec![4, 5, 6, 7], vec![22]),
            (2, vec![8, 9], vec![]),
        ];
        assert_eq!(seen, want);
        each_piece(Pieces::of(&mut [0; 0], 0), |_, _| panic!("there is none"));
    }

    #[test]
    fn each_item_comes_once_with_its_number() {
        let seen = Mutex::new(Vec::new());
        each((0..1000).map(|i| 3 * i), |i, item| {
            seen.lock().expect("no thread panics").push((i, item));
        });
        let mut seen = seen.into_inner().expect("no thread panics");
        seen.sort_unstable();
        assert!(seen.into_iter().eq((0..1000).map(|i| (i, 3 * i))));
    }
}
