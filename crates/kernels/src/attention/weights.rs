//! Attention weights of a few queries, for people to look at.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

use super::Attention;
use super::call::{Block, Call};
use super::operands::Operands;
use super::window::{STRIP, TILE};
use crate::Real;
use crate::storage::{same_dtype, tensor, with_real};

/// What query rows `queries` of head `head` read: the weights that [`attention`]
/// gives to each key, before dropout. Computed for these rows alone; no gradient.
///
/// [`attention`]: super::attention()
///
/// # Shapes
///
/// - `q`, `k`: as for [`attention`]
/// - returns: `[queries.len(), n_keys]`; rows sum to one, or to zero where nothing
///   is read
///
/// # Errors
///
/// Those of [`attention`], and if there is no such head or row.
pub fn attention_weights(
    q: &Tensor,
    k: &Tensor,
    attention: &Attention,
    head: usize,
    queries: Range<usize>,
) -> Result<Tensor> {
    let (n_queries, n_keys) = (attention.spans.n_queries(), attention.spans.n_keys());
    if head >= attention.n_heads || queries.start > queries.end || queries.end > n_queries {
        bail!(
            "attention: no rows {queries:?} of head {head} among {n_queries} queries of {} heads",
            attention.n_heads
        );
    }
    if !q.device().is_cpu() {
        let cpu = &candle_core::Device::Cpu;
        let (q_there, k_there) = (q.to_device(cpu)?, k.to_device(cpu)?);
        let attention = on_cpu(attention)?;
        return attention_weights(&q_there, &k_there, &attention, head, queries)?
            .to_device(q.device());
    }
    let table = attention.bias.as_ref().map(|bias| &bias.table);
    same_dtype(q, [k].into_iter().chain(table))?;
    let operands = Operands::Separate { q, k, v: k };
    let n = queries.len();
    with_real!(q, T => {
        let weights = attention.call::<T, _>(&operands, table, |call| {
            Ok(queries.flat_map(|query| row(call, head, query, n_keys)).collect::<Vec<T>>())
        })?;
        Ok(tensor(weights, (n, n_keys)))
    })
}

/// With tables in the memory of the CPU, which computes for few rows.
fn on_cpu(attention: &Attention) -> Result<Attention> {
    let mut moved = attention.clone();
    let rotary = moved
        .rotary
        .iter_mut()
        .flat_map(|rotary| [&mut rotary.cos, &mut rotary.sin]);
    let bias = moved.bias.iter_mut().map(|bias| &mut bias.table);
    for table in rotary.chain(bias) {
        *table = table.to_device(&candle_core::Device::Cpu)?;
    }
    Ok(moved)
}

/// The weights of one query, `[n_keys]`.
fn row<T: Real>(call: &Call<'_, T>, head: usize, query: usize, n_keys: usize) -> Vec<T> {
    let padded = call.heads.padded();
    let mut q = vec![T::zero(); STRIP * padded];
    let block = Block {
        head,
        queries: query..query + 1,
    };
    call.pack_queries(&block, &mut q);
    let mut weights = vec![T::zero(); n_keys];
    let span = call.spans.keys(query);
    let mut keys = vec![T::zero(); TILE * padded];
    for first in span.clone().step_by(TILE) {
        let tile = first..(first + TILE).min(span.end);
        call.pack_keys(&tile, head / call.heads.group(), &mut keys);
        for (k, j) in keys.chunks_exact(padded).zip(tile) {
            let products = q.iter().zip(k).map(|(&q, &k)| q * k);
            let score = products.fold(T::zero(), |sum, x| sum + x);
            let bias = call
                .bias
                .as_ref()
                .map(|table| table.head(head)[table.bucket(query, j)]);
            weights[j] = score + bias.unwrap_or(T::zero());
        }
    }
    let read = &mut weights[span];
    let largest = read
        .iter()
        .map(|score| score.to_f64())
        .fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        read.fill(T::zero());
        return weights;
    }
    let exp = |score: &T| (score.to_f64() - largest).exp();
    let total: f64 = read.iter().map(exp).sum();
    for score in read.iter_mut() {
        *score = T::from_f64(exp(score) / total);
    }
    weights
}
