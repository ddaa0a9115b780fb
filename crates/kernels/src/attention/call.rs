//! One call of attention: checked operands, and how the work is cut.

use std::ops::Range;

use candle_core::{Result, bail};

use super::bias::Table;
use super::dropout::Dropout;
use super::pack::Pack;
use super::product::{Product, Start};
use super::rotary::{Tables, Turn};
use super::transpose::Transpose;
use super::window::{BLOCK, Ends, STRIP, TILE, Window};
use crate::view::Rows;
use crate::{Real, Spans};

/// Blocks of queries that share a pass over the keys: enough to make packing keys
/// cheap, few enough to stay in the second-level cache.
const BLOCKS: usize = 4;

/// How channels split into heads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl Heads {
    /// Checks that heads divide.
    pub(crate) fn new(n_heads: usize, n_kv_heads: usize, head_dim: usize) -> Result<Self> {
        if n_heads == 0 || head_dim == 0 || n_kv_heads == 0 || !n_heads.is_multiple_of(n_kv_heads) {
            bail!(
                "attention: n_heads = {n_heads}, n_kv_heads = {n_kv_heads}, head_dim = {head_dim}"
            );
        }
        Ok(Self {
            n_heads,
            n_kv_heads,
            head_dim,
        })
    }

    /// Query heads that read one key head.
    pub(crate) fn group(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }

    /// Columns of queries and of results.
    pub(crate) fn q_width(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Columns of keys, and of values.
    pub(crate) fn kv_width(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// `head_dim` as packed rows have it.
    pub(super) fn padded(&self) -> usize {
        self.head_dim.next_multiple_of(STRIP)
    }
}

/// Operands of attention.
pub(super) struct Call<'a, T> {
    pub(super) heads: Heads,
    pub(super) scale: T,
    pub(super) q: Rows<'a, T>,
    pub(super) k: Rows<'a, T>,
    pub(super) v: Rows<'a, T>,
    pub(super) spans: &'a Spans,
    pub(super) rotary: Option<Tables<'a, T>>,
    pub(super) bias: Option<Table<'a, T>>,
    pub(super) dropout: Option<Dropout>,
}

/// Some queries of one segment, for the query heads of one key head.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// Its place among all tasks.
    pub(super) number: usize,
    pub(super) segment: usize,
    pub(super) kv_head: usize,
    /// Query rows.
    pub(super) queries: Range<usize>,
    /// First key row of the segment: tiles and dropout count from it.
    pub(super) first_key: usize,
}

/// Up to [`BLOCK`] queries of one head.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) head: usize,
    pub(super) queries: Range<usize>,
}

impl<'a, T: Real> Call<'a, T> {
    /// The work of each segment and key head, in pieces of so many queries that
    /// they make [`BLOCKS`] blocks, or one for each query head.
    pub(super) fn tasks(&self) -> Vec<Task> {
        let step = BLOCK * (BLOCKS / self.heads.group()).max(1);
        let mut tasks = Vec::new();
        for (segment, (queries, keys)) in self.spans.segments().iter().enumerate() {
            for kv_head in 0..self.heads.n_kv_heads {
                for first in (queries.start as usize..queries.end as usize).step_by(step) {
                    tasks.push(Task {
                        number: tasks.len(),
                        segment,
                        kv_head,
                        queries: first..(first + step).min(queries.end as usize),
                        first_key: keys.start as usize,
                    });
                }
            }
        }
        tasks
    }

    /// The blocks of `task`, those of one head after those of another.
    pub(super) fn blocks(&self, task: &Task) -> Vec<Block> {
        let group = self.heads.group();
        let heads = task.kv_head * group..(task.kv_head + 1) * group;
        let queries = &task.queries;
        let block = |head| {
            let starts = queries.clone().step_by(BLOCK);
            starts.map(move |first| Block {
                head,
                queries: first..(first + BLOCK).min(queries.end),
            })
        };
        heads.flat_map(block).collect()
    }

    /// The tiles of keys that some query of `task` reads, counted from the start of
    /// the segment.
    pub(super) fn tiles(&self, task: &Task) -> impl Iterator<Item = Range<usize>> + use<T> {
        let Task {
            queries, first_key, ..
        } = task;
        let first_key = *first_key;
        let start = self.spans.keys(queries.start).start - first_key;
        let end = self.spans.keys(queries.end - 1).end - first_key;
        let first = start / TILE * TILE;
        (first..end.max(first))
            .step_by(TILE)
            .map(move |tile| first_key + tile..first_key + (tile + TILE).min(end))
    }

    /// How queries turn.
    pub(super) fn turn_queries(&self) -> Option<Turn<'_, T>> {
        self.rotary.as_ref().map(Tables::queries)
    }

    /// How keys turn.
    pub(super) fn turn_keys(&self) -> Option<Turn<'_, T>> {
        self.rotary.as_ref().map(Tables::keys)
    }

    /// Queries of a block, turned and scaled.
    pub(super) fn pack_queries(&self, block: &Block, to: &mut [T]) {
        T::dispatch(Pack {
            turn: self.turn_queries(),
            factor: self.scale,
            ..self.pack(self.q, &block.queries, block.head, to)
        });
    }

    /// Keys of a tile, turned.
    pub(super) fn pack_keys(&self, keys: &Range<usize>, kv_head: usize, to: &mut [T]) {
        T::dispatch(Pack {
            turn: self.turn_keys(),
            ..self.pack(self.k, keys, kv_head, to)
        });
    }

    /// Values of a tile.
    pub(super) fn pack_values(&self, keys: &Range<usize>, kv_head: usize, to: &mut [T]) {
        T::dispatch(self.pack(self.v, keys, kv_head, to));
    }

    /// A head of some rows, as it is.
    pub(super) fn pack<'b>(
        &self,
        from: Rows<'b, T>,
        rows: &Range<usize>,
        head: usize,
        to: &'b mut [T],
    ) -> Pack<'b, T> {
        Pack {
            from,
            rows: rows.clone(),
            column: head * self.heads.head_dim,
            width: self.heads.head_dim,
            turn: None,
            factor: T::one(),
            to,
            to_width: self.heads.padded(),
        }
    }

    /// Packed rows of a block, transposed.
    pub(super) fn transpose(&self, n: usize, from: &[T], to: &mut [T]) {
        let width = self.heads.padded();
        T::dispatch(Transpose {
            from: &from[..n.next_multiple_of(STRIP) * width],
            from_width: width,
            to,
        });
    }

    /// `c = a b` within `window`: packed rows of a tile by transposed rows of a block.
    pub(super) fn keys_by_queries(&self, window: &Window, a: &[T], b: &[T], c: &mut [T]) {
        T::dispatch(Product {
            start: Start::Zero,
            c,
            c_stride: BLOCK,
            a,
            a_strides: (self.heads.padded(), 1),
            b,
            b_stride: BLOCK,
            parts: window.keys_by_queries(self.heads.head_dim).as_slice(),
        });
    }

    /// Adds the relative bias to scores.
    pub(super) fn add_bias(
        &self,
        block: &Block,
        keys: &Range<usize>,
        window: &Window,
        scores: &mut [T],
        numbers: &mut [T],
    ) {
        if let Some(table) = &self.bias {
            let distances = table.distances(&block.queries, keys);
            distances.add_to(scores, window, table, block.head, numbers);
        }
    }

    /// Fills the dropout mask of a tile; `None` without dropout.
    pub(super) fn keep<'b>(
        &self,
        task: &Task,
        block: &Block,
        keys: &Range<usize>,
        draws: &mut [T],
        keep: &'b mut [T],
    ) -> Option<&'b [T]> {
        let dropout = self.dropout.as_ref()?;
        let first_key = keys.start - task.first_key;
        dropout.fill(block.head, &block.queries, first_key, draws, keep);
        Some(keep)
    }

    /// Ends of the spans within a tile, where they matter.
    pub(super) fn ends(
        &self,
        window: &Window,
        block: &Block,
        keys: &Range<usize>,
    ) -> Option<Ends<T>> {
        (!window.is_whole()).then(|| Ends::new(self.spans, &block.queries, keys))
    }
}
