//! Rows of the next task, asked for while this one computes.
//!
//! A head is a few channels out of wide rows, so each row of it lies in lines of its own,
//! far from those of the next row: memory answers slowly, and the processor does not
//! guess. Asked for a few rows at a time between products, they are there in time.

use std::ops::Range;

use super::call::{Call, Task};
use crate::Real;
use crate::simd::prefetch;
use crate::view::Rows;

/// Rows that are asked for at one time.
const STEP: usize = 16;

/// What the next task reads and nobody asked for yet.
pub(super) struct Ahead<'a, T> {
    /// Matrices with a row for each query.
    by_query: Vec<Rows<'a, T>>,
    queries: Range<usize>,
    query_columns: Range<usize>,
    /// Matrices with a row for each key.
    by_key: [Rows<'a, T>; 2],
    keys: Range<usize>,
    key_columns: Range<usize>,
}

impl<'a, T: Real> Ahead<'a, T> {
    /// What `next` reads of the operands, and of `beside`, rows that queries have.
    pub(super) fn new(
        call: &'a Call<'_, T>,
        next: Option<&Task>,
        beside: impl IntoIterator<Item = Rows<'a, T>>,
    ) -> Self {
        let group = call.heads.group();
        let d = call.heads.head_dim;
        let (queries, keys, kv_head) = match next {
            None => (0..0, 0..0, 0),
            Some(task) => {
                let last = task.queries.end - 1;
                let keys = call.spans.keys(task.queries.start).start..call.spans.keys(last).end;
                (task.queries.clone(), keys, task.kv_head)
            }
        };
        Self {
            by_query: std::iter::once(call.q).chain(beside).collect(),
            queries,
            query_columns: kv_head * group * d..(kv_head + 1) * group * d,
            by_key: [call.k, call.v],
            keys,
            key_columns: kv_head * d..(kv_head + 1) * d,
        }
    }

    /// Asks for some of it.
    pub(super) fn ask(&mut self) {
        let columns = &self.query_columns;
        for row in self.queries.by_ref().take(STEP) {
            for rows in &self.by_query {
                prefetch(rows.row(row, columns.start, columns.len()));
            }
        }
        let columns = &self.key_columns;
        for row in self.keys.by_ref().take(STEP) {
            for rows in &self.by_key {
                prefetch(rows.row(row, columns.start, columns.len()));
            }
        }
    }
}
