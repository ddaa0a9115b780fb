//! Which keys each query reads, where they lie next to each other.

use std::ops::Range;

use candle_core::{Result, bail};

/// For each query row, an interval of key rows that it may read.
///
/// Full, causal, banded and chunked attention inside segment walls are all of
/// this form, so one kernel serves them. Both ends of the intervals never
/// decrease from one query to the next: so the queries that read a given key are
/// an interval, too. An empty interval is allowed: such a query gives zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans {
    start: Vec<u32>,
    end: Vec<u32>,
    /// Query and key rows of each segment.
    segments: Vec<(Range<u32>, Range<u32>)>,
    n_keys: u32,
    #[cfg(feature = "cuda")]
    copies: crate::attention::Copies,
}

impl Spans {
    /// Intervals `span(i)` for the queries of each segment, clipped to the
    /// segment's keys.
    ///
    /// `segments` gives the query rows and the key rows of each segment, in
    /// order, without gaps. `span` gets a query row and returns key rows.
    ///
    /// # Errors
    ///
    /// Fails if segments leave gaps or ends decrease from one query to the next.
    pub fn new(
        segments: Vec<(Range<u32>, Range<u32>)>,
        span: impl Fn(u32, &Range<u32>) -> Range<u32>,
    ) -> Result<Self> {
        let (mut start, mut end) = (Vec::new(), Vec::new());
        let (mut next_query, mut next_key) = (0, 0);
        for (queries, keys) in &segments {
            if queries.start != next_query
                || keys.start != next_key
                || queries.end < queries.start
                || keys.end < keys.start
            {
                bail!("segments must follow one another: queries {queries:?}, keys {keys:?}");
            }
            (next_query, next_key) = (queries.end, keys.end);
            let (mut low, mut high) = (keys.start, keys.start);
            for i in queries.clone() {
                let span = span(i, keys);
                let from = span.start.clamp(keys.start, keys.end);
                let to = span.end.clamp(from, keys.end);
                if from < low || to < high {
                    bail!(
                        "query {i} reads {from}..{to}, the one before it {low}..{high}: ends may not decrease"
                    );
                }
                (low, high) = (from, to);
                start.push(from);
                end.push(to);
            }
        }
        Ok(Self {
            start,
            end,
            segments,
            n_keys: next_key,
            #[cfg(feature = "cuda")]
            copies: crate::attention::Copies::default(),
        })
    }

    /// Number of query rows.
    pub fn n_queries(&self) -> usize {
        self.start.len()
    }

    /// Number of key rows.
    pub fn n_keys(&self) -> usize {
        self.n_keys as usize
    }

    /// Query rows and key rows of each segment.
    pub fn segments(&self) -> &[(Range<u32>, Range<u32>)] {
        &self.segments
    }

    /// Key rows that query row `i` reads.
    pub fn keys(&self, i: usize) -> Range<usize> {
        self.start[i] as usize..self.end[i] as usize
    }

    /// What GPUs hold of these spans.
    #[cfg(feature = "cuda")]
    pub(crate) fn copies(&self) -> &crate::attention::Copies {
        &self.copies
    }

    /// Number of (query, key) pairs, the work of attention.
    pub fn n_pairs(&self) -> u64 {
        self.start
            .iter()
            .zip(&self.end)
            .map(|(s, e)| u64::from(e - s))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causal_spans_stop_at_the_query_and_at_the_walls() -> Result<()> {
        let spans = Spans::new(vec![(0..2, 0..2), (2..5, 2..5)], |i, keys| {
            keys.start..i + 1
        })?;
        let all: Vec<_> = (0..5).map(|i| spans.keys(i)).collect();
        assert_eq!(all, [0..1, 0..2, 2..3, 2..4, 2..5]);
        assert_eq!((spans.n_pairs(), spans.n_keys()), (9, 5));
        Ok(())
    }

    #[test]
    fn spans_that_go_back_are_refused() {
        assert!(Spans::new(vec![(0..2, 0..4)], |i, _| 2 - i..4).is_err());
        assert!(Spans::new(vec![(0..2, 0..2), (3..4, 2..3)], |_, k| k.clone()).is_err());
    }
}
