//! Rows of several edges, weighted head by head and added up.
//!
//! Where every vector of a row is of one head, sums stay in registers over all edges.

use super::heads::Narrow;
use crate::attention::Heads;
use crate::simd::{Lanes, map2, update};

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
