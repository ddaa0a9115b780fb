//! What can be wrong with a mask.

/// Why walls, a pattern or edges do not make a mask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// `cu_seqlens` is empty.
    #[error("cu_seqlens is empty; it needs at least the entry 0")]
    NoWalls,
    /// `cu_seqlens` does not start at 0.
    #[error("cu_seqlens starts at {first}, not at 0")]
    FirstWallNotZero {
        /// the first entry
        first: u32,
    },
    /// `cu_seqlens` goes down somewhere.
    #[error("cu_seqlens decreases from {before} to {after} at entry {index}")]
    WallsDecrease {
        /// the entry that is too small
        index: usize,
        /// the entry before it
        before: u32,
        /// its value
        after: u32,
    },
    /// The rows of a batch cannot be numbered by a `u32`.
    #[error("{n} packed rows are more than a u32 can number")]
    TooManyRows {
        /// how many rows there are
        n: u64,
    },
    /// `past` and `new` count different numbers of sequences.
    #[error("{past} sequences are cached, but {new} have new rows")]
    SequencesDiffer {
        /// sequences in the cache
        past: usize,
        /// sequences with new rows
        new: usize,
    },
    /// Edges name the rows of one fixed graph.
    #[error("edges cannot be decoded step by step")]
    EdgesCannotDecode,
    /// Edges name the rows of one fixed graph.
    #[error("edges belong to one graph and cannot be laid over sequences of other lengths")]
    EdgesAreOfOneGraph,
    /// The pattern is not one interval of keys per query.
    #[error("edges are not intervals of keys")]
    EdgesAreNotSpans,
    /// A chunk holds no position.
    #[error("chunk size is 0")]
    EmptyChunk,
    /// Row offsets do not enclose the list of sources.
    #[error(
        "edge offsets must start at 0, never decrease and end at the number of edges, {n_edges}"
    )]
    BadOffsets {
        /// how many edges there are
        n_edges: usize,
    },
    /// The two rows of an edge index differ in length.
    #[error("edge_index has {sources} sources and {destinations} destinations")]
    EdgeIndexDiffers {
        /// length of row 0
        sources: usize,
        /// length of row 1
        destinations: usize,
    },
    /// An edge names a row that is not there.
    #[error("edge {source_row} -> {destination} leaves the {rows} rows")]
    EdgeOutOfBounds {
        /// the row that is read
        source_row: u32,
        /// the row that reads
        destination: u32,
        /// how many rows there are
        rows: usize,
    },
    /// The sources of a destination are not in ascending order.
    #[error("the sources of row {destination} are not in ascending order")]
    EdgesNotSorted {
        /// the row that reads
        destination: u32,
    },
    /// An edge is listed twice.
    #[error("edge {source_row} -> {destination} is listed twice")]
    DuplicateEdge {
        /// the row that is read
        source_row: u32,
        /// the row that reads
        destination: u32,
    },
    /// An edge joins two graphs of the batch.
    #[error("edge {source_row} -> {destination} crosses a wall of cu_seqlens")]
    EdgeCrossesWall {
        /// the row that is read
        source_row: u32,
        /// the row that reads
        destination: u32,
    },
    /// The edges are those of another batch.
    #[error("edges cover {edges} rows, cu_seqlens covers {rows}")]
    EdgeRows {
        /// rows of the edge list
        edges: usize,
        /// rows of the batch
        rows: usize,
    },
}
