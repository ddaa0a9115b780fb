//! A few edges of one row, each as (destination, source, number).

use std::ops::Range;

use crate::edges::Side;

/// Edges of a row that are looked at together: their scores stay in the first cache.
pub(super) const BLOCK: usize = 32;

/// Numbers that the heads of an edge take: whole vectors of any instruction set, so
/// that no step on them needs part of one. Those past the heads mean nothing.
pub(super) fn stride(n_heads: usize) -> usize {
    n_heads.next_multiple_of(16)
}

/// Edges between one that is worked on and one whose rows are asked for.
const AHEAD: usize = 16;

/// The other ends of the edges some way behind those at `places`, in whatever row.
#[inline(always)]
pub(super) fn ahead<'a>(side: Side<'a>, places: &Range<usize>) -> &'a [u32] {
    let n = side.ends.len();
    &side.ends[(places.start + AHEAD).min(n)..(places.end + AHEAD).min(n)]
}

/// Up to [`BLOCK`] edges that share one end.
#[derive(Clone, Copy)]
pub(super) struct Pairs<'a> {
    pub(super) destinations: &'a [u32],
    pub(super) sources: &'a [u32],
    /// Number of each edge: its row of the features, its bucket, its draws.
    pub(super) edges: &'a [u32],
}

/// Room for what the edges of a row have in common, and for their numbers.
pub(super) struct Numbers {
    own: [u32; BLOCK],
    edges: [u32; BLOCK],
}

impl Numbers {
    pub(super) fn new() -> Self {
        Self {
            own: [0; BLOCK],
            edges: [0; BLOCK],
        }
    }

    /// The edges into row `row` at `places`.
    #[inline(always)]
    pub(super) fn incoming<'a>(
        &'a mut self,
        side: Side<'a>,
        row: usize,
        places: Range<usize>,
    ) -> Pairs<'a> {
        let n = self.number(side, row, &places);
        Pairs {
            destinations: &self.own[..n],
            sources: &side.ends[places],
            edges: &self.edges[..n],
        }
    }

    /// The edges out of row `row` at `places`.
    #[inline(always)]
    pub(super) fn outgoing<'a>(
        &'a mut self,
        side: Side<'a>,
        row: usize,
        places: Range<usize>,
    ) -> Pairs<'a> {
        let n = self.number(side, row, &places);
        Pairs {
            destinations: &side.ends[places],
            sources: &self.own[..n],
            edges: &self.edges[..n],
        }
    }

    #[inline(always)]
    fn number(&mut self, side: Side<'_>, row: usize, places: &Range<usize>) -> usize {
        let n = places.len();
        self.own[..n].fill(row as u32);
        for (number, place) in self.edges[..n].iter_mut().zip(places.clone()) {
            *number = side.number(place) as u32;
        }
        n
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

impl Pairs<'_> {
    /// Destination, source and number of each edge.
    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let ends = self.destinations.iter().zip(self.sources);
        ends.zip(self.edges)
            .map(|((&i, &j), &e)| (i as usize, j as usize, e as usize))
    }

    pub(super) fn len(&self) -> usize {
        self.edges.len()
    }
}
