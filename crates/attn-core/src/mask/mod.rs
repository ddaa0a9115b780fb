//! Who may attend to whom: a pattern inside walls.
//!
//! A batch is packed: the rows of all its sequences lie one after the other, and
//! `cu_seqlens` holds the walls between them. Nothing reads across a wall; inside
//! its walls, a row reads what the [`Pattern`] grants. [`Mask::allows`] is the
//! definition; every kernel that attends is tested against it.

mod csr;
mod error;
mod pattern;
mod picture;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use candle_core::{Device, Tensor};
use kernels::{Edges, Spans};

pub use csr::Csr;
pub use error::MaskError;
pub use pattern::Pattern;

/// Which keys every query of a packed batch may read. Cheap to clone.
///
/// Usually queries and keys are the same rows. With a cache of earlier keys
/// ([`Mask::decode`]) the queries are the *last* rows of every key segment.
#[derive(Debug, Clone)]
pub struct Mask(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pattern: Pattern,
    queries: Arc<[u32]>,
    keys: Arc<[u32]>,
    positions: OnceLock<Arc<[u32]>>,
    key_positions: OnceLock<Arc<[u32]>>,
    spans: OnceLock<Arc<Spans>>,
}

impl Mask {
    /// Creates the mask of a packed batch whose queries are its keys.
    ///
    /// `cu_seqlens` has one entry more than there are sequences, starts at 0 and
    /// never decreases; its last entry is the number of packed rows.
    ///
    /// # Errors
    ///
    /// Walls that break these rules, a chunk of size 0, edges over another number
    /// of rows, or an edge that crosses a wall.
    pub fn new(pattern: Pattern, cu_seqlens: impl Into<Arc<[u32]>>) -> Result<Self, MaskError> {
        let walls = cu_seqlens.into();
        check_walls(&walls)?;
        pattern.check()?;
        if let Pattern::Edges(edges) = &pattern {
            check_edges(edges, &walls)?;
        }
        Ok(Self::from_parts(pattern, walls.clone(), walls))
    }

    /// Creates the mask of one sequence of `n` rows.
    ///
    /// # Errors
    ///
    /// As [`Mask::new`], and if `n` does not fit a `u32`.
    pub fn single(pattern: Pattern, n: usize) -> Result<Self, MaskError> {
        let n = u32::try_from(n).map_err(|_| MaskError::TooManyRows { n: n as u64 })?;
        Self::new(pattern, [0, n])
    }

    /// The same pattern over sequences of other lengths: the mask of a model whose
    /// positions are not the rows of its batch, such as patches or every fourth frame.
    ///
    /// # Errors
    ///
    /// If the rows do not fit a `u32`, or the pattern is `Edges`, which names rows of one
    /// fixed graph.
    pub fn with_lens(&self, lens: impl IntoIterator<Item = usize>) -> Result<Self, MaskError> {
        if matches!(self.0.pattern, Pattern::Edges(_)) {
            return Err(MaskError::EdgesAreOfOneGraph);
        }
        let walls = walls_of(lens.into_iter().map(|len| len as u64))?;
        Ok(Self::from_parts(
            self.0.pattern.clone(),
            walls.clone(),
            walls,
        ))
    }

    /// Creates the mask of a step with a cache: sequence `b` has `past[b]` cached
    /// rows and `new[b]` new ones. The new rows are the queries; cached and new
    /// rows together are the keys.
    ///
    /// # Errors
    ///
    /// If the two slices differ in length, the rows do not fit a `u32`, a chunk has
    /// size 0, or the pattern is `Edges`, which names rows of one fixed graph.
    pub fn decode(pattern: Pattern, past: &[u32], new: &[u32]) -> Result<Self, MaskError> {
        if past.len() != new.len() {
            return Err(MaskError::SequencesDiffer {
                past: past.len(),
                new: new.len(),
            });
        }
        if matches!(pattern, Pattern::Edges(_)) {
            return Err(MaskError::EdgesCannotDecode);
        }
        pattern.check()?;
        let queries = walls_of(new.iter().map(|&n| u64::from(n)))?;
        let keys = walls_of(
            past.iter()
                .zip(new)
                .map(|(&p, &n)| u64::from(p) + u64::from(n)),
        )?;
        Ok(Self::from_parts(pattern, queries, keys))
    }

    fn from_parts(pattern: Pattern, queries: Arc<[u32]>, keys: Arc<[u32]>) -> Self {
        let (positions, key_positions, spans) = Default::default();
        Self(Arc::new(Inner {
            pattern,
            queries,
            keys,
            positions,
            key_positions,
            spans,
        }))
    }

    /// Whether query row `i` may read key row `j`: the definition of the mask.
    ///
    /// Rows outside the batch read nothing and are read by nothing.
    pub fn allows(&self, i: usize, j: usize) -> bool {
        let Some((position, keys)) = self.locate(i) else {
            return false;
        };
        if !keys.contains(&j) {
            return false;
        }
        let key = j - keys.start;
        match &self.0.pattern {
            Pattern::Full => true,
            Pattern::Causal => key <= position,
            Pattern::Band { left, right } => {
                position.saturating_sub(*left) <= key && key <= position.saturating_add(*right)
            }
            Pattern::Chunk { size, left } => {
                let (own, other) = (position / size, key / size);
                own.saturating_sub(*left) <= other && other <= own
            }
            Pattern::Edges(edges) => edges.contains(i, j),
        }
    }

    /// The key rows that query row `i` may read, where they are one interval: every
    /// pattern but `Edges`. `None` for `Edges` and for rows outside the batch.
    pub fn span(&self, i: usize) -> Option<Range<usize>> {
        let (position, keys) = self.locate(i)?;
        let within = self.0.pattern.span(position, keys.len())?;
        Some(keys.start + within.start..keys.start + within.end)
    }

    /// What the rows of one sequence may read of each other.
    pub fn pattern(&self) -> &Pattern {
        &self.0.pattern
    }

    /// The walls between the query rows: `[n_sequences + 1]`, starts at 0.
    pub fn cu_seqlens(&self) -> &Arc<[u32]> {
        &self.0.queries
    }

    /// The walls between the key rows: `[n_sequences + 1]`, starts at 0. The same as
    /// [`Mask::cu_seqlens`] unless there is a cache.
    pub fn key_cu_seqlens(&self) -> &Arc<[u32]> {
        &self.0.keys
    }

    /// How many sequences the batch holds.
    pub fn n_sequences(&self) -> usize {
        self.0.queries.len() - 1
    }

    /// How many packed rows ask.
    pub fn n_queries(&self) -> usize {
        last_wall(&self.0.queries)
    }

    /// How many packed rows can be read.
    pub fn n_keys(&self) -> usize {
        last_wall(&self.0.keys)
    }

    /// How many key rows the longest sequence has: positions are below it.
    pub fn max_len(&self) -> usize {
        let lens = self
            .0
            .keys
            .windows(2)
            .map(|keys| (keys[1] - keys[0]) as usize);
        lens.max().unwrap_or(0)
    }

    /// Whether queries and keys are the same rows, which is so without a cache.
    pub fn is_square(&self) -> bool {
        self.0.queries == self.0.keys
    }

    /// The position of every query row within its sequence, cached rows counted:
    /// `[n_queries]`. Computed once a mask.
    pub fn positions(&self) -> Arc<[u32]> {
        let compute = || {
            let segments = self.0.queries.windows(2).zip(self.0.keys.windows(2));
            segments
                .flat_map(|(queries, keys)| {
                    let (new, all) = (queries[1] - queries[0], keys[1] - keys[0]);
                    all - new..all
                })
                .collect()
        };
        self.0.positions.get_or_init(compute).clone()
    }

    /// The position of every key row within its sequence: `[n_keys]`. Computed once a
    /// mask.
    pub fn key_positions(&self) -> Arc<[u32]> {
        if self.is_square() {
            return self.positions();
        }
        let of_segment = |keys: &[u32]| 0..keys[1] - keys[0];
        let compute = || self.0.keys.windows(2).flat_map(of_segment).collect();
        self.0.key_positions.get_or_init(compute).clone()
    }

    /// What attention in tiles reads: the interval of keys of every query. Computed once
    /// a mask.
    ///
    /// # Errors
    ///
    /// If the pattern is `Edges`, which reads no intervals.
    pub fn spans(&self) -> Result<Arc<Spans>, MaskError> {
        if let Some(spans) = self.0.spans.get() {
            return Ok(spans.clone());
        }
        if matches!(self.0.pattern, Pattern::Edges(_)) {
            return Err(MaskError::EdgesAreNotSpans);
        }
        let segments: Vec<_> = self
            .0
            .queries
            .windows(2)
            .zip(self.0.keys.windows(2))
            .map(|(queries, keys)| (queries[0]..queries[1], keys[0]..keys[1]))
            .collect();
        let positions = self.positions();
        let spans = Spans::new(segments, |i, keys| {
            let position = positions[i as usize] as usize;
            let within = self.0.pattern.span(position, keys.len()).unwrap_or(0..0);
            // Both ends are at most the number of keys, which is a `u32`.
            keys.start + within.start as u32..keys.start + within.end as u32
        });
        let spans = Arc::new(spans.expect("windows move on with the query"));
        Ok(self.0.spans.get_or_init(|| spans).clone())
    }

    /// What kernels that run along edges read, if the pattern is `Edges`: the edges by
    /// destination and by source. Computed once for all masks of the same edges.
    pub fn edges(&self) -> Option<&Arc<Edges>> {
        match &self.0.pattern {
            Pattern::Edges(edges) => Some(edges.both_ways()),
            _ => None,
        }
    }

    /// The whole mask, for tests and pictures: it has `n_queries × n_keys` elements.
    ///
    /// # Shapes
    ///
    /// - returns: `[n_queries, n_keys]`, `u8`; `1` = may read
    pub fn to_dense(&self, device: &Device) -> candle_core::Result<Tensor> {
        let (t, s) = (self.n_queries(), self.n_keys());
        let allowed: Vec<u8> = (0..t)
            .flat_map(|i| (0..s).map(move |j| u8::from(self.allows(i, j))))
            .collect();
        Tensor::from_vec(allowed, (t, s), device)
    }

    /// The position of query row `i` within its sequence, and the key rows of that
    /// sequence.
    fn locate(&self, i: usize) -> Option<(usize, Range<usize>)> {
        if i >= self.n_queries() {
            return None;
        }
        // The last wall at or before `i` opens its sequence; empty ones are passed over.
        let segment = self.0.queries.partition_point(|&wall| wall as usize <= i) - 1;
        let start = self.0.queries[segment] as usize;
        let n_new = self.0.queries[segment + 1] as usize - start;
        let keys = self.0.keys[segment] as usize..self.0.keys[segment + 1] as usize;
        Some((keys.len() - n_new + (i - start), keys))
    }
}

fn last_wall(walls: &[u32]) -> usize {
    walls[walls.len() - 1] as usize
}

fn walls_of(lens: impl Iterator<Item = u64>) -> Result<Arc<[u32]>, MaskError> {
    let mut walls = vec![0];
    let mut n = 0u64;
    for len in lens {
        n += len;
        walls.push(u32::try_from(n).map_err(|_| MaskError::TooManyRows { n })?);
    }
    Ok(walls.into())
}

fn check_walls(walls: &[u32]) -> Result<(), MaskError> {
    match walls.first() {
        None => return Err(MaskError::NoWalls),
        Some(0) => {}
        Some(&first) => return Err(MaskError::FirstWallNotZero { first }),
    }
    match walls.windows(2).position(|pair| pair[0] > pair[1]) {
        None => Ok(()),
        Some(i) => Err(MaskError::WallsDecrease {
            index: i + 1,
            before: walls[i],
            after: walls[i + 1],
        }),
    }
}

fn check_edges(edges: &Csr, walls: &[u32]) -> Result<(), MaskError> {
    let n = last_wall(walls);
    if edges.n_rows() != n {
        return Err(MaskError::EdgeRows {
            edges: edges.n_rows(),
            rows: n,
        });
    }
    for segment in walls.windows(2) {
        for destination in segment[0]..segment[1] {
            // Sorted, so the ends tell.
            let sources = edges.sources(destination as usize);
            let ends = [sources.first(), sources.last()].into_iter().flatten();
            for &source in ends {
                if !(segment[0]..segment[1]).contains(&source) {
                    return Err(MaskError::EdgeCrossesWall {
                        source_row: source,
                        destination,
                    });
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
