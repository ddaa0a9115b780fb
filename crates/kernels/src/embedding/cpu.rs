//! The loops of `embedding` on slices.

use crate::Real;
use crate::parallel::{Pieces, each_piece, rows_a_piece, rows_mut};
use crate::simd::write;

/// Row `ids[i]` of `table` into row `i` of `y`.
pub(super) fn gather<T: Real>(ids: &[u32], table: &[T], d: usize, y: &mut [T]) {
    rows_mut(y, d, |first, y| {
        for (row, &id) in y.chunks_exact_mut(d).zip(&ids[first..]) {
            let at = id as usize * d;
            row.copy_from_slice(&table[at..at + d]);
        }
    });
}

/// For every row of the table, the places that read it, ascending.
pub(super) struct Places {
    /// Row `id` is read by `places[starts[id]..starts[id + 1]]`.
    starts: Vec<usize>,
    places: Vec<u32>,
}

impl Places {
    /// A counting sort; every id must be below `rows`.
    pub(super) fn new(ids: &[u32], rows: usize) -> Self {
        let mut starts = vec![0; rows + 1];
        for &id in ids {
            starts[id as usize + 1] += 1;
        }
        for id in 0..rows {
            starts[id + 1] += starts[id];
        }
        let mut next = starts.clone();
        let mut places = vec![0; ids.len()];
        for (place, &id) in (0..).zip(ids) {
            places[next[id as usize]] = place;
            next[id as usize] += 1;
        }
        Self { starts, places }
    }

    /// Rows of the table.
    pub(super) fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// The places that read row `row`.
    pub(super) fn of(&self, row: usize) -> &[u32] {
        &self.places[self.starts[row]..self.starts[row + 1]]
    }
}

/// Adds up the rows of `dy` that belong to each row of the table: into it, if
/// `accumulate`, else over it.
///
/// The sum is complete before it is added, so that a slot that holds something
/// gets the bits that a tensor of its own would get.
pub(super) fn scatter<T: Real>(
    places: &Places,
    dy: &[T],
    d: usize,
    dtable: &mut [T],
    accumulate: bool,
) {
    /// Frequent rows take longer: small tables are cut finely, too.
    const PIECES: usize = 64;
    if d == 0 {
        return;
    }
    let row_of = |place: u32| &dy[place as usize * d..][..d];
    let rows = rows_a_piece(d).min(places.rows().div_ceil(PIECES)).max(1);
    each_piece(Pieces::of(dtable, rows * d), |piece, dtable| {
        let mut sum = vec![T::zero(); d];
        for (i, into) in dtable.chunks_exact_mut(d).enumerate() {
            match places.of(piece * rows + i) {
                [] if accumulate => {}
                [] => into.fill(T::zero()),
                [place] => write(row_of(*place), into, accumulate),
                [first, rest @ ..] => {
                    sum.copy_from_slice(row_of(*first));
                    for &place in rest {
                        write(row_of(place), &mut sum, true);
                    }
                    write(&sum, into, accumulate);
                }
            }
        }
    });
}
