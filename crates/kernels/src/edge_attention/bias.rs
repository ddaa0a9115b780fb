//! A learnt or constant number for each head and kind of edge, added to the scores.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::pairs::{Pairs, stride};
use crate::Real;
use crate::storage::values;

/// Adds `table[head, buckets[e]]` to the score of edge `e`.
///
/// Buckets are types of edges, lengths of shortest paths, offsets on a grid: whatever
/// the caller sorts edges by. The gradient reaches the table. `-inf` in it forbids.
///
/// # Shapes
///
/// - `table`: `[n_heads, n_buckets]`, contiguous
/// - `buckets`: one an edge, below `n_buckets`
#[derive(Debug, Clone)]
pub struct EdgeBias {
    /// What is added.
    pub table: Tensor,
    /// Which column each edge reads.
    pub buckets: Arc<[u32]>,
}

/// An [`EdgeBias`], a row for each bucket.
pub(super) struct Table<'a, T> {
    /// `[n_buckets, stride]`
    rows: Vec<T>,
    stride: usize,
    buckets: &'a [u32],
}

impl EdgeBias {
    /// Checks table and buckets, and turns the table. `table` stands in for the one in
    /// `self`.
    pub(super) fn borrow<'a, T: Real>(
        &'a self,
        table: &Tensor,
        n_heads: usize,
        n_edges: usize,
    ) -> Result<Table<'a, T>> {
        let (heads, n_buckets) = table.dims2()?;
        if heads != n_heads {
            bail!(
                "edge-attention: bias table of shape {:?} for {n_heads} heads",
                table.shape()
            );
        }
        let buckets = &*self.buckets;
        if buckets.len() != n_edges {
            bail!(
                "edge-attention: {} buckets of the bias for {n_edges} edges",
                buckets.len()
            );
        }
        if let Some(edge) = buckets.iter().position(|&b| b as usize >= n_buckets) {
            bail!(
                "edge-attention: edge {edge} reads bucket {} of {n_buckets}",
                buckets[edge]
            );
        }
        let values = values::<T>(table)?;
        let stride = stride(n_heads);
        let mut rows = vec![T::zero(); n_buckets * stride];
        for (bucket, row) in rows.chunks_exact_mut(stride).enumerate() {
            for (head, number) in row[..n_heads].iter_mut().enumerate() {
                *number = values[head * n_buckets + bucket];
            }
        }
        Ok(Table {
            rows,
            stride,
            buckets,
        })
    }
}

impl<T: Real> Table<'_, T> {
    /// Elements of the table.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// `scores += table`
    #[inline(never)]
    pub(super) fn add_to(&self, pairs: &Pairs<'_>, scores: &mut [T]) {
        for (e, scores) in (0..pairs.len()).zip(scores.chunks_exact_mut(self.stride)) {
            let bias = &self.rows[self.columns(pairs, e)];
            scores.iter_mut().zip(bias).for_each(|(s, &b)| *s += b);
        }
    }

    /// Adds gradients of scores to `sums`, `[n_buckets, stride]`.
    #[inline(never)]
    pub(super) fn sum_into(&self, pairs: &Pairs<'_>, grads: &[T], sums: &mut [T]) {
        for (e, grads) in (0..pairs.len()).zip(grads.chunks_exact(self.stride)) {
            let sums = &mut sums[self.columns(pairs, e)];
            sums.iter_mut().zip(grads).for_each(|(sum, &g)| *sum += g);
        }
    }

    /// Where the numbers of an edge's bucket are.
    #[inline(always)]
    fn columns(&self, pairs: &Pairs<'_>, e: usize) -> Range<usize> {
        let first = self.buckets[pairs.number(e)] as usize * self.stride;
        first..first + self.stride
    }
}

/// Adds up the sums of all pieces, in order: `[n_heads, n_buckets]` from
/// `[n_pieces, n_buckets, stride]`.
pub(super) fn add_up<T: Real>(pieces: &[T], n_heads: usize, into: &mut [T], accumulate: bool) {
    if !accumulate {
        into.fill(T::zero());
    }
    let (n_buckets, stride) = (into.len() / n_heads, stride(n_heads));
    for sums in pieces.chunks_exact((n_buckets * stride).max(1)) {
        for (bucket, sums) in sums.chunks_exact(stride).enumerate() {
            for (head, &sum) in sums[..n_heads].iter().enumerate() {
                into[head * n_buckets + bucket] += sum;
            }
        }
    }
}
