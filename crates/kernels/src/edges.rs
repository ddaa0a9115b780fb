//! Who reads whom, edge by edge.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, bail};

/// Rows and edges that a piece of work should have at least.
const GRAIN: usize = 512;

/// Pieces that work is cut into at most.
const PIECES: usize = 256;

/// The edges of a directed graph, sorted by destination and by source.
///
/// Edge `e` lets its destination read its source. Edges are numbered by destination:
/// those into row `i` are `edges(i)`. The transpose, which gradients of sources run
/// along, is computed once; so is the cut of the work into pieces, which depends on
/// the edges alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edges {
    offsets: Arc<[u32]>,
    sources: Arc<[u32]>,
    transpose: Transpose,
    into_pieces: Vec<Range<usize>>,
}

/// The edges sorted by source, then by number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Transpose {
    offsets: Vec<u32>,
    destinations: Vec<u32>,
    numbers: Vec<u32>,
    pieces: Vec<Range<usize>>,
}

/// The edges as the rows at one of their ends see them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    offsets: &'a [u32],
    /// The other end of each edge.
    pub(crate) ends: &'a [u32],
    /// The number of each edge; its place if `None`.
    numbers: Option<&'a [u32]>,
    /// Rows of each piece of work.
    pub(crate) pieces: &'a [Range<usize>],
}

impl Edges {
    /// Sorts edges by source, too: `sources[offsets[i]..offsets[i + 1]]` are the rows
    /// that row `i` reads. A row may be read twice.
    ///
    /// # Errors
    ///
    /// If the offsets do not rise from 0 to the number of sources, a source is not
    /// below `n_sources`, or a `u32` cannot number the edges.
    pub fn new(
        offsets: impl Into<Arc<[u32]>>,
        sources: impl Into<Arc<[u32]>>,
        n_sources: usize,
    ) -> Result<Self> {
        let (offsets, sources) = (offsets.into(), sources.into());
        let n_edges = sources.len();
        let encloses = offsets.first() == Some(&0)
            && offsets.last().map(|&end| end as usize) == Some(n_edges)
            && offsets.is_sorted();
        if !encloses {
            bail!("edges: offsets must rise from 0 to the number of edges, {n_edges}");
        }
        if let Some(edge) = sources.iter().position(|&j| j as usize >= n_sources) {
            bail!(
                "edges: edge {edge} starts at row {} of {n_sources}",
                sources[edge]
            );
        }
        Ok(Self {
            into_pieces: pieces(&offsets),
            transpose: Transpose::new(&offsets, &sources, n_sources),
            offsets,
            sources,
        })
    }

    /// Number of rows that read.
    pub fn n_destinations(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of rows that can be read.
    pub fn n_sources(&self) -> usize {
        self.transpose.offsets.len() - 1
    }

    /// Number of edges.
    pub fn n_edges(&self) -> usize {
        self.sources.len()
    }

    /// The edges into row `destination`.
    pub fn edges(&self, destination: usize) -> Range<usize> {
        self.offsets[destination] as usize..self.offsets[destination + 1] as usize
    }

    /// The rows that row `destination` reads, in the order of its edges.
    pub fn sources(&self, destination: usize) -> &[u32] {
        &self.sources[self.edges(destination)]
    }

    /// The edges as their destinations see them.
    pub(crate) fn incoming(&self) -> Side<'_> {
        Side {
            offsets: &self.offsets,
            ends: &self.sources,
            numbers: None,
            pieces: &self.into_pieces,
        }
    }

    /// The edges as their sources see them.
    pub(crate) fn outgoing(&self) -> Side<'_> {
        Side {
            offsets: &self.transpose.offsets,
            ends: &self.transpose.destinations,
            numbers: Some(&self.transpose.numbers),
            pieces: &self.transpose.pieces,
        }
    }
}

impl Side<'_> {
    /// Places of the edges of row `row`.
    #[inline(always)]
    pub(crate) fn places(&self, row: usize) -> Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// The number of the edge at `place`.
    #[inline(always)]
    pub(crate) fn number(&self, place: usize) -> usize {
        self.numbers
            .map_or(place, |numbers| numbers[place] as usize)
    }
}

impl Transpose {
    /// Counts the edges of each source, and puts each where it belongs.
    fn new(offsets: &[u32], sources: &[u32], n_sources: usize) -> Self {
        let mut by_source = vec![0u32; n_sources + 1];
        for &source in sources {
            by_source[source as usize + 1] += 1;
        }
        for i in 0..n_sources {
            by_source[i + 1] += by_source[i];
        }
        let mut next = by_source.clone();
        let mut destinations = vec![0; sources.len()];
        let mut numbers = vec![0; sources.len()];
        for (destination, edges) in offsets.windows(2).enumerate() {
            for edge in edges[0]..edges[1] {
                let next = &mut next[sources[edge as usize] as usize];
                destinations[*next as usize] = destination as u32;
                numbers[*next as usize] = edge;
                *next += 1;
            }
        }
        Self {
            pieces: pieces(&by_source),
            offsets: by_source,
            destinations,
            numbers,
        }
    }
}

/// Consecutive rows that have about the same number of rows and edges together.
fn pieces(offsets: &[u32]) -> Vec<Range<usize>> {
    let n = offsets.len() - 1;
    let work = |row: usize| row + offsets[row] as usize;
    let share = work(n).div_ceil(PIECES).max(GRAIN);
    let mut pieces = Vec::with_capacity(PIECES);
    let mut first = 0;
    for row in 1..=n {
        if work(row) - work(first) >= share || row == n {
            pieces.push(first..row);
            first = row;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transpose_lists_each_edge_once_and_in_order() -> Result<()> {
        // 0 reads 1 and 2, 1 reads nothing, 2 reads 1 twice.
        let edges = Edges::new([0, 2, 2, 4], [1, 2, 1, 1], 4)?;
        assert_eq!((edges.n_destinations(), edges.n_sources()), (3, 4));
        let side = edges.outgoing();
        let of = |source| -> Vec<_> {
            let places = side.places(source);
            places.map(|at| (side.ends[at], side.number(at))).collect()
        };
        assert_eq!(of(0), []);
        assert_eq!(of(1), [(0, 0), (2, 2), (2, 3)]);
        assert_eq!(of(2), [(0, 1)]);
        assert_eq!(of(3), []);
        assert_eq!(edges.sources(2), [1, 1]);
        Ok(())
    }

    #[test]
    fn pieces_cover_all_rows_and_are_about_as_large() {
        for (n, degree) in [(0, 0), (1, 0), (1, 5000), (3000, 0), (100_000, 7)] {
            let offsets: Vec<u32> = (0..=n).map(|row| row * degree).collect();
            let pieces = pieces(&offsets);
            assert!(pieces.len() <= PIECES);
            let rows: Vec<_> = pieces.iter().cloned().flatten().collect();
            assert!(
                rows.iter().copied().eq(0..n as usize),
                "{n} rows of {degree}"
            );
            let size = |piece: &Range<usize>| piece.len() * (1 + degree as usize);
            let largest = pieces.iter().map(size).max().unwrap_or(0);
            let share = (n as usize * (1 + degree as usize)).div_ceil(PIECES);
            assert!(largest <= share.max(GRAIN) + 1 + degree as usize);
        }
    }

    #[test]
    fn edges_that_leave_the_rows_are_refused() {
        assert!(Edges::new([0, 1], [2], 2).is_err());
        assert!(Edges::new([0, 2, 1], [0], 2).is_err());
        assert!(Edges::new([0, 1], [0, 0], 2).is_err());
        assert!(Edges::new([1, 1], [0], 2).is_err());
        assert!(Edges::new(Vec::new(), Vec::new(), 0).is_err());
    }
}
