//! Dropout of attention weights: which are kept is a function of their place.

use std::ops::Range;

use candle_core::{Result, bail};

use super::transpose::Transpose;
use super::window::{BLOCK, STRIP, TILE, Window};
use crate::Real;
use crate::rng::Key;
use crate::simd::{Kernel, Lanes, map2};

/// Chance and key of the draws. The draw of head `h`, query row `i` and the `j`-th
/// key of its segment is word `(h · n_queries + i) · 64⌈n_keys/64⌉ + j` of the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dropout {
    key: Key,
    /// Words from here on keep their weight.
    threshold: u32,
    /// What a weight that is kept is multiplied by.
    factor: f64,
    n_queries: u64,
    /// Tiles of draws for one query of one head.
    tiles: u64,
}

impl Dropout {
    pub(super) fn new(chance: f32, key: Key, n_queries: usize, n_keys: usize) -> Result<Self> {
        if !(0.0..1.0).contains(&chance) {
            bail!("attention: dropout = {chance} is not in [0, 1)");
        }
        let chance = f64::from(chance);
        Ok(Self {
            key,
            threshold: (chance * 2f64.powi(32)) as u32,
            factor: 1.0 / (1.0 - chance),
            n_queries: n_queries as u64,
            tiles: n_keys.div_ceil(TILE) as u64,
        })
    }

    /// As arguments of a kernel: the words of each query of each head, the key, the threshold
    /// and the factor.
    #[cfg(feature = "cuda")]
    pub(super) fn args<T: Real>(&self) -> [crate::cuda::Arg; 7] {
        let words = self.tiles as usize * TILE;
        let [k0, k1, c2, c3] = self.key.words_of_key().map(Into::into);
        let threshold = self.threshold.into();
        [words.into(), k0, k1, c2, c3, threshold, T::arg(self.factor)]
    }

    /// Fills `keep`, `[TILE, BLOCK]`: what the weight of each key of a tile and each
    /// query of a block is multiplied by. `first_key` counts from the start of the
    /// segment and starts a tile; `draws` is scratch of the same size.
    pub(super) fn fill<T: Real>(
        &self,
        head: usize,
        queries: &Range<usize>,
        first_key: usize,
        draws: &mut [T],
        keep: &mut [T],
    ) {
        debug_assert!(first_key.is_multiple_of(TILE));
        let row = head as u64 * self.n_queries + queries.start as u64;
        T::dispatch(Draw {
            dropout: self,
            first: row * self.tiles + (first_key / TILE) as u64,
            n: queries.len(),
            draws,
        });
        T::dispatch(Transpose {
            from: &draws[..queries.len().next_multiple_of(STRIP) * TILE],
            from_width: TILE,
            to: keep,
        });
    }
}

/// `draws[i][j]`: the factor of query `i` and key `j`; zero for the queries that fill
/// up the last strip.
struct Draw<'a, T> {
    dropout: &'a Dropout,
    /// Index of the first query's draws, in tiles.
    first: u64,
    /// Number of queries.
    n: usize,
    /// `[BLOCK, TILE]`
    draws: &'a mut [T],
}

impl<T: Real> Kernel<T> for Draw<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, _: L) {
        let &Dropout {
            key,
            threshold,
            factor,
            tiles,
            ..
        } = self.dropout;
        let factor = T::from_f64(factor);
        let (rows, padding) = self.draws.split_at_mut(self.n * TILE);
        let strips = self.n.next_multiple_of(STRIP) * TILE;
        padding[..strips - rows.len()].fill(T::zero());
        for (i, row) in rows.chunks_exact_mut(TILE).enumerate() {
            let words = key.words64(self.first + i as u64 * tiles);
            for (keep, word) in row.iter_mut().zip(words) {
                *keep = if word >= threshold { factor } else { T::zero() };
            }
        }
    }
}

/// `tile *= keep`, where a window is computed.
pub(super) struct Drop<'a, T> {
    pub(super) window: &'a Window,
    pub(super) tile: &'a mut [T],
    pub(super) keep: &'a [T],
}

impl<T: Real> Kernel<T> for Drop<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        for (strip, keys) in self.window.strips() {
            for j in keys {
                let at = j * BLOCK + strip * STRIP..j * BLOCK + (strip + 1) * STRIP;
                let (tile, keep) = (&mut self.tile[at.clone()], &self.keep[at]);
                map2(lanes, tile, keep, |weight, keep| lanes.mul(weight, keep));
            }
        }
    }
}
