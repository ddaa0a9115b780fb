//! What the rows of one sequence may read of each other.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{Csr, MaskError};

/// Which positions of its own sequence a position may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// Every position.
    Full,
    /// Itself and every earlier position.
    Causal,
    /// A window, both ends included: position `i` reads `i - left ..= i + right`.
    /// `usize::MAX` means without limit.
    Band {
        /// earlier positions that are read
        left: usize,
        /// later positions that are read
        right: usize,
    },
    /// Its own chunk and `left` chunks before it; for input that arrives in chunks.
    Chunk {
        /// positions a chunk
        size: usize,
        /// earlier chunks that are read
        left: usize,
    },
    /// The rows from which an edge leads to it.
    Edges(Arc<Csr>),
}

impl Pattern {
    /// The interval of positions that `position` may read in a sequence of `len`, or
    /// `None` for edges.
    pub(super) fn span(&self, position: usize, len: usize) -> Option<Range<usize>> {
        let up_to = |last: usize| last.saturating_add(1).min(len);
        match self {
            Self::Full => Some(0..len),
            Self::Causal => Some(0..up_to(position)),
            Self::Band { left, right } => {
                Some(position.saturating_sub(*left)..up_to(position.saturating_add(*right)))
            }
            Self::Chunk { size, left } => {
                let chunk = position / size;
                let first = chunk.saturating_sub(*left) * size;
                Some(first..chunk.saturating_add(1).saturating_mul(*size).min(len))
            }
            Self::Edges(_) => None,
        }
    }

    pub(super) fn check(&self) -> Result<(), MaskError> {
        match self {
            Self::Chunk { size: 0, .. } => Err(MaskError::EmptyChunk),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = |n: usize| match n {
            usize::MAX => "∞".to_owned(),
            n => n.to_string(),
        };
        match self {
            Self::Full => write!(f, "full"),
            Self::Causal => write!(f, "causal"),
            Self::Band { left, right } => {
                write!(f, "band(left {}, right {})", limit(*left), limit(*right))
            }
            Self::Chunk { size, left } => write!(f, "chunk(size {size}, left {})", limit(*left)),
            Self::Edges(edges) => write!(f, "edges({})", edges.n_edges()),
        }
    }
}
