//! The forward pass.

use candle_core::DType;

use super::ahead::Ahead;
use super::arena::{Arena, with_arena};
use super::bias::DISTANCES;
use super::call::{Block, Call, Task};
use super::dropout::Drop;
use super::pack::scale;
use super::product::{Product, Start};
use super::softmax::{OnlineSoftmax, Running};
use super::window::{BLOCK, TILE, Window};
use crate::Real;
use crate::parallel::numbers;
use crate::simd::{Kernel, Lanes};
use crate::view::{Panel, SharedRows};

/// Results of the forward pass, written by many tasks.
#[derive(Clone, Copy)]
pub(super) struct Results<'a, T> {
    /// `[n_queries, n_heads · head_dim]`
    pub(super) y: SharedRows<'a, T>,
    /// `[n_heads, n_queries]`: logarithm of the sum of `e^score`; `inf` for a query
    /// that reads nothing.
    pub(super) log_sum: SharedRows<'a, T>,
}

/// Computes all results.
pub(super) fn forward<T: Real>(call: &Call<'_, T>, results: Results<'_, T>) {
    let tasks = call.tasks();
    numbers(tasks.len(), &|i| {
        let mut ahead = Ahead::new(call, tasks.get(i + 1), []);
        with_arena(|arena| run(call, &tasks[i], &mut ahead, arena, results));
    });
}

/// For each tile of keys, each block of queries takes one step of the online softmax.
fn run<T: Real>(
    call: &Call<'_, T>,
    task: &Task,
    ahead: &mut Ahead<'_, T>,
    arena: &mut Arena<T>,
    results: Results<'_, T>,
) {
    let padded = call.heads.padded();
    let blocks = call.blocks(task);
    let n = blocks.len();
    let optional = |present: bool, size: usize| if present { size } else { 0 };
    let [
        queries,
        sums,
        max,
        total,
        decay,
        keys,
        values,
        scores,
        numbers,
        draws,
        keep,
    ] = arena.split([
        n * padded * BLOCK,
        n * padded * BLOCK,
        n * BLOCK,
        n * BLOCK,
        BLOCK,
        TILE * padded,
        TILE * padded,
        TILE * BLOCK,
        optional(call.bias.is_some(), DISTANCES),
        optional(call.dropout.is_some(), TILE * BLOCK),
        optional(call.dropout.is_some(), TILE * BLOCK),
    ]);
    max.fill(T::from_f64(f64::NEG_INFINITY));
    total.fill(T::zero());

    for (i, block) in blocks.iter().enumerate() {
        let rows = &mut sums[i * padded * BLOCK..][..padded * BLOCK];
        call.pack_queries(block, rows);
        let transposed = &mut queries[i * padded * BLOCK..][..padded * BLOCK];
        call.transpose(block.queries.len(), rows, transposed);
        rows.fill(T::zero());
    }

    for tile in call.tiles(task) {
        call.pack_keys(&tile, task.kv_head, keys);
        call.pack_values(&tile, task.kv_head, values);
        for (i, block) in blocks.iter().enumerate() {
            let Some(window) = Window::new(call.spans, &block.queries, &tile) else {
                continue;
            };
            ahead.ask();
            call.keys_by_queries(&window, keys, &queries[i * padded * BLOCK..], scores);
            call.add_bias(block, &tile, &window, scores, numbers);
            let ends = call.ends(&window, block, &tile);
            ahead.ask();
            T::dispatch(OnlineSoftmax {
                window: &window,
                ends: ends.as_ref(),
                scores,
                running: Running {
                    max: &mut max[i * BLOCK..][..BLOCK],
                    sum: &mut total[i * BLOCK..][..BLOCK],
                    decay,
                },
            });
            if let Some(keep) = call.keep(task, block, &tile, draws, keep) {
                T::dispatch(Drop {
                    window: &window,
                    tile: scores,
                    keep,
                });
            }
            ahead.ask();
            T::dispatch(Product {
                start: Start::Scaled(decay),
                c: &mut sums[i * padded * BLOCK..][..padded * BLOCK],
                c_stride: padded,
                a: scores,
                a_strides: (1, BLOCK),
                b: values,
                b_stride: padded,
                parts: window.queries_over_keys(padded).as_slice(),
            });
        }
    }

    for (i, block) in blocks.iter().enumerate() {
        let sums = &sums[i * padded * BLOCK..][..padded * BLOCK];
        let (max, total) = (&max[i * BLOCK..][..BLOCK], &total[i * BLOCK..][..BLOCK]);
        finish(call, block, sums, max, total, results);
    }
}

/// Divides by the sums of weights, and writes.
fn finish<T: Real>(
    call: &Call<'_, T>,
    block: &Block,
    sums: &[T],
    max: &[T],
    total: &[T],
    results: Results<'_, T>,
) {
    let (d, padded) = (call.heads.head_dim, call.heads.padded());
    let Block { head, queries } = block;
    // SAFETY: this task alone has these queries of this head; so for both.
    let y = unsafe { results.y.panel(queries.clone(), head * d..(head + 1) * d) };
    // SAFETY: as above.
    let mut log_sum = unsafe { results.log_sum.panel(*head..head + 1, queries.clone()) };
    let log_sum = log_sum.row(0);
    let mut factors = [T::zero(); BLOCK];
    for (i, log_sum) in log_sum.iter_mut().enumerate() {
        if total[i] == T::zero() {
            *log_sum = T::from_f64(f64::INFINITY);
        } else {
            *log_sum = max[i] + ln(total[i]);
            factors[i] = T::one() / total[i];
        }
    }
    T::dispatch(ScaleRows {
        from: sums,
        from_width: padded,
        factors: &factors[..queries.len()],
        to: y,
    });
}

/// `ln x`, no more exact than the type.
pub(crate) fn ln<T: Real>(x: T) -> T {
    match T::DTYPE {
        DType::F32 => T::from_f64(f64::from((x.to_f64() as f32).ln())),
        _ => T::from_f64(x.to_f64().ln()),
    }
}

/// `to[r] = factors[r] · from[r]`
struct ScaleRows<'a, 'b, T> {
    from: &'a [T],
    from_width: usize,
    factors: &'a [T],
    to: Panel<'b, T>,
}

impl<T: Real> Kernel<T> for ScaleRows<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(mut self, lanes: L) {
        let rows = self.from.chunks_exact(self.from_width);
        for (r, (from, &factor)) in rows.zip(self.factors).enumerate() {
            let to = self.to.row(r);
            scale(lanes, factor, &from[..to.len()], to);
        }
    }
}
