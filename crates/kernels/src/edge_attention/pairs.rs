//! A few edges of one row, each as (destination, source, number).

use std::ops::Range;

use crate::edges::Side;
use crate::simd::LONGEST;

/// Edges of a row that are looked at together: their scores stay in the first cache.
pub(super) const BLOCK: usize = 32;

/// Numbers that the heads of an edge take: a power of two or whole vectors, so that each
/// vector has the same heads in the same lanes. Those past the heads mean nothing.
pub(super) fn stride(n_heads: usize) -> usize {
    if n_heads < LONGEST {
        n_heads.next_power_of_two()
    } else {
        n_heads.next_multiple_of(LONGEST)
    }
}

/// Numbers of `n` edges, to the end of the last vector.
pub(super) fn padded(n: usize, n_heads: usize) -> usize {
    (n * stride(n_heads)).next_multiple_of(LONGEST)
}

/// Room for the numbers of a block; a vector may begin at any of them.
pub(super) fn room(n_heads: usize) -> usize {
    padded(BLOCK, n_heads) + LONGEST
}

/// Edges between one that is worked on and one whose rows are asked for.
const AHEAD: usize = 24;

/// The end that edges share.
#[derive(Clone, Copy)]
pub(super) enum End {
    Destination,
    Source,
}

/// Up to [`BLOCK`] edges that share one end.
#[derive(Clone, Copy)]
pub(super) struct Pairs<'a> {
    side: Side<'a>,
    /// Which end they share, and its row.
    pub(super) shared: End,
    row: usize,
    first: usize,
    n: usize,
}

impl<'a> Pairs<'a> {
    /// The edges into row `row` at `places`.
    #[inline(always)]
    pub(super) fn incoming(side: Side<'a>, row: usize, places: Range<usize>) -> Self {
        Self::new(side, End::Destination, row, places)
    }

    /// The edges out of row `row` at `places`.
    #[inline(always)]
    pub(super) fn outgoing(side: Side<'a>, row: usize, places: Range<usize>) -> Self {
        Self::new(side, End::Source, row, places)
    }

    #[inline(always)]
    fn new(side: Side<'a>, shared: End, row: usize, places: Range<usize>) -> Self {
        Self {
            side,
            shared,
            row,
            first: places.start,
            n: places.len(),
        }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.n
    }

    #[inline(always)]
    pub(super) fn destination(&self, e: usize) -> usize {
        match self.shared {
            End::Destination => self.row,
            End::Source => self.other(e),
        }
    }

    #[inline(always)]
    pub(super) fn source(&self, e: usize) -> usize {
        match self.shared {
            End::Destination => self.other(e),
            End::Source => self.row,
        }
    }

    /// The end that is not shared.
    #[inline(always)]
    pub(super) fn other(&self, e: usize) -> usize {
        self.side.ends[self.first + e] as usize
    }

    /// The other end of an edge some way behind, of whatever row; of the last if there is
    /// none.
    #[inline(always)]
    pub(super) fn ahead(&self, e: usize) -> usize {
        let last = self.side.ends.len() - 1;
        self.side.ends[(self.first + e + AHEAD).min(last)] as usize
    }

    /// Number of an edge: its row of the features, its bucket, its draws.
    #[inline(always)]
    pub(super) fn number(&self, e: usize) -> usize {
        self.side.number(self.first + e)
    }
}

/// `places` in parts of at most [`BLOCK`].
#[inline(always)]
pub(super) fn blocks(places: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = places.end;
    places
        .step_by(BLOCK)
        .map(move |first| first..(first + BLOCK).min(end))
}
