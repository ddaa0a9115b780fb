//! Attention weights of a few rows, for people to look at.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

use super::EdgeAttention;
use super::call::Call;
use super::pairs::{Pairs, blocks, room, stride};
use super::score::DotProduct;
use crate::Real;
use crate::attention::Operands;
use crate::simd::{Kernel, Lanes};
use crate::storage::{same_dtype, tensor, with_real};

/// What rows `queries` read in head `head`: the weights that [`edge_attention`] gives
/// to each row, before dropout. Computed for these rows alone; no gradient.
///
/// [`edge_attention`]: super::edge_attention()
///
/// # Shapes
///
/// - `q`, `k`: as for [`edge_attention`]
/// - returns: `[queries.len(), n_sources]`; rows sum to one, or to zero where nothing
///   is read
///
/// # Errors
///
/// Those of [`edge_attention`], and if there is no such head or row.
pub fn edge_attention_weights(
    q: &Tensor,
    k: &Tensor,
    attention: &EdgeAttention,
    head: usize,
    queries: Range<usize>,
) -> Result<Tensor> {
    let edges = &attention.edges;
    let (n_queries, n_keys) = (edges.n_destinations(), edges.n_sources());
    if head >= attention.n_heads || queries.start > queries.end || queries.end > n_queries {
        bail!(
            "edge-attention: no rows {queries:?} of head {head} among {n_queries} rows of {} heads",
            attention.n_heads
        );
    }
    let extras = attention.extras();
    same_dtype(
        q,
        [k].into_iter().chain(extras.table).chain(extras.features),
    )?;
    let operands = Operands::Separate { q, k, v: k };
    let n = queries.len();
    with_real!(q, T => {
        let weights = attention.check::<T, _>(&operands, extras, |checked| {
            let rows = queries.flat_map(|query| row(checked.call, head, query));
            Ok(rows.collect::<Vec<T>>())
        })?;
        Ok(tensor(weights, (n, n_keys)))
    })
}

/// The weights of one row, `[n_sources]`.
fn row<T: Real>(call: &Call<'_, T, DotProduct<'_, T>>, head: usize, query: usize) -> Vec<T> {
    let h = stride(call.heads.n_heads);
    let side = call.edges.incoming();
    let places = side.places(query);
    let mut scores = Vec::with_capacity(places.len());
    for block in blocks(places.clone()) {
        let pairs = Pairs::incoming(side, query, block);
        let mut of_heads = vec![T::zero(); room(call.heads.n_heads)];
        T::dispatch(Scores {
            call,
            pairs,
            to: &mut of_heads,
        });
        let of_head = of_heads[head..].iter().step_by(h).take(pairs.len());
        scores.extend(of_head.map(|s| s.to_f64()));
    }
    let mut weights = vec![T::zero(); call.edges.n_sources()];
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return weights;
    }
    let total: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
    for (&source, score) in side.ends[places].iter().zip(scores) {
        // A row may be read along several edges.
        weights[source as usize] += T::from_f64((score - largest).exp() / total);
    }
    weights
}

struct Scores<'a, 'b, T> {
    call: &'a Call<'b, T, DotProduct<'b, T>>,
    pairs: Pairs<'a>,
    to: &'a mut [T],
}

impl<T: Real> Kernel<T> for Scores<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        self.call.scores(lanes, &self.pairs, self.to);
    }
}
