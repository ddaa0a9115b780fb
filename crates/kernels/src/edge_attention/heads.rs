//! The heads of one row against those of another.
//!
//! *Wide* rows have a part for each query head, *narrow* ones for each key head. A
//! narrow row may have another one added to it, the features of an edge.

use std::ops::Range;

use crate::Real;
use crate::attention::Heads;
use crate::simd::{Lanes, lane_bits, map2, sums, update};

/// A row, and what is added to it.
#[derive(Clone, Copy)]
pub(super) struct Narrow<'a, T> {
    pub(super) row: &'a [T],
    pub(super) extra: Option<&'a [T]>,
}

impl<'a, T: Real> Narrow<'a, T> {
    /// Some of its columns.
    #[inline(always)]
    fn part(&self, columns: Range<usize>) -> Self {
        Self {
            row: &self.row[columns.clone()],
            extra: self.extra.map(|extra| &extra[columns]),
        }
    }

    /// The vector at column `at`.
    #[inline(always)]
    fn load<L: Lanes<Elem = T>>(&self, lanes: L, at: usize) -> L::V {
        let x = lanes.load(&self.row[at..]);
        match self.extra {
            None => x,
            Some(extra) => lanes.add(x, lanes.load(&extra[at..])),
        }
    }

    /// As [`Narrow::load`], of the columns from `at` to the end, less than a vector.
    #[inline(always)]
    fn load_last<L: Lanes<Elem = T>>(&self, lanes: L, at: usize) -> L::V {
        let x = lanes.load_partial(&self.row[at..]);
        match self.extra {
            None => x,
            Some(extra) => lanes.add(x, lanes.load_partial(&extra[at..])),
        }
    }
}

/// `to[h] = factor · wide[h] · narrow[h / group]`; `to` is whole vectors, of which what is
/// past the heads means nothing.
#[inline(always)]
pub(super) fn dots<L: Lanes>(
    lanes: L,
    heads: &Heads,
    factor: L::Elem,
    wide: &[L::Elem],
    narrow: Narrow<'_, L::Elem>,
    to: &mut [L::Elem],
) {
    let factor = lanes.splat(factor);
    for first in (0..heads.n_heads).step_by(L::N) {
        let sums = match (heads.n_heads - first).min(L::N) {
            1 => dots_of::<L, 1>(lanes, heads, first, wide, narrow),
            2..=4 => dots_of::<L, 4>(lanes, heads, first, wide, narrow),
            5..=8 => dots_of::<L, 8>(lanes, heads, first, wide, narrow),
            _ => dots_of::<L, 16>(lanes, heads, first, wide, narrow),
        };
        lanes.store(&mut to[first..], lanes.mul(sums, factor));
    }
}

/// `wide[h] · narrow[h / group]` of up to `G` heads from `first` on, in one vector.
#[inline(always)]
fn dots_of<L: Lanes, const G: usize>(
    lanes: L,
    heads: &Heads,
    first: usize,
    wide: &[L::Elem],
    narrow: Narrow<'_, L::Elem>,
) -> L::V {
    let (d, group) = (heads.head_dim, heads.group());
    let mut products = [lanes.zero(); G];
    for (i, products) in products.iter_mut().enumerate() {
        let head = first + i;
        if head < heads.n_heads {
            let kv_head = if group == 1 { head } else { head / group };
            let wide = &wide[head * d..(head + 1) * d];
            let narrow = narrow.part(kv_head * d..(kv_head + 1) * d);
            if d == L::N {
                *products = lanes.mul(lanes.load(wide), narrow.load(lanes, 0));
                continue;
            }
            let whole = d - d % L::N;
            for at in (0..whole).step_by(L::N) {
                let x = narrow.load(lanes, at);
                *products = lanes.mul_add(lanes.load(&wide[at..]), x, *products);
            }
            if whole < d {
                let x = narrow.load_last(lanes, whole);
                *products = lanes.mul_add(lanes.load_partial(&wide[whole..]), x, *products);
            }
        }
    }
    sums(lanes, &lane_bits(lanes), products)
}

/// `wide[h] += factor · Σ weights[h] · narrow[h / group]` over `n` edges, of which `edge`
/// gives the weights and the row.
#[inline(always)]
pub(super) fn spread<'a, L: Lanes>(
    lanes: L,
    heads: &Heads,
    factor: L::Elem,
    n: usize,
    edge: impl Fn(usize) -> (&'a [L::Elem], Narrow<'a, L::Elem>),
    wide: &mut [L::Elem],
) where
    L::Elem: 'a,
{
    let (d, group) = (heads.head_dim, heads.group());
    // All edges have features, or none has.
    let plain = n == 0 || edge(0).1.extra.is_none();
    if plain && is_even::<L>(heads) {
        return add_even(
            lanes,
            d,
            factor,
            n,
            #[inline(always)]
            |e| {
                let (weights, narrow) = edge(e);
                (weights, narrow.row)
            },
            wide,
        );
    }
    for (weights, narrow) in (0..n).map(edge) {
        let wide = wide
            .chunks_exact_mut(group * d)
            .zip(weights.chunks_exact(group));
        for (kv_head, (wide, weights)) in wide.enumerate() {
            let narrow = narrow.part(kv_head * d..(kv_head + 1) * d);
            for (wide, &weight) in wide.chunks_exact_mut(d).zip(weights) {
                let weight = lanes.splat(factor * weight);
                match narrow.extra {
                    None => map2(
                        lanes,
                        wide,
                        narrow.row,
                        #[inline(always)]
                        |y, x| lanes.mul_add(weight, x, y),
                    ),
                    Some(extra) => update(
                        lanes,
                        wide,
                        narrow.row,
                        extra,
                        #[inline(always)]
                        |y, x, extra| lanes.mul_add(weight, lanes.add(x, extra), y),
                    ),
                }
            }
        }
    }
}

/// `narrow[h / group] += factor · Σ weights[h] · wide[h]` over `n` edges, of which `edge`
/// gives the weights and the row.
#[inline(always)]
pub(super) fn gather<'a, L: Lanes>(
    lanes: L,
    heads: &Heads,
    factor: L::Elem,
    n: usize,
    edge: impl Fn(usize) -> (&'a [L::Elem], &'a [L::Elem]),
    narrow: &mut [L::Elem],
) where
    L::Elem: 'a,
{
    let (d, group) = (heads.head_dim, heads.group());
    if is_even::<L>(heads) {
        return add_even(lanes, d, factor, n, edge, narrow);
    }
    for (weights, wide) in (0..n).map(edge) {
        let wide = wide
            .chunks_exact(group * d)
            .zip(weights.chunks_exact(group));
        for ((wide, weights), narrow) in wide.zip(narrow.chunks_exact_mut(d)) {
            for (wide, &weight) in wide.chunks_exact(d).zip(weights) {
                let weight = lanes.splat(factor * weight);
                map2(
                    lanes,
                    narrow,
                    wide,
                    #[inline(always)]
                    |y, x| lanes.mul_add(weight, x, y),
                );
            }
        }
    }
}

/// Whether rows are as wide at both ends and every vector of them is of one head.
#[inline(always)]
fn is_even<L: Lanes>(heads: &Heads) -> bool {
    heads.n_heads == heads.n_kv_heads && heads.head_dim.is_multiple_of(L::N)
}

/// `into[h] += factor · Σ weights[h] · row[h]` over `n` edges, where [`is_even`]: sums of
/// several vectors stay in registers.
#[inline(always)]
fn add_even<'a, L: Lanes>(
    lanes: L,
    head_dim: usize,
    factor: L::Elem,
    n: usize,
    edge: impl Fn(usize) -> (&'a [L::Elem], &'a [L::Elem]),
    into: &mut [L::Elem],
) where
    L::Elem: 'a,
{
    let mut at = 0;
    while at < into.len() {
        let head = at / head_dim;
        let left = (into.len() - at) / L::N;
        at += if head_dim == L::N && left >= 8 {
            add_vectors::<L, 8, 8>(lanes, factor, n, &edge, head, at, into)
        } else if head_dim == L::N && left >= 4 {
            add_vectors::<L, 4, 4>(lanes, factor, n, &edge, head, at, into)
        } else if head_dim.is_multiple_of(4 * L::N) {
            add_vectors::<L, 4, 1>(lanes, factor, n, &edge, head, at, into)
        } else {
            add_vectors::<L, 1, 1>(lanes, factor, n, &edge, head, at, into)
        };
    }
}

/// The `V` vectors from column `at` on, of `H` heads from `head` on: as many, or one.
/// Returns how many columns they are.
#[inline(always)]
fn add_vectors<'a, L: Lanes, const V: usize, const H: usize>(
    lanes: L,
    factor: L::Elem,
    n: usize,
    edge: &impl Fn(usize) -> (&'a [L::Elem], &'a [L::Elem]),
    head: usize,
    at: usize,
    into: &mut [L::Elem],
) -> usize
where
    L::Elem: 'a,
{
    let mut sums = [lanes.zero(); V];
    for e in 0..n {
        let (weights, row) = edge(e);
        let weights = &weights[head..head + H];
        let row = &row[at..at + V * L::N];
        for (i, sum) in sums.iter_mut().enumerate() {
            let weight = lanes.splat(weights[i % H]);
            *sum = lanes.mul_add(weight, lanes.load(&row[i * L::N..]), *sum);
        }
    }
    let factor = lanes.splat(factor);
    let into = into[at..at + V * L::N].chunks_exact_mut(L::N);
    for (sum, into) in sums.into_iter().zip(into) {
        lanes.store(into, lanes.mul_add(factor, sum, lanes.load(into)));
    }
    V * L::N
}
