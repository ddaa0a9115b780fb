//! Rows of several edges, weighted head by head and added up.
//!
//! Where every vector of a row is of one head or of two, sums stay in registers over all
//! edges, and the row of an edge behind is asked for, if one is given.

use super::heads::{Narrow, is_even, is_halved};
use crate::attention::Heads;
use crate::simd::{Lanes, lane_bits, map2, prefetch, update};

/// Of an edge: a weight for each head, a row, and the row of an edge behind.
pub(super) type Weighted<'a, T, Row> = (&'a [T], Row, Option<&'a [T]>);

/// `wide[h] += factor · Σ weights[h] · narrow[h / group]` over `n` edges, of which `edge`
/// gives the weights and the row.
#[inline(always)]
pub(super) fn spread<'a, L: Lanes>(
    lanes: L,
    heads: &Heads,
    factor: L::Elem,
    n: usize,
    edge: impl Fn(usize) -> Weighted<'a, L::Elem, Narrow<'a, L::Elem>>,
    wide: &mut [L::Elem],
) where
    L::Elem: 'a,
{
    let (d, group) = (heads.head_dim, heads.group());
    // All edges have features, or none has.
    let plain = n == 0 || edge(0).1.extra.is_none();
    if plain && (is_even::<L>(heads) || is_halved::<L>(heads)) {
        return add_even(
            lanes,
            d,
            factor,
            n,
            #[inline(always)]
            |e| {
                let (weights, narrow, ahead) = edge(e);
                (weights, narrow.row, ahead)
            },
            wide,
        );
    }
    for (weights, narrow, ahead) in (0..n).map(edge) {
        prefetch(ahead.unwrap_or_default());
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
    edge: impl Fn(usize) -> Weighted<'a, L::Elem, &'a [L::Elem]>,
    narrow: &mut [L::Elem],
) where
    L::Elem: 'a,
{
    let (d, group) = (heads.head_dim, heads.group());
    if is_even::<L>(heads) || is_halved::<L>(heads) {
        return add_even(lanes, d, factor, n, edge, narrow);
    }
    for (weights, wide, _) in (0..n).map(edge) {
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

/// `into[h] += factor · Σ weights[h] · row[h]` over `n` edges, where [`is_even`] or
/// [`is_halved`]: sums of several vectors stay in registers.
#[inline(always)]
fn add_even<'a, L: Lanes>(
    lanes: L,
    head_dim: usize,
    factor: L::Elem,
    n: usize,
    edge: impl Fn(usize) -> Weighted<'a, L::Elem, &'a [L::Elem]>,
    into: &mut [L::Elem],
) where
    L::Elem: 'a,
{
    let mut at = 0;
    while at < into.len() {
        let head = at / head_dim;
        let left = (into.len() - at) / L::N;
        at += if head_dim < L::N {
            add_halves(lanes, factor, n, &edge, head, at, into)
        } else if head_dim == L::N && left >= 8 {
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
    edge: &impl Fn(usize) -> Weighted<'a, L::Elem, &'a [L::Elem]>,
    head: usize,
    at: usize,
    into: &mut [L::Elem],
) -> usize
where
    L::Elem: 'a,
{
    let mut sums = [lanes.zero(); V];
    for e in 0..n {
        let (weights, row, ahead) = edge(e);
        if let Some(ahead) = ahead {
            prefetch(&ahead[at..at + V * L::N]);
        }
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

/// Four vectors from column `at` on, each of two heads from `head` on. Returns how many
/// columns they are.
#[inline(always)]
fn add_halves<'a, L: Lanes>(
    lanes: L,
    factor: L::Elem,
    n: usize,
    edge: &impl Fn(usize) -> Weighted<'a, L::Elem, &'a [L::Elem]>,
    head: usize,
    at: usize,
    into: &mut [L::Elem],
) -> usize
where
    L::Elem: 'a,
{
    const V: usize = 4;
    let one = lanes.constant(1.0);
    let upper = lane_bits(lanes)[L::N.ilog2().saturating_sub(1) as usize];
    let mut sums = [lanes.zero(); V];
    for e in 0..n {
        let (weights, row, ahead) = edge(e);
        if let Some(ahead) = ahead {
            prefetch(&ahead[at..at + V * L::N]);
        }
        let weights = &weights[head..head + 2 * V];
        let row = &row[at..at + V * L::N];
        for (i, sum) in sums.iter_mut().enumerate() {
            let [a, b] = [weights[2 * i], weights[2 * i + 1]];
            let weight = lanes.select_lt(upper, one, lanes.splat(a), lanes.splat(b));
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
