//! Dropout of attention weights: which are kept is a function of their place.

use std::ops::Range;

use candle_core::{Result, bail};

use super::window::BLOCK;
use crate::Real;
use crate::rng::Key;
use crate::simd::{Kernel, Lanes};

/// Chance and key of the draws. The draw of head `h`, query row `i` and the `j`-th
/// key of its segment is word `(h · n_queries + i) · 4⌈n_keys/4⌉ + j` of the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dropout {
    chance: f32,
    key: Key,
    n_queries: u64,
    blocks_a_row: u64,
}

impl Dropout {
    pub(super) fn new(chance: f32, key: Key, n_queries: usize, n_keys: usize) -> Result<Self> {
        if !(0.0..1.0).contains(&chance) {
            bail!("attention: dropout = {chance} is not in [0, 1)");
        }
        Ok(Self {
            chance,
            key,
            n_queries: n_queries as u64,
            blocks_a_row: n_keys.div_ceil(4) as u64,
        })
    }

    /// Index of the block of four draws that key `key`, a multiple of four, starts.
    fn block(&self, head: usize, query: usize, key: usize) -> u64 {
        (head as u64 * self.n_queries + query as u64) * self.blocks_a_row + key as u64 / 4
    }

    /// The factor of a weight that is kept.
    pub(super) fn factor(&self) -> f64 {
        1.0 / (1.0 - f64::from(self.chance))
    }

    /// Whether a draw keeps its weight.
    #[inline(always)]
    fn keeps(&self, word: u32) -> bool {
        (word >> 8) as f32 * (1.0 / 16_777_216.0) >= self.chance
    }
}

/// `keep[j][i]`: what the weight of query `queries.start + i` and key `keys.start + j`
/// is multiplied by. `keys` counts from the start of the segment.
pub(super) struct KeepTile<'a, T> {
    pub(super) dropout: &'a Dropout,
    pub(super) head: usize,
    pub(super) queries: Range<usize>,
    /// Starts at a multiple of four.
    pub(super) keys: Range<usize>,
    /// `[TILE, BLOCK]`
    pub(super) keep: &'a mut [T],
}

impl<T: Real> Kernel<T> for KeepTile<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, _: L) {
        let factor = T::from_f64(self.dropout.factor());
        let n = self.queries.len();
        // Padded queries have no weights, but NaN would stay.
        self.keep.fill(T::zero());
        for (key, rows) in self
            .keys
            .step_by(4)
            .zip(self.keep.chunks_exact_mut(4 * BLOCK))
        {
            for i in 0..n {
                let block = self.dropout.block(self.head, self.queries.start + i, key);
                for (j, word) in self.dropout.key.block(block).into_iter().enumerate() {
                    if self.dropout.keeps(word) {
                        rows[j * BLOCK + i] = factor;
                    }
                }
            }
        }
    }
}

/// `tile *= keep`, where a window was computed.
pub(super) struct Drop<'a, T> {
    pub(super) window: &'a super::window::Window,
    pub(super) tile: &'a mut [T],
    pub(super) keep: &'a [T],
}

impl<T: Real> Kernel<T> for Drop<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        use super::window::STRIP;
        for (strip, keys) in self.window.strips() {
            for j in keys {
                let at = j * BLOCK + strip * STRIP..j * BLOCK + (strip + 1) * STRIP;
                crate::simd::map2(lanes, &mut self.tile[at.clone()], &self.keep[at], |x, k| {
                    lanes.mul(x, k)
                });
            }
        }
    }
}
