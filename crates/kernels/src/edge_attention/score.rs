//! How much a destination cares for a source: two ways to tell.

use super::mixture::{gather, spread};
use super::pairs::{Pairs, stride};
use super::products::Ends;
use crate::Real;
use crate::simd::{Lanes, map3};
use crate::view::Rows;

/// Scores of edges, and what their gradients mean for what they were made of.
///
/// Where there are several edges, `scores` and `grads` have a row for each, [`stride`]
/// numbers wide, and room for a vector behind them.
pub(super) trait Score<T: Real>: Copy + Sync {
    /// Columns of what a destination gives to the score, and of what a source does.
    fn widths(&self) -> [usize; 2];

    /// Fills `scores`, and asks for what edges behind will read.
    fn fill<L: Lanes<Elem = T>>(&self, lanes: L, pairs: &Pairs<'_>, scores: &mut [T]);

    /// Adds to the gradient of the destination that the edges share.
    fn to_destination<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        grads: &[T],
        into: &mut [T],
    );

    /// Adds to the gradient of the source that the edges share.
    fn to_source<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        grads: &[T],
        into: &mut [T],
    );

    /// Adds to the gradient of the features of one edge into row `destination`.
    fn to_features<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        destination: usize,
        grads: &[T],
        into: &mut [T],
    );
}

/// `scale · q·(k + features)`
#[derive(Clone, Copy)]
pub(super) struct DotProduct<'a, T> {
    pub(super) scale: T,
    /// Queries, keys, and features of edges.
    pub(super) ends: Ends<'a, T>,
}

impl<T: Real> Score<T> for DotProduct<'_, T> {
    fn widths(&self) -> [usize; 2] {
        let heads = &self.ends.heads;
        [heads.q_width(), heads.kv_width()]
    }

    #[inline(always)]
    fn fill<L: Lanes<Elem = T>>(&self, _: L, pairs: &Pairs<'_>, scores: &mut [T]) {
        self.ends.products(self.scale, pairs, scores);
    }

    #[inline(always)]
    fn to_destination<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        grads: &[T],
        into: &mut [T],
    ) {
        let heads = &self.ends.heads;
        let h = stride(heads.n_heads);
        spread(
            lanes,
            heads,
            self.scale,
            pairs.len(),
            #[inline(always)]
            |e| (&grads[e * h..(e + 1) * h], self.ends.along(pairs, e), None),
            into,
        );
    }

    #[inline(always)]
    fn to_source<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        grads: &[T],
        into: &mut [T],
    ) {
        let heads = &self.ends.heads;
        let h = stride(heads.n_heads);
        gather(
            lanes,
            heads,
            self.scale,
            pairs.len(),
            #[inline(always)]
            |e| {
                let query = self.ends.wide(pairs.destination(e));
                (&grads[e * h..(e + 1) * h], query, None)
            },
            into,
        );
    }

    #[inline(always)]
    fn to_features<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        destination: usize,
        grads: &[T],
        into: &mut [T],
    ) {
        gather(
            lanes,
            &self.ends.heads,
            self.scale,
            1,
            #[inline(always)]
            |_| (grads, self.ends.wide(destination), None),
            into,
        );
    }
}

/// `leaky_relu(from_source + to_destination)`, a number for each head from either end;
/// Veličković et al. 2018, §2.1 <https://arxiv.org/abs/1710.10903>.
#[derive(Clone, Copy)]
pub(super) struct Additive<'a, T> {
    pub(super) n_heads: usize,
    pub(super) slope: T,
    pub(super) of_destination: Rows<'a, T>,
    pub(super) of_source: Rows<'a, T>,
}

impl<T: Real> Additive<'_, T> {
    /// `into += grads · leaky_relu'` of each edge.
    #[inline(always)]
    fn add_slopes<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        grads: &[T],
        into: &mut [T],
    ) {
        let n = self.n_heads;
        let (one, slope) = (lanes.splat(T::one()), lanes.splat(self.slope));
        for (e, grads) in (0..pairs.len()).zip(grads.chunks_exact(stride(n))) {
            let a = self.of_destination.row(pairs.destination(e), 0, n);
            let b = self.of_source.row(pairs.source(e), 0, n);
            for first in (0..n).step_by(L::N) {
                let at = |x: &[T]| lanes.load_partial(&x[first..]);
                let sum = lanes.add(at(a), at(b));
                let factor = lanes.select_lt(lanes.zero(), sum, one, slope);
                let total = lanes.mul_add(at(&grads[..n]), factor, at(into));
                lanes.store_partial(&mut into[first..], total);
            }
        }
    }
}

impl<T: Real> Score<T> for Additive<'_, T> {
    fn widths(&self) -> [usize; 2] {
        [self.n_heads; 2]
    }

    // A few numbers a row: they stay in cache, and are not asked for.
    #[inline(always)]
    fn fill<L: Lanes<Elem = T>>(&self, lanes: L, pairs: &Pairs<'_>, scores: &mut [T]) {
        let (n, slope) = (self.n_heads, lanes.splat(self.slope));
        for (e, scores) in (0..pairs.len()).zip(scores.chunks_exact_mut(stride(n))) {
            let (i, j) = (pairs.destination(e), pairs.source(e));
            let (a, b) = (
                self.of_destination.row(i, 0, n),
                self.of_source.row(j, 0, n),
            );
            map3(
                lanes,
                a,
                b,
                &mut scores[..n],
                #[inline(always)]
                |a, b| {
                    let sum = lanes.add(a, b);
                    lanes.select_lt(lanes.zero(), sum, sum, lanes.mul(slope, sum))
                },
            );
        }
    }

    #[inline(always)]
    fn to_destination<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        grads: &[T],
        into: &mut [T],
    ) {
        self.add_slopes(lanes, pairs, grads, into);
    }

    #[inline(always)]
    fn to_source<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        grads: &[T],
        into: &mut [T],
    ) {
        self.add_slopes(lanes, pairs, grads, into);
    }

    #[inline(always)]
    fn to_features<L: Lanes<Elem = T>>(&self, _: L, _: usize, _: &[T], _: &mut [T]) {
        // Features enter the value alone.
    }
}
