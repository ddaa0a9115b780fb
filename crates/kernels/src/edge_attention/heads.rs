//! The heads of one row against those of another.
//!
//! *Wide* rows have a part for each query head, *narrow* ones for each key head. A
//! narrow row may have another one added to it, the features of an edge.

use std::ops::Range;

use crate::Real;
use crate::attention::Heads;
use crate::simd::{Lanes, lane_bits, sums};

/// A row, and what is added to it.
#[derive(Clone, Copy)]
pub(super) struct Narrow<'a, T> {
    pub(super) row: &'a [T],
    pub(super) extra: Option<&'a [T]>,
}

impl<'a, T: Real> Narrow<'a, T> {
    /// Some of its columns.
    #[inline(always)]
    pub(super) fn part(&self, columns: Range<usize>) -> Self {
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

/// Whether rows are as wide at both ends and every vector of them is of one head.
#[inline(always)]
pub(super) fn is_even<L: Lanes>(heads: &Heads) -> bool {
    heads.n_heads == heads.n_kv_heads && heads.head_dim.is_multiple_of(L::N)
}

/// Whether rows are as wide at both ends, every vector of them is of two heads, and there
/// are four vectors or a multiple.
#[inline(always)]
pub(super) fn is_halved<L: Lanes>(heads: &Heads) -> bool {
    let fours = heads.n_heads.is_multiple_of(8);
    heads.n_heads == heads.n_kv_heads && fours && 2 * heads.head_dim == L::N
}

/// `to[h] = factor · wide[h] · narrow[h / group]`, in whole vectors, of which what is past
/// the heads means nothing.
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
