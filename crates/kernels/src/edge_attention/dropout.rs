//! Dropout of the weights of edges: which are kept is a function of their number.

use candle_core::{Result, bail};

use super::pairs::{Pairs, stride};
use crate::Real;
use crate::rng::Key;

/// Chance and key of the draws. The draw of edge `e` and head `h` is word
/// `4 · ⌈n_heads / 4⌉ · e + h` of the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dropout {
    key: Key,
    /// Words from here on keep their weight.
    threshold: u32,
    /// What a weight that is kept is multiplied by.
    factor: f64,
    n_heads: usize,
}

impl Dropout {
    /// `None` if nothing is dropped.
    pub(super) fn new(setting: Option<(f32, Key)>, n_heads: usize) -> Result<Option<Self>> {
        let Some((chance, key)) = setting.filter(|(chance, _)| *chance != 0.0) else {
            return Ok(None);
        };
        if !(0.0..1.0).contains(&chance) {
            bail!("edge-attention: dropout = {chance} is not in [0, 1)");
        }
        let chance = f64::from(chance);
        Ok(Some(Self {
            key,
            threshold: (chance * 2f64.powi(32)) as u32,
            factor: 1.0 / (1.0 - chance),
            n_heads,
        }))
    }

    /// Fills `keep`: for each edge, what the weight of each head is multiplied by; rows
    /// are `stride` wide.
    #[inline(always)]
    pub(super) fn fill<T: Real>(&self, pairs: &Pairs<'_>, keep: &mut [T]) {
        let blocks = self.n_heads.div_ceil(4);
        let n = pairs.len() * blocks;
        let factor = T::from_f64(self.factor);
        for first in (0..n).step_by(16) {
            let at = |i: usize| {
                let i = (first + i).min(n - 1);
                (i / blocks, i % blocks)
            };
            let words = self.key.sixteen_blocks(std::array::from_fn(|i| {
                let (edge, block) = at(i);
                (pairs.number(edge) * blocks + block) as u64
            }));
            for i in 0..16.min(n - first) {
                let (edge, block) = at(i);
                let heads = 4 * block..self.n_heads.min(4 * block + 4);
                let keep = &mut keep[edge * stride(self.n_heads)..][heads];
                for (keep, words) in keep.iter_mut().zip(&words) {
                    let kept = words[i] >= self.threshold;
                    *keep = if kept { factor } else { T::zero() };
                }
            }
        }
    }
}
