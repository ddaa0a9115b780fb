//! Rotary position encoding, applied while rows are packed.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use crate::Real;
use crate::simd::Lanes;
use crate::storage::{Values, values};

/// Turns queries and keys by angles that grow with their position.
///
/// Channel `i` of the first half of the turned channels is paired with channel `i`
/// of the second half (`rotate_half`, the convention of Hugging Face):
/// `[a, b] -> [a cos − b sin, b cos + a sin]`. Su et al. 2021, §3.4
/// <https://arxiv.org/abs/2104.09864>. If the tables cover fewer channels than a
/// head has, the rest of each head stays as it is. The tables are constants: no
/// gradient reaches them.
///
/// # Shapes
///
/// - `cos`, `sin`: `[n_positions, r / 2]`, contiguous, where `r ≤ head_dim`
///   channels are turned
/// - `query_positions`: one a query row; `key_positions`: one a key row
#[derive(Debug, Clone)]
pub struct Rotary {
    /// Cosine of each angle.
    pub cos: Tensor,
    /// Sine of each angle.
    pub sin: Tensor,
    /// Position of each query row, below `n_positions`.
    pub query_positions: Arc<[u32]>,
    /// Position of each key row, below `n_positions`.
    pub key_positions: Arc<[u32]>,
}

/// The tables of a [`Rotary`], borrowed.
pub(crate) struct Tables<'a, T> {
    cos: Values<'a, T>,
    sin: Values<'a, T>,
    rotary: &'a Rotary,
    half: usize,
}

impl Rotary {
    /// Checks the tables and positions; half the number of turned channels.
    pub(crate) fn check(&self, head_dim: usize, n_queries: usize, n_keys: usize) -> Result<usize> {
        let (n_positions, half) = self.cos.dims2()?;
        if self.sin.dims() != [n_positions, half] || 2 * half > head_dim {
            bail!(
                "attention: rotary tables of shape {:?} and {:?} for head_dim = {head_dim}",
                self.cos.shape(),
                self.sin.shape()
            );
        }
        for (name, positions, n) in [
            ("query", &self.query_positions, n_queries),
            ("key", &self.key_positions, n_keys),
        ] {
            if positions.len() != n {
                bail!(
                    "attention: {} rotary {name} positions for {n} rows",
                    positions.len()
                );
            }
            if let Some(position) = positions.iter().find(|&&p| p as usize >= n_positions) {
                bail!(
                    "attention: {name} position {position} is past the {n_positions} of the rotary tables"
                );
            }
        }
        Ok(half)
    }

    /// Checks the tables and positions, and borrows them.
    pub(crate) fn tables<T: Real>(
        &self,
        head_dim: usize,
        n_queries: usize,
        n_keys: usize,
    ) -> Result<Tables<'_, T>> {
        let half = self.check(head_dim, n_queries, n_keys)?;
        Ok(Tables {
            cos: values(&self.cos)?,
            sin: values(&self.sin)?,
            rotary: self,
            half,
        })
    }
}

impl<T: Real> Tables<'_, T> {
    /// How query rows turn.
    pub(crate) fn queries(&self) -> Turn<'_, T> {
        self.turn(&self.rotary.query_positions)
    }

    /// How key rows turn.
    pub(crate) fn keys(&self) -> Turn<'_, T> {
        self.turn(&self.rotary.key_positions)
    }

    fn turn<'a>(&'a self, positions: &'a [u32]) -> Turn<'a, T> {
        Turn {
            cos: &self.cos,
            sin: &self.sin,
            half: self.half,
            positions,
        }
    }
}

/// The angles of some rows.
#[derive(Clone, Copy)]
pub(crate) struct Turn<'a, T> {
    cos: &'a [T],
    sin: &'a [T],
    half: usize,
    positions: &'a [u32],
}

/// Which way to turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// By the angle, as values do.
    Forward,
    /// By the negative angle, as gradients do.
    Back,
}

impl<T: Real> Turn<'_, T> {
    /// `y = factor · turned(x)` for row `row`.
    #[inline(always)]
    pub(crate) fn apply<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        row: usize,
        direction: Direction,
        factor: T,
        x: &[T],
        y: &mut [T],
    ) {
        let half = self.half;
        let at = self.positions[row] as usize * half;
        let (cos, sin) = (&self.cos[at..at + half], &self.sin[at..at + half]);
        let (a, rest) = x.split_at(half);
        let (b, rest) = rest.split_at(half);
        let (to_a, to_rest) = y.split_at_mut(half);
        let (to_b, to_rest) = to_rest.split_at_mut(half);
        let factor = lanes.splat(factor);
        let sign = match direction {
            Direction::Forward => factor,
            Direction::Back => lanes.sub(lanes.zero(), factor),
        };
        for i in (0..half).step_by(L::N) {
            let cos = lanes.mul(lanes.load_partial(&cos[i..]), factor);
            let sin = lanes.mul(lanes.load_partial(&sin[i..]), sign);
            let (a, b) = (lanes.load_partial(&a[i..]), lanes.load_partial(&b[i..]));
            let turned_a = lanes.sub(lanes.mul(a, cos), lanes.mul(b, sin));
            let turned_b = lanes.mul_add(a, sin, lanes.mul(b, cos));
            lanes.store_partial(&mut to_a[i..], turned_a);
            lanes.store_partial(&mut to_b[i..], turned_b);
        }
        for i in (0..rest.len()).step_by(L::N) {
            let scaled = lanes.mul(lanes.load_partial(&rest[i..]), factor);
            lanes.store_partial(&mut to_rest[i..], scaled);
        }
    }
}
