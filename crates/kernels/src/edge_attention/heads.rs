//! The heads of one row against those of another.
//!
//! *Wide* rows have a part for each query head, *narrow* ones for each key head. A
//! narrow row may have another one added to it, the features of an edge.

use crate::attention::Heads;
use crate::simd::{Lanes, map2, sum_of_products, update};

/// A row, and what is added to it.
#[derive(Clone, Copy)]
pub(super) struct Narrow<'a, T> {
    pub(super) row: &'a [T],
    pub(super) extra: Option<&'a [T]>,
}

/// `to[h] = factor · wide[h] · narrow[h / group]`
#[inline(always)]
pub(super) fn dots<L: Lanes>(
    lanes: L,
    heads: &Heads,
    factor: L::Elem,
    wide: &[L::Elem],
    narrow: Narrow<'_, L::Elem>,
    to: &mut [L::Elem],
) {
    let (d, group) = (heads.head_dim, heads.group());
    let wide = wide.chunks_exact(group * d).zip(to.chunks_exact_mut(group));
    for (kv_head, (wide, to)) in wide.enumerate() {
        let of_head = kv_head * d..(kv_head + 1) * d;
        let x = &narrow.row[of_head.clone()];
        let extra = narrow.extra.map(|extra| &extra[of_head]);
        for (wide, to) in wide.chunks_exact(d).zip(to) {
            let dot = match extra {
                None => sum_of_products(lanes, wide, x),
                Some(extra) => sum_of_products_of_sum(lanes, wide, x, extra),
            };
            *to = factor * dot;
        }
    }
}

/// `wide[h] += factor · weights[h] · narrow[h / group]`
#[inline(always)]
pub(super) fn spread<L: Lanes>(
    lanes: L,
    heads: &Heads,
    factor: L::Elem,
    weights: &[L::Elem],
    narrow: Narrow<'_, L::Elem>,
    wide: &mut [L::Elem],
) {
    let (d, group) = (heads.head_dim, heads.group());
    let wide = wide
        .chunks_exact_mut(group * d)
        .zip(weights.chunks_exact(group));
    for (kv_head, (wide, weights)) in wide.enumerate() {
        let of_head = kv_head * d..(kv_head + 1) * d;
        let x = &narrow.row[of_head.clone()];
        let extra = narrow.extra.map(|extra| &extra[of_head]);
        for (wide, &weight) in wide.chunks_exact_mut(d).zip(weights) {
            let weight = lanes.splat(factor * weight);
            match extra {
                None => map2(
                    lanes,
                    wide,
                    x,
                    #[inline(always)]
                    |y, x| lanes.mul_add(weight, x, y),
                ),
                Some(extra) => update(
                    lanes,
                    wide,
                    x,
                    extra,
                    #[inline(always)]
                    |y, x, extra| lanes.mul_add(weight, lanes.add(x, extra), y),
                ),
            }
        }
    }
}

/// `narrow[h / group] += factor · weights[h] · wide[h]`
#[inline(always)]
pub(super) fn gather<L: Lanes>(
    lanes: L,
    heads: &Heads,
    factor: L::Elem,
    weights: &[L::Elem],
    wide: &[L::Elem],
    narrow: &mut [L::Elem],
) {
    let (d, group) = (heads.head_dim, heads.group());
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

/// `Σ a·(b + c)`
#[inline(always)]
fn sum_of_products_of_sum<L: Lanes>(
    lanes: L,
    a: &[L::Elem],
    b: &[L::Elem],
    c: &[L::Elem],
) -> L::Elem {
    let n = a.len();
    assert!(b.len() == n && c.len() == n);
    let whole = n - n % L::N;
    let mut total = lanes.zero();
    for i in (0..whole).step_by(L::N) {
        let sum = lanes.add(lanes.load(&b[i..]), lanes.load(&c[i..]));
        total = lanes.mul_add(lanes.load(&a[i..]), sum, total);
    }
    if whole < n {
        let sum = lanes.add(
            lanes.load_partial(&b[whole..]),
            lanes.load_partial(&c[whole..]),
        );
        total = lanes.mul_add(lanes.load_partial(&a[whole..]), sum, total);
    }
    lanes.sum(total)
}
