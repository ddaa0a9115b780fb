//! Which part of a tile is read.
//!
//! A *tile* is up to [`TILE`] keys, a *block* up to [`BLOCK`] queries. Both are cut
//! into strips of [`STRIP`] rows, and only those pairs of strips are computed of
//! which some query may read some key. Both ends of the spans never decrease, so
//! the strips that go with a strip of the other side are an interval.

use std::ops::Range;

use super::product::Part;
use crate::{Real, Spans};

/// Queries in a block.
pub(super) const BLOCK: usize = 64;
/// Keys in a tile.
pub(super) const TILE: usize = 64;
/// Rows in a strip, a multiple of the longest vector; head dimensions are padded to it.
pub(super) const STRIP: usize = 16;
const STRIPS: usize = BLOCK / STRIP;

/// What the queries of one block read of the keys of one tile.
pub(super) struct Window {
    n_queries: usize,
    n_keys: usize,
    /// Every query reads every key. Places past the last query read them, too, of which
    /// nothing comes: their rows are zeros, and what they would add to is not kept.
    whole: bool,
    /// For each strip of queries, the keys that some query of it reads.
    keys: [Range<usize>; STRIPS],
}

impl Window {
    /// The window of the rows `queries` on the rows `keys`; `None` if it is empty.
    pub(super) fn new(spans: &Spans, queries: &Range<usize>, keys: &Range<usize>) -> Option<Self> {
        let last = queries.end - 1;
        let within = |row: usize| row.clamp(keys.start, keys.end) - keys.start;
        if spans.keys(queries.start).start >= keys.end || spans.keys(last).end <= keys.start {
            return None;
        }
        let whole =
            spans.keys(last).start <= keys.start && spans.keys(queries.start).end >= keys.end;
        let strip = |strip: usize| {
            let first = queries.start + strip * STRIP;
            if first >= queries.end {
                return 0..0;
            }
            let last = (first + STRIP - 1).min(last);
            let (low, high) = (spans.keys(first).start, spans.keys(last).end);
            // Where a strip reads nothing, `low` may pass `high`.
            if low >= keys.end || high <= keys.start {
                return 0..0;
            }
            within(low)..within(high)
        };
        Some(Self {
            n_queries: queries.len(),
            n_keys: keys.len(),
            whole,
            keys: std::array::from_fn(strip),
        })
    }

    /// Whether every query reads every key.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// For each strip of queries that is computed, by number: the keys that are
    /// computed with it.
    pub(super) fn strips(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        (0..self.n_queries.div_ceil(STRIP)).filter_map(|strip| {
            let computed = self.computed(strip);
            (!computed.is_empty()).then_some((strip, computed))
        })
    }

    /// The keys of the strips that are computed with a strip of queries.
    fn computed(&self, strip: usize) -> Range<usize> {
        let Range { start, end } = self.keys[strip];
        start / STRIP * STRIP..end.next_multiple_of(STRIP).min(self.n_keys)
    }

    /// For each strip of keys: the queries of the strips that are computed with it.
    fn queries(&self, strip: usize) -> Range<usize> {
        let key = strip * STRIP;
        let mut with =
            (0..self.n_queries.div_ceil(STRIP)).filter(|&s| self.computed(s).contains(&key));
        match with.next() {
            None => 0..0,
            Some(first) => first * STRIP..(with.next_back().unwrap_or(first) + 1) * STRIP,
        }
    }

    /// Parts of a product with rows for keys and columns for queries.
    pub(super) fn keys_by_queries(&self, depth: usize) -> Parts {
        Parts::new(self.whole, self.n_keys, |rows| Part {
            columns: self.columns(&rows),
            rows,
            sum: 0..depth,
        })
    }

    /// Parts of a product with rows for keys that sums over queries.
    pub(super) fn keys_over_queries(&self, width: usize) -> Parts {
        Parts::new(self.whole, self.n_keys, |rows| Part {
            sum: {
                let queries = self.columns(&rows);
                queries.start..queries.end.min(self.n_queries)
            },
            rows,
            columns: 0..width,
        })
    }

    /// Parts of a product with rows for queries that sums over keys.
    pub(super) fn queries_over_keys(&self, width: usize) -> Parts {
        Parts::new(self.whole, self.n_queries, |rows| Part {
            sum: if self.whole {
                0..self.n_keys
            } else {
                let Range { start, end } = self.keys[rows.start / STRIP];
                start..end.max(start)
            },
            rows,
            columns: 0..width,
        })
    }

    fn columns(&self, keys: &Range<usize>) -> Range<usize> {
        if self.whole {
            0..self.n_queries.next_multiple_of(STRIP)
        } else {
            self.queries(keys.start / STRIP)
        }
    }
}

/// The parts of one product: one if it is whole, else one a strip.
pub(super) struct Parts {
    parts: [Part; STRIPS],
    n: usize,
}

impl Parts {
    fn new(whole: bool, rows: usize, part: impl Fn(Range<usize>) -> Part) -> Self {
        let height = if whole { rows.max(1) } else { STRIP };
        let cut = |i: usize| part((i * height).min(rows)..((i + 1) * height).min(rows));
        let nothing = Part {
            rows: 0..0,
            columns: 0..0,
            sum: 0..0,
        };
        let n = rows.div_ceil(height);
        Self {
            parts: std::array::from_fn(|i| if i < n { cut(i) } else { nothing.clone() }),
            n,
        }
    }

    pub(super) fn as_slice(&self) -> &[Part] {
        &self.parts[..self.n]
    }
}

/// For each query of a block, the ends of its span within a tile, as numbers that a
/// vector can compare key numbers with.
pub(super) struct Ends<T> {
    pub(super) start: [T; BLOCK],
    pub(super) end: [T; BLOCK],
}

impl<T: Real> Ends<T> {
    pub(super) fn new(spans: &Spans, queries: &Range<usize>, keys: &Range<usize>) -> Self {
        let within = |row: usize| {
            let row = row.clamp(keys.start, keys.end) - keys.start;
            T::from_f64(row as f64)
        };
        // Places past the last query read nothing.
        let mut ends = Self {
            start: [T::zero(); BLOCK],
            end: [T::zero(); BLOCK],
        };
        for (i, query) in queries.clone().enumerate() {
            let span = spans.keys(query);
            (ends.start[i], ends.end[i]) = (within(span.start), within(span.end));
        }
        ends
    }
}
