//! One call of attention along edges: checked operands, and steps on a few edges.

use super::bias::Table;
use super::dropout::Dropout;
use super::known::Known;
use super::mixture::{gather, spread};
use super::pairs::{Pairs, padded, room, stride};
use super::products::Ends;
use super::score::Score;
use super::softmax::again;
use crate::attention::Heads;
use crate::simd::{Lanes, map2};
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

/// [`stride`] numbers for each edge of a block, and room for a vector behind them.
pub(super) struct Scratch<T> {
    /// Scores, then weights.
    pub(super) scores: Vec<T>,
    /// Gradients of weights, then of scores.
    pub(super) grads: Vec<T>,
    keep: Vec<T>,
    /// Of the destination of each edge.
    log_sums: Vec<T>,
    deltas: Vec<T>,
}

impl<T: Real> Scratch<T> {
    pub(super) fn new(n_heads: usize) -> Self {
        let numbers = || vec![T::zero(); room(n_heads)];
        Self {
            scores: numbers(),
            grads: numbers(),
            keep: numbers(),
            log_sums: numbers(),
            deltas: numbers(),
        }
    }
}

impl<T: Real, S: Score<T>> Call<'_, T, S> {
    /// What edges bring, against `wide` rows of destinations.
    #[inline(always)]
    fn values<'b>(&'b self, wide: Rows<'b, T>) -> Ends<'b, T> {
        Ends {
            heads: self.heads,
            wide,
            narrow: self.v,
            extra: self.features,
        }
    }

    /// Scores with their bias. Asks for what edges behind will read for theirs.
    #[inline(always)]
    pub(super) fn scores<L: Lanes<Elem = T>>(&self, lanes: L, pairs: &Pairs<'_>, to: &mut [T]) {
        self.score.fill(lanes, pairs, to);
        if let Some(table) = &self.bias {
            table.add_to(pairs, to);
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
            let n = padded(pairs.len(), self.heads.n_heads);
            let keep = &mut scratch.keep[..n];
            dropout.fill(pairs, keep);
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
        // Nothing reads the wide rows.
        let values = self.values(self.v);
        spread(
            lanes,
            &self.heads,
            T::one(),
            pairs.len(),
            #[inline(always)]
            |e| {
                let weights = &weights[e * h..(e + 1) * h];
                let ahead = Some(values.ahead(pairs, e));
                (weights, values.along(pairs, e), ahead)
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
        self.scores(lanes, pairs, &mut scratch.scores);
        let values = self.values(known.dy);
        values.products(T::one(), pairs, &mut scratch.grads);
        known.gather(pairs, [&mut scratch.log_sums, &mut scratch.deltas]);
        let n = padded(pairs.len(), self.heads.n_heads);
        let keep = match &self.dropout {
            None => None,
            Some(dropout) => {
                dropout.fill(pairs, &mut scratch.keep[..n]);
                Some(&scratch.keep[..n])
            }
        };
        let (weights, grads) = (&mut scratch.scores[..n], &mut scratch.grads[..n]);
        let of_ends = [&scratch.log_sums[..n], &scratch.deltas[..n]];
        again(lanes, weights, grads, keep, of_ends);
        (weights, grads)
    }

    /// `into += Σ weights · dy`: the gradient of the values of the source that edges share.
    #[inline(always)]
    pub(super) fn to_values<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        weights: &[T],
        known: &Known<'_, T>,
        into: &mut [T],
    ) {
        let h = stride(self.heads.n_heads);
        let values = self.values(known.dy);
        gather(
            lanes,
            &self.heads,
            T::one(),
            pairs.len(),
            #[inline(always)]
            |e| {
                let dy = values.wide(pairs.destination(e));
                (&weights[e * h..(e + 1) * h], dy, None)
            },
            into,
        );
    }

    /// `into += weights · dy`: the gradient of the features of an edge into row
    /// `destination`, by its value.
    #[inline(always)]
    pub(super) fn to_features<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        destination: usize,
        weights: &[T],
        known: &Known<'_, T>,
        into: &mut [T],
    ) {
        let dy = self.values(known.dy).wide(destination);
        gather(
            lanes,
            &self.heads,
            T::one(),
            1,
            #[inline(always)]
            |_| (weights, dy, None),
            into,
        );
    }
}
