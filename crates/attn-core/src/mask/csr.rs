//! Edges as compressed sparse rows, sorted by destination.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use kernels::Edges;

use super::MaskError;

/// For every row, the rows it reads: the edges of a graph or a disjoint union of
/// graphs.
///
/// Valid by construction: within each destination, sources are in bounds, ascending
/// and distinct.
#[derive(Debug, Clone)]
pub struct Csr {
    offsets: Arc<[u32]>,
    sources: Arc<[u32]>,
    /// The same edges with their transpose, for kernels.
    both_ways: OnceLock<Arc<Edges>>,
}

impl PartialEq for Csr {
    fn eq(&self, other: &Self) -> bool {
        self.offsets == other.offsets && self.sources == other.sources
    }
}

impl Eq for Csr {}

impl Csr {
    /// Takes rows that are already sorted: `sources[offsets[i]..offsets[i + 1]]` are
    /// the rows that row `i` reads.
    ///
    /// # Errors
    ///
    /// If the offsets do not enclose the sources, or the sources of a row are out of
    /// bounds, not ascending or not distinct.
    pub fn new(offsets: Vec<u32>, sources: Vec<u32>) -> Result<Self, MaskError> {
        let n_edges = sources.len();
        let encloses = offsets.first() == Some(&0)
            && offsets.last().map(|&end| end as usize) == Some(n_edges)
            && offsets.is_sorted();
        if !encloses {
            return Err(MaskError::BadOffsets { n_edges });
        }
        let edges = Self {
            offsets: offsets.into(),
            sources: sources.into(),
            both_ways: OnceLock::new(),
        };
        let rows = edges.n_rows();
        let n_rows = u32::try_from(rows).map_err(|_| MaskError::TooManyRows { n: rows as u64 })?;
        for destination in 0..n_rows {
            let row = edges.sources(destination as usize);
            if let Some(&source_row) = row.iter().find(|&&source| source >= n_rows) {
                return Err(MaskError::EdgeOutOfBounds {
                    source_row,
                    destination,
                    rows,
                });
            }
            if let Some(pair) = row.windows(2).find(|pair| pair[0] >= pair[1]) {
                return Err(match pair[0] == pair[1] {
                    true => MaskError::DuplicateEdge {
                        source_row: pair[0],
                        destination,
                    },
                    false => MaskError::EdgesNotSorted { destination },
                });
            }
        }
        Ok(edges)
    }

    /// Sorts the edges `sources[e] -> destinations[e]` over `rows` rows: the two rows
    /// of an `edge_index`, in any order.
    ///
    /// # Errors
    ///
    /// If the slices differ in length, an edge leaves the rows or is listed twice.
    pub fn from_edge_index(
        rows: usize,
        sources: &[u32],
        destinations: &[u32],
    ) -> Result<Self, MaskError> {
        if sources.len() != destinations.len() {
            return Err(MaskError::EdgeIndexDiffers {
                sources: sources.len(),
                destinations: destinations.len(),
            });
        }
        u32::try_from(rows.max(sources.len())).map_err(|_| MaskError::TooManyRows {
            n: rows.max(sources.len()) as u64,
        })?;
        let mut edges: Vec<(u32, u32)> = destinations
            .iter()
            .copied()
            .zip(sources.iter().copied())
            .collect();
        edges.sort_unstable();
        let mut offsets = vec![0u32; rows + 1];
        for &(destination, source_row) in &edges {
            if destination as usize >= rows {
                return Err(MaskError::EdgeOutOfBounds {
                    source_row,
                    destination,
                    rows,
                });
            }
            offsets[destination as usize + 1] += 1;
        }
        for i in 0..rows {
            offsets[i + 1] += offsets[i];
        }
        Self::new(
            offsets,
            edges.into_iter().map(|(_, source)| source).collect(),
        )
    }

    /// How many rows there are, read or not.
    pub fn n_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// How many edges there are.
    pub fn n_edges(&self) -> usize {
        self.sources.len()
    }

    /// The rows that `destination` reads, ascending; none if it is out of bounds.
    pub fn sources(&self, destination: usize) -> &[u32] {
        self.sources
            .get(self.edges(destination))
            .unwrap_or_default()
    }

    /// Whether `destination` reads `source`.
    pub fn contains(&self, destination: usize, source: usize) -> bool {
        u32::try_from(source).is_ok_and(|row| self.sources(destination).binary_search(&row).is_ok())
    }

    /// What kernels that run along edges read: the edges sorted by either end. Computed
    /// once, for all masks, layers and passes that share these edges.
    pub fn both_ways(&self) -> &Arc<Edges> {
        self.both_ways.get_or_init(|| {
            let edges = Edges::new(self.offsets.clone(), self.sources.clone(), self.n_rows());
            Arc::new(edges.expect("`Csr::new` checked the same"))
        })
    }

    /// Where the edges of `destination` lie in the list of sources.
    pub fn edges(&self, destination: usize) -> Range<usize> {
        match (
            self.offsets.get(destination),
            self.offsets.get(destination + 1),
        ) {
            (Some(&start), Some(&end)) => start as usize..end as usize,
            _ => 0..0,
        }
    }
}
