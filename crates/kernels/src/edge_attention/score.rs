//! How much a destination cares for a source: two ways to tell.

use super::heads::{Narrow, dots};
use super::mixture::{gather, spread};
use super::pairs::{Pairs, stride};
use crate::Real;
use crate::attention::Heads;
use crate::simd::{Lanes, map3, prefetch};
use crate::view::Rows;

/// Scores of edges, and what their gradients mean for what they were made of.
///
/// Where there are several edges, `scores` and `grads` have a row for each, [`stride`]
/// numbers wide.
pub(super) trait Score<T: Real>: Copy + Sync {
    /// Columns of what a destination gives to the score, and of what a source does.
    fn widths(&self) -> [usize; 2];

    /// Asks for the memory of what a destination gives to the score.
    fn prefetch_destination(&self, row: usize);

    /// Asks for the memory of what a source gives to it.
    fn prefetch_source(&self, row: usize);

    /// Fills `scores`.
    fn fill<L: Lanes<Elem = T>>(&self, lanes: L, pairs: &Pairs<'_>, scores: &mut [T]);

    /// Adds to the gradient of the destination that the edges share.
    fn to_destination<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        pairs: &Pairs<'_>,
        grads: &[T],
        into: &mut [T],
    );

    /// Adds to the gradient of row `source`; each of `n` edges out of it has a destination,
    /// and a gradient for each head.
    fn to_source<'b, L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        source: usize,
        n: usize,
        edge: impl Fn(usize) -> (usize, &'b [T]),
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
    pub(super) heads: Heads,
    pub(super) scale: T,
    pub(super) q: Rows<'a, T>,
    pub(super) k: Rows<'a, T>,
    pub(super) features: Option<Rows<'a, T>>,
}

impl<T: Real> DotProduct<'_, T> {
    #[inline(always)]
    fn query(&self, row: usize) -> &[T] {
        self.q.row(row, 0, self.heads.q_width())
    }

    #[inline(always)]
    fn key(&self, row: usize, edge: usize) -> Narrow<'_, T> {
        let width = self.heads.kv_width();
        Narrow {
            row: self.k.row(row, 0, width),
            extra: self.features.map(|features| features.row(edge, 0, width)),
        }
    }
}

impl<T: Real> Score<T> for DotProduct<'_, T> {
    fn widths(&self) -> [usize; 2] {
        [self.heads.q_width(), self.heads.kv_width()]
    }

    #[inline(always)]
    fn prefetch_destination(&self, row: usize) {
        prefetch(self.query(row));
    }

    #[inline(always)]
    fn prefetch_source(&self, row: usize) {
        prefetch(self.k.row(row, 0, self.heads.kv_width()));
    }

    #[inline(always)]
    fn fill<L: Lanes<Elem = T>>(&self, lanes: L, pairs: &Pairs<'_>, scores: &mut [T]) {
        let rows = scores.chunks_exact_mut(stride(self.heads.n_heads));
        for ((i, j, edge), scores) in pairs.iter().zip(rows) {
            let (query, key) = (self.query(i), self.key(j, edge));
            dots(lanes, &self.heads, self.scale, query, key, scores);
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
        let h = stride(self.heads.n_heads);
        spread(
            lanes,
            &self.heads,
            self.scale,
            pairs.len(),
            #[inline(always)]
            |e| {
                let key = self.key(pairs.sources[e] as usize, pairs.edges[e] as usize);
                (&grads[e * h..(e + 1) * h], key)
            },
            into,
        );
    }

    #[inline(always)]
    fn to_source<'b, L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        _: usize,
        n: usize,
        edge: impl Fn(usize) -> (usize, &'b [T]),
        into: &mut [T],
    ) {
        gather(
            lanes,
            &self.heads,
            self.scale,
            n,
            #[inline(always)]
            |e| {
                let (destination, grads) = edge(e);
                (grads, self.query(destination))
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
            &self.heads,
            self.scale,
            1,
            #[inline(always)]
            |_| (grads, self.query(destination)),
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
    /// `into += grads · leaky_relu'` for one edge.
    #[inline(always)]
    fn add_slopes<L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        (destination, source): (usize, usize),
        grads: &[T],
        into: &mut [T],
    ) {
        let n = self.n_heads;
        let (one, slope) = (lanes.splat(T::one()), lanes.splat(self.slope));
        let a = self.of_destination.row(destination, 0, n);
        let b = self.of_source.row(source, 0, n);
        for first in (0..n).step_by(L::N) {
            let at = |x: &[T]| lanes.load_partial(&x[first..]);
            let sum = lanes.add(at(a), at(b));
            let factor = lanes.select_lt(lanes.zero(), sum, one, slope);
            let total = lanes.mul_add(at(&grads[..n]), factor, at(into));
            lanes.store_partial(&mut into[first..], total);
        }
    }
}

impl<T: Real> Score<T> for Additive<'_, T> {
    fn widths(&self) -> [usize; 2] {
        [self.n_heads; 2]
    }

    // A few numbers a row: they stay in cache.
    #[inline(always)]
    fn prefetch_destination(&self, _: usize) {}

    #[inline(always)]
    fn prefetch_source(&self, _: usize) {}

    #[inline(always)]
    fn fill<L: Lanes<Elem = T>>(&self, lanes: L, pairs: &Pairs<'_>, scores: &mut [T]) {
        let (n, slope) = (self.n_heads, lanes.splat(self.slope));
        for ((i, j, _), scores) in pairs.iter().zip(scores.chunks_exact_mut(stride(n))) {
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
        let rows = grads.chunks_exact(stride(self.n_heads));
        for ((i, j, _), grads) in pairs.iter().zip(rows) {
            self.add_slopes(lanes, (i, j), grads, into);
        }
    }

    #[inline(always)]
    fn to_source<'b, L: Lanes<Elem = T>>(
        &self,
        lanes: L,
        source: usize,
        n: usize,
        edge: impl Fn(usize) -> (usize, &'b [T]),
        into: &mut [T],
    ) {
        for (destination, grads) in (0..n).map(edge) {
            self.add_slopes(lanes, (destination, source), grads, into);
        }
    }

    #[inline(always)]
    fn to_features<L: Lanes<Elem = T>>(&self, _: L, _: usize, _: &[T], _: &mut [T]) {
        // Features enter the value alone.
    }
}
