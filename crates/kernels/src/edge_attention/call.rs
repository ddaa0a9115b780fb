//! One call of attention along edges: checked operands, and steps on a few edges.

use super::bias::Table;
use super::dropout::Dropout;
use super::heads::{Narrow, dots};
use super::mixture::{gather, spread};
use super::pairs::{BLOCK, Pairs, stride};
use super::score::Score;
use super::softmax::{backward, exp};
use crate::attention::Heads;
use crate::simd::{Lanes, map2, prefetch};
use crate::view::Rows;
use crate::{Edges, Real};

/// Operands of attention along edges.
pub(super) struct Call<'a, T, S> {
    pub(super) heads: Heads,
    pub(super) edges: &'a Edges,
    pub(super) score: S,
    pub(super) v: Rows<'a, T>,
    /// Added to the values, edge by edge.
    pub(super) features: Option<Rows<'a, T>>,
    pub(super) bias: Option<Table<'a, T>>,
    pub(super) dropout: Option<Dropout>,
}

/// What the backward pass starts from.
pub(super) struct Known<'a, T> {
    /// Gradient with respect to the results: `[n_destinations, n_heads · head_dim]`.
    pub(super) dy: Rows<'a, T>,
    /// Logarithm of the sum of `e^score`, and `Σ dy·y`: `[n_destinations, stride]`.
    pub(super) log_sum: Rows<'a, T>,
    pub(super) delta: Rows<'a, T>,
}

impl<'a, T> Known<'a, T> {
    pub(super) fn new(heads: &Heads, dy: &'a [T], log_sum: &'a [T], delta: &'a [T]) -> Self {
        Self {
            dy: Rows::contiguous(dy, heads.q_width()),
            log_sum: Rows::contiguous(log_sum, stride(heads.n_heads)),
            delta: Rows::contiguous(delta, stride(heads.n_heads)),
        }
    }
}

/// [`stride`] numbers for each edge of a block.
pub(super) struct Scratch<T> {
    /// Scores, then weights.
    pub(super) scores: Vec<T>,
    /// Gradients of weights, then of scores.
    pub(super) grads: Vec<T>,
    keep: Vec<T>,
}

impl<T: Real> Scratch<T> {
    pub(super) fn new(n_heads: usize) -> Self {
        let numbers = || vec![T::zero(); BLOCK * stride(n_heads)];
        Self {
            scores: numbers(),
            grads: numbers(),
            keep: numbers(),
        }
    }
}

impl<T: Real, S: Score<T>> Call<'_, T, S> {
    /// What an edge from row `source` brings.
    #[inline(always)]
    fn value(&self, source: usize, edge: usize) -> Narrow<'_, T> {
        let width = self.heads.kv_width();
        Narrow {
            row: self.v.row(source, 0, width),
            extra: self.features.map(|features| features.row(edge, 0, width)),
        }
    }

    /// Asks for the memory that edges from rows `sources` need.
    #[inline(always)]
    pub(super) fn prefetch_sources(&self, sources: &[u32]) {
        for &source in sources {
            self.score.prefetch_source(source as usize);
            prefetch(self.v.row(source as usize, 0, self.heads.kv_width()));
        }
    }

    /// Asks for the memory that edges into rows `destinations` need, to be passed back.
    #[inline(always)]
    pub(super) fn prefetch_destinations(&self, destinations: &[u32], known: &Known<'_, T>) {
        let h = stride(self.heads.n_heads);
        for destination in destinations.iter().map(|&i| i as usize) {
            self.score.prefetch_destination(destination);
            prefetch(known.dy.row(destination, 0, self.heads.q_width()));
            prefetch(known.log_sum.row(destination, 0, h));
            prefetch(known.delta.row(destination, 0, h));
        }
    }

    /// Scores with their bias.
    #[inline(always)]
    pub(super) fn scores<L: Lanes<Elem = T>>(&self, lanes: L, pairs: &Pairs<'_>, to: &mut [T]) {
        self.score.fill(lanes, pairs, to);
        if let Some(table) = &self.bias {
            table.add_to(lanes, pairs, to);
        }
    }

    /// Drops some of the weights in `scratch.scores`.
    #[inline(always)]
    pub(super) fn drop<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        scratch: &mut Scratch<T>,
    ) {
        if let Some(dropout) = &self.dropout {
            let n = pairs.len() * stride(self.heads.n_heads);
            let keep = &mut scratch.keep[..n];
            dropout.fill(pairs.edges, keep);
            map2(lanes, &mut scratch.scores[..n], keep, |weight, keep| {
                lanes.mul(weight, keep)
            });
        }
    }

    /// `y += Σ weights · values`
    #[inline(always)]
    pub(super) fn add_values<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        weights: &[T],
        y: &mut [T],
    ) {
        let h = stride(self.heads.n_heads);
        spread(
            lanes,
            &self.heads,
            T::one(),
            pairs.len(),
            #[inline(always)]
            |e| {
                let value = self.value(pairs.sources[e] as usize, pairs.edges[e] as usize);
                (&weights[e * h..(e + 1) * h], value)
            },
            y,
        );
    }

    /// Computes weights again, after dropout, and the gradients of scores.
    #[inline(always)]
    pub(super) fn weights_again<'b, L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        known: &Known<'_, T>,
        scratch: &'b mut Scratch<T>,
    ) -> (&'b [T], &'b [T]) {
        let h = stride(self.heads.n_heads);
        let n = pairs.len() * h;
        let weights = &mut scratch.scores[..n];
        let grads = &mut scratch.grads[..n];
        self.scores(lanes, pairs, weights);
        let rows = weights.chunks_exact_mut(h).zip(grads.chunks_exact_mut(h));
        for ((i, j, edge), (scores, grads)) in pairs.iter().zip(rows) {
            map2(lanes, scores, known.log_sum.row(i, 0, h), |score, sum| {
                lanes.sub(score, sum)
            });
            let dy = known.dy.row(i, 0, self.heads.q_width());
            let value = self.value(j, edge);
            dots(lanes, &self.heads, T::one(), dy, value, grads);
        }
        exp(lanes, weights);
        let keep = match &self.dropout {
            None => None,
            Some(dropout) => {
                dropout.fill(pairs.edges, &mut scratch.keep[..n]);
                Some(&scratch.keep[..n])
            }
        };
        let rows = weights.chunks_exact_mut(h).zip(grads.chunks_exact_mut(h));
        for (at, ((i, ..), (weights, grads))) in pairs.iter().zip(rows).enumerate() {
            let keep = keep.map(|keep| &keep[at * h..(at + 1) * h]);
            backward(lanes, weights, grads, keep, known.delta.row(i, 0, h));
        }
        (weights, grads)
    }

    /// `into += Σ weights · dy`: the gradient of the values of a source, or of the features
    /// of an edge. Each of `n` edges has a destination, and a weight for each head.
    #[inline(always)]
    pub(super) fn to_values<'b, L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        n: usize,
        edge: impl Fn(usize) -> (usize, &'b [T]),
        known: &Known<'b, T>,
        into: &mut [T],
    ) {
        let width = self.heads.q_width();
        gather(
            lanes,
            &self.heads,
            T::one(),
            n,
            #[inline(always)]
            |e| {
                let (destination, weights) = edge(e);
                (weights, known.dy.row(destination, 0, width))
            },
            into,
        );
    }
}
