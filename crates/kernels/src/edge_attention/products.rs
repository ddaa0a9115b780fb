//! The rows at one end of several edges against those at the other, head by head.
//!
//! One end is shared. Where every vector of a row is of one head or of two, its row stays
//! in registers, and lanes are summed for as many edges and heads at once as a vector has
//! lanes.

use super::heads::{Narrow, dots, is_even, is_halved};
use super::pairs::{End, Pairs, stride};
use crate::Real;
use crate::attention::Heads;
use crate::simd::{Kernel, LONGEST, Lanes, lane_bits, prefetch, sums_by, sums_of_halves};
use crate::view::Rows;

/// What edges multiply: `wide[destination] · (narrow[source] + extra[edge])`.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a, T> {
    pub(super) heads: Heads,
    pub(super) wide: Rows<'a, T>,
    pub(super) narrow: Rows<'a, T>,
    pub(super) extra: Option<Rows<'a, T>>,
}

impl<'a, T: Real> Ends<'a, T> {
    /// What a destination brings.
    #[inline(always)]
    pub(super) fn wide(&self, destination: usize) -> &'a [T] {
        self.wide.row(destination, 0, self.heads.q_width())
    }

    /// What a source brings.
    #[inline(always)]
    fn narrow(&self, source: usize) -> &'a [T] {
        self.narrow.row(source, 0, self.heads.kv_width())
    }

    /// What an edge brings from its source.
    #[inline(always)]
    pub(super) fn along(&self, pairs: &Pairs<'_>, e: usize) -> Narrow<'a, T> {
        let extra = self.extra.map(
            #[inline(always)]
            |extra| extra.row(pairs.number(e), 0, self.heads.kv_width()),
        );
        Narrow {
            row: self.narrow(pairs.source(e)),
            extra,
        }
    }

    /// The row of the end that `pairs` do not share, some way behind edge `e`.
    #[inline(always)]
    pub(super) fn ahead(&self, pairs: &Pairs<'_>, e: usize) -> &'a [T] {
        match pairs.shared {
            End::Destination => self.narrow(pairs.ahead(e)),
            End::Source => self.wide(pairs.ahead(e)),
        }
    }

    /// Sets `to` to `factor` times the products of each edge, [`stride`] numbers wide, and
    /// asks for the rows of edges behind. What is past the last edge may be written.
    ///
    /// Compiled once for all that call it: in each of them it would double the program.
    ///
    /// [`stride`]: super::pairs::stride()
    #[inline(always)]
    pub(super) fn products(&self, factor: T, pairs: &Pairs<'_>, to: &mut [T]) {
        T::dispatch(Products {
            ends: *self,
            factor,
            pairs: *pairs,
            to,
        });
    }
}

struct Products<'a, 'b, T> {
    ends: Ends<'a, T>,
    factor: T,
    pairs: Pairs<'b>,
    to: &'b mut [T],
}

impl<T: Real> Kernel<T> for Products<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let heads = &self.ends.heads;
        let h = stride(heads.n_heads);
        let fills = heads.n_heads.is_multiple_of(h.min(L::N));
        if self.ends.extra.is_some() || !fills {
            return self.one_by_one(lanes);
        }
        let (even, halved) = (is_even::<L>(heads), is_halved::<L>(heads));
        match h.min(L::N) {
            4 if even && heads.head_dim == L::N => self.many::<L, 4>(lanes),
            8 if even && heads.head_dim == L::N => self.many::<L, 8>(lanes),
            16 if even && heads.head_dim == L::N => self.many::<L, 16>(lanes),
            _ if even => self.many_long(lanes),
            4 if halved => self.many_halved::<L, 4>(lanes),
            8 if halved => self.many_halved::<L, 8>(lanes),
            16 if halved => self.many_halved::<L, 16>(lanes),
            _ => self.one_by_one(lanes),
        }
    }
}

impl<'a, T: Real> Products<'a, '_, T> {
    /// The row that edges share.
    #[inline(always)]
    fn shared(&self) -> &'a [T] {
        match self.pairs.shared {
            End::Destination => self.ends.wide(self.pairs.destination(0)),
            End::Source => self.ends.narrow(self.pairs.source(0)),
        }
    }

    /// The other rows, all as wide.
    #[inline(always)]
    fn others(&self) -> Rows<'a, T> {
        match self.pairs.shared {
            End::Destination => self.ends.narrow,
            End::Source => self.ends.wide,
        }
    }

    /// Columns of as many edges as share a vector of scores, of which each has `G` heads,
    /// `width` wide together. Asks for those of edges behind.
    #[inline(always)]
    fn rows<L: Lanes<Elem = T>, const G: usize>(
        &self,
        from: &Rows<'a, T>,
        e: usize,
        first: usize,
        width: usize,
    ) -> [&'a [T]; LONGEST] {
        let mut rows: [&[T]; LONGEST] = [&[]; LONGEST];
        for (k, row) in rows[..L::N / G].iter_mut().enumerate() {
            let e = (e + k).min(self.pairs.len() - 1);
            *row = from.row(self.pairs.other(e), first, width);
            prefetch(from.row(self.pairs.ahead(e), first, width));
        }
        rows
    }

    /// Where every vector of a row is a head.
    #[inline(always)]
    fn many<L: Lanes<Elem = T>, const G: usize>(self, lanes: L) {
        if G > L::N {
            return;
        }
        let n_heads = self.ends.heads.n_heads;
        let (h, bits, from) = (stride(n_heads), lane_bits(lanes), self.others());
        let factor = lanes.splat(self.factor);
        for first in (0..n_heads).step_by(G) {
            let (at, width) = (first * L::N, G * L::N);
            let mut shared = [lanes.zero(); G];
            let row = self.shared()[at..].chunks_exact(L::N);
            for (vector, row) in shared.iter_mut().zip(row) {
                *vector = lanes.load(row);
            }
            for e in (0..self.pairs.len()).step_by(L::N / G) {
                let rows = self.rows::<L, G>(&from, e, at, width);
                let sums = sums_by(
                    lanes,
                    &bits,
                    #[inline(always)]
                    |i| lanes.mul(shared[i % G], lanes.load(&rows[i / G][i % G * L::N..])),
                );
                lanes.store(&mut self.to[e * h + first..], lanes.mul(sums, factor));
            }
        }
    }

    /// Where every head is some vectors of a row.
    #[inline(always)]
    fn many_long<L: Lanes<Elem = T>>(self, lanes: L) {
        let Heads {
            n_heads,
            head_dim: d,
            ..
        } = self.ends.heads;
        let (h, bits, from) = (stride(n_heads), lane_bits(lanes), self.others());
        let (g, factor) = (h.min(L::N), lanes.splat(self.factor));
        for first in (0..n_heads).step_by(g) {
            let shared = &self.shared()[first * d..][..g * d];
            for e in (0..self.pairs.len()).step_by(L::N / g) {
                let mut products = [lanes.zero(); LONGEST];
                for (k, products) in products[..L::N].chunks_exact_mut(g).enumerate() {
                    let e = (e + k).min(self.pairs.len() - 1);
                    let row = from.row(self.pairs.other(e), first * d, g * d);
                    prefetch(from.row(self.pairs.ahead(e), first * d, g * d));
                    let heads = row.chunks_exact(d).zip(shared.chunks_exact(d));
                    for (product, (row, shared)) in products.iter_mut().zip(heads) {
                        for at in (0..d).step_by(L::N) {
                            let (a, b) = (lanes.load(&row[at..]), lanes.load(&shared[at..]));
                            *product = lanes.mul_add(a, b, *product);
                        }
                    }
                }
                let sums = sums_by(
                    lanes,
                    &bits,
                    #[inline(always)]
                    |i| products[i],
                );
                lanes.store(&mut self.to[e * h + first..], lanes.mul(sums, factor));
            }
        }
    }

    /// Where every vector of a row is of two heads.
    #[inline(always)]
    fn many_halved<L: Lanes<Elem = T>, const G: usize>(self, lanes: L) {
        if G > L::N {
            return;
        }
        let Heads {
            n_heads, head_dim, ..
        } = self.ends.heads;
        let (h, bits, from) = (stride(n_heads), lane_bits(lanes), self.others());
        let factor = lanes.splat(self.factor);
        for first in (0..n_heads).step_by(G) {
            let shared = &self.shared()[first * head_dim..][..G / 2 * L::N];
            let mut vectors = [lanes.zero(); G];
            for (vector, shared) in vectors.iter_mut().zip(shared.chunks_exact(L::N)) {
                *vector = lanes.load(shared);
            }
            for e in (0..self.pairs.len()).step_by(L::N / G) {
                let rows = self.rows::<L, G>(&from, e, first * head_dim, G / 2 * L::N);
                let sums = sums_of_halves(
                    lanes,
                    &bits,
                    #[inline(always)]
                    |i| {
                        let (row, at) = (rows[i / (G / 2)], i % (G / 2));
                        lanes.mul(vectors[at], lanes.load(&row[at * L::N..]))
                    },
                );
                lanes.store(&mut self.to[e * h + first..], lanes.mul(sums, factor));
            }
        }
    }

    /// Rows of any shape.
    #[inline(always)]
    fn one_by_one<L: Lanes<Elem = T>>(self, lanes: L) {
        let Self {
            ends, pairs, to, ..
        } = self;
        let h = stride(ends.heads.n_heads);
        for e in 0..pairs.len() {
            prefetch(ends.ahead(&pairs, e));
            let (wide, narrow) = (ends.wide(pairs.destination(e)), ends.along(&pairs, e));
            dots(
                lanes,
                &ends.heads,
                self.factor,
                wide,
                narrow,
                &mut to[e * h..],
            );
        }
    }
}
