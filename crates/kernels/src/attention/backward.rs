//! The backward pass: weights are computed again, tile by tile.
//!
//! With weights `p = e^(s − lse)` and results `y = p v`:
//! `dv = pᵀ dy`, `dp = dy vᵀ`, `ds = p ⊙ (dp − Σ dy·y)`, `dq = scale · ds k`,
//! `dk = scale · dsᵀ q` (Dao et al. 2022, appendix B
//! <https://arxiv.org/abs/2205.14135>).

use rayon::prelude::*;

use super::ahead::Ahead;
use super::arena::{Arena, with_arena};
use super::bias::DISTANCES;
use super::call::{Block, Call, Task};
use super::pack::{RowProducts, Unpack};
use super::product::{Product, Start};
use super::softmax::SoftmaxBackward;
use super::window::{BLOCK, TILE, Window};
use crate::Real;
use crate::view::{Columns, Rows, SharedRows};

/// What the backward pass starts from.
pub(super) struct Known<'a, T> {
    /// Results of the forward pass, and gradients with respect to them:
    /// `[n_queries, n_heads · head_dim]`.
    pub(super) y: Rows<'a, T>,
    pub(super) dy: Rows<'a, T>,
    /// `[n_heads, n_queries]`
    pub(super) log_sum: &'a [T],
}

/// Gradients, written by many tasks; zero at first.
#[derive(Clone, Copy)]
pub(super) struct Gradients<'a, T> {
    pub(super) q: Columns<'a, T>,
    pub(super) k: Columns<'a, T>,
    pub(super) v: Columns<'a, T>,
    /// `[n_segments · n_heads, n_buckets]`, if it is wanted.
    pub(super) bias: Option<SharedRows<'a, T>>,
}

/// Computes all gradients. Tasks of the same segment and key head add to the same
/// gradients of keys and values, so one thread runs them, in order.
pub(super) fn backward<T: Real>(
    call: &Call<'_, T>,
    known: &Known<'_, T>,
    gradients: Gradients<'_, T>,
) {
    let all = call.tasks();
    all.par_chunk_by(|a, b| (a.segment, a.kv_head) == (b.segment, b.kv_head))
        .for_each(|tasks| {
            with_arena(|arena| {
                for task in tasks {
                    let mut ahead = Ahead::new(call, all.get(task.number + 1), [known.dy, known.y]);
                    run(call, task, &mut ahead, arena, known, gradients);
                }
                turn_back_keys(call, &tasks[0], arena, gradients);
            });
        });
}

/// What a task holds of each of its blocks.
struct Held<'a, T> {
    /// Queries, turned and scaled: rows and transposed.
    q: &'a mut [T],
    qt: &'a mut [T],
    /// Gradients of the results: rows and transposed.
    dy: &'a mut [T],
    dyt: &'a mut [T],
    /// Gradients of the queries, before scaling and turning back.
    dq: &'a mut [T],
    /// One number a query.
    log_sum: &'a mut [T],
    delta: &'a mut [T],
}

fn run<T: Real>(
    call: &Call<'_, T>,
    task: &Task,
    ahead: &mut Ahead<'_, T>,
    arena: &mut Arena<T>,
    known: &Known<'_, T>,
    gradients: Gradients<'_, T>,
) {
    let (d, padded) = (call.heads.head_dim, call.heads.padded());
    let blocks = call.blocks(task);
    let n = blocks.len();
    let optional = |present: bool, size: usize| if present { size } else { 0 };
    let [
        q,
        qt,
        dy,
        dyt,
        dq,
        log_sum,
        delta,
        keys,
        values,
        dk,
        dv,
        scores,
        grads,
        numbers,
        draws,
        keep,
    ] = arena.split([
        n * padded * BLOCK,
        n * padded * BLOCK,
        n * padded * BLOCK,
        n * padded * BLOCK,
        n * padded * BLOCK,
        n * BLOCK,
        n * BLOCK,
        TILE * padded,
        TILE * padded,
        TILE * padded,
        TILE * padded,
        TILE * BLOCK,
        TILE * BLOCK,
        optional(call.bias.is_some(), DISTANCES),
        optional(call.dropout.is_some(), TILE * BLOCK),
        optional(call.dropout.is_some(), TILE * BLOCK),
    ]);
    let mut held: Vec<Held<'_, T>> = q
        .chunks_exact_mut(padded * BLOCK)
        .zip(qt.chunks_exact_mut(padded * BLOCK))
        .zip(dy.chunks_exact_mut(padded * BLOCK))
        .zip(dyt.chunks_exact_mut(padded * BLOCK))
        .zip(dq.chunks_exact_mut(padded * BLOCK))
        .zip(log_sum.chunks_exact_mut(BLOCK))
        .zip(delta.chunks_exact_mut(BLOCK))
        .map(|((((((q, qt), dy), dyt), dq), log_sum), delta)| Held {
            q,
            qt,
            dy,
            dyt,
            dq,
            log_sum,
            delta,
        })
        .collect();
    for (block, held) in blocks.iter().zip(&mut held) {
        hold(call, block, known, held);
    }

    for tile in call.tiles(task) {
        call.pack_keys(&tile, task.kv_head, keys);
        call.pack_values(&tile, task.kv_head, values);
        // SAFETY: this thread alone has this key head of this segment, and the tasks
        // that share it run one after the other.
        let mut dk_rows = unsafe { gradients.k.head(&tile, task.kv_head, d) };
        // SAFETY: as above.
        let mut dv_rows = unsafe { gradients.v.head(&tile, task.kv_head, d) };
        for (sums, rows) in [(&mut *dk, &mut dk_rows), (&mut *dv, &mut dv_rows)] {
            for (r, sums) in sums.chunks_exact_mut(padded).take(tile.len()).enumerate() {
                sums[..d].copy_from_slice(rows.row(r));
                sums[d..].fill(T::zero());
            }
        }
        for (block, held) in blocks.iter().zip(&mut held) {
            let Some(window) = Window::new(call.spans, &block.queries, &tile) else {
                continue;
            };
            ahead.ask();
            call.keys_by_queries(&window, keys, held.qt, scores);
            call.add_bias(block, &tile, &window, scores, numbers);
            ahead.ask();
            call.keys_by_queries(&window, values, held.dyt, grads);
            let ends = call.ends(&window, block, &tile);
            T::dispatch(SoftmaxBackward {
                window: &window,
                ends: ends.as_ref(),
                scores,
                grads,
                keep: call.keep(task, block, &tile, draws, keep),
                log_sum: held.log_sum,
                delta: held.delta,
            });
            if let (Some(table), Some(bias)) = (&call.bias, gradients.bias) {
                let row = task.segment * call.heads.n_heads + block.head;
                // SAFETY: this task alone has this segment and head.
                let mut bias = unsafe { bias.panel(row..row + 1, 0..table.n_buckets) };
                let distances = table.distances(&block.queries, &tile);
                distances.sum_into(grads, &window, table, numbers, bias.row(0));
            }
            let by_key = window.keys_over_queries(padded);
            let product = |a, a_strides, b, c, parts| Product {
                start: Start::Held,
                c,
                c_stride: padded,
                a,
                a_strides,
                b,
                b_stride: padded,
                parts,
            };
            let by_query = window.queries_over_keys(padded);
            let (rows, columns) = ((BLOCK, 1), (1, BLOCK));
            T::dispatch(product(scores, rows, held.dy, dv, by_key.as_slice()));
            ahead.ask();
            T::dispatch(product(grads, rows, held.q, dk, by_key.as_slice()));
            ahead.ask();
            T::dispatch(product(grads, columns, keys, held.dq, by_query.as_slice()));
        }
        for (sums, rows) in [(&*dk, dk_rows), (&*dv, dv_rows)] {
            T::dispatch(Unpack {
                from: &sums[..tile.len() * padded],
                from_width: padded,
                first: tile.start,
                width: d,
                turn: None,
                factor: T::one(),
                to: rows,
            });
        }
    }

    for (block, held) in blocks.iter().zip(&held) {
        // SAFETY: this task alone has these queries of this head.
        let dq = unsafe { gradients.q.head(&block.queries, block.head, d) };
        T::dispatch(Unpack {
            from: &held.dq[..block.queries.len() * padded],
            from_width: padded,
            first: block.queries.start,
            width: d,
            turn: call.turn_queries(),
            factor: call.scale,
            to: dq,
        });
    }
}

/// Fills what a task holds of one block.
fn hold<T: Real>(call: &Call<'_, T>, block: &Block, known: &Known<'_, T>, held: &mut Held<'_, T>) {
    let (d, padded) = (call.heads.head_dim, call.heads.padded());
    let Block { head, queries } = block;
    let n = queries.len();
    call.pack_queries(block, held.q);
    call.transpose(n, held.q, held.qt);
    T::dispatch(call.pack(known.dy, queries, *head, held.dy));
    call.transpose(n, held.dy, held.dyt);
    held.dq.fill(T::zero());
    let n_queries = call.spans.n_queries();
    held.log_sum[..n].copy_from_slice(&known.log_sum[head * n_queries..][queries.clone()]);
    held.log_sum[n..].fill(T::from_f64(f64::INFINITY));
    T::dispatch(RowProducts {
        a: &held.dy[..n * padded],
        a_width: padded,
        b: known.y,
        first: queries.start,
        column: head * d,
        width: d,
        to: &mut held.delta[..n],
    });
    held.delta[n..].fill(T::zero());
}

/// Turns the gradients of a segment's keys back, which were summed as turned.
fn turn_back_keys<T: Real>(
    call: &Call<'_, T>,
    task: &Task,
    arena: &mut Arena<T>,
    gradients: Gradients<'_, T>,
) {
    let Some(turn) = call.turn_keys() else {
        return;
    };
    let d = call.heads.head_dim;
    let (_, keys) = &call.spans.segments()[task.segment];
    let [copy] = arena.split([TILE * d]);
    for first in (keys.start as usize..keys.end as usize).step_by(TILE) {
        let tile = first..(first + TILE).min(keys.end as usize);
        // SAFETY: this thread alone has this key head of this segment.
        let mut rows = unsafe { gradients.k.head(&tile, task.kv_head, d) };
        let copy = &mut copy[..tile.len() * d];
        for (r, copy) in copy.chunks_exact_mut(d).enumerate() {
            copy.copy_from_slice(rows.row(r));
        }
        T::dispatch(Unpack {
            from: copy,
            from_width: d,
            first,
            width: d,
            turn: Some(turn),
            factor: T::one(),
            to: rows,
        });
    }
}
