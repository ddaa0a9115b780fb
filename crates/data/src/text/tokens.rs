//! A long sequence of tokens, in memory or in a file.

use super::cache::TokenFile;
use crate::Result;

/// Tokens that can be read at any position.
pub(super) enum Tokens {
    /// All in memory.
    Memory(Vec<u32>),
    /// In a cache file, read as needed.
    File(TokenFile),
}

impl Tokens {
    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(tokens) => tokens.len() as u64,
            Self::File(file) => file.len(),
        }
    }

    /// Appends the `count` tokens from `start` on to `out`.
    pub(super) fn read(&self, start: u64, count: usize, out: &mut Vec<u32>) -> Result<()> {
        match self {
            Self::Memory(tokens) => {
                let start = start as usize;
                out.extend_from_slice(&tokens[start..start + count]);
                Ok(())
            }
            Self::File(file) => file.read(start, count, out),
        }
    }
}
