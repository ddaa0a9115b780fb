//! Batches of samples of like length, or of a given number of rows.
//!
//! Both are chosen epoch by epoch, as a pure function of the seed, the epoch and the
//! lengths, so a position is still all that a run has to remember: the samples are
//! shuffled, sorted by length inside pools of [`POOL`] batches (a sort of everything would
//! make every epoch alike), cut into batches, and the batches shuffled.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::order::{self, Permutation};
use crate::{Sample, Samples};

/// Batches whose samples are sorted together.
const POOL: usize = 64;

/// When a batch is full: when one more sample would exceed either limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimit {
    /// Samples that it may have; at least 1.
    pub samples: usize,
    /// Rows that it may have; a longer sample is a batch of its own.
    pub rows: Option<usize>,
}

impl BatchLimit {
    fn times(self, n: usize) -> Self {
        Self {
            samples: self.samples.max(1).saturating_mul(n),
            rows: self.rows.map(|rows| rows.saturating_mul(n)),
        }
    }

    /// Cuts samples of these lengths, in this order, into batches.
    pub fn cut(self, lengths: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
        let most_samples = self.samples.max(1);
        let most_rows = self.rows.map_or(u64::MAX, |rows| rows as u64);
        let mut batches = Vec::new();
        let (mut start, mut end, mut n_rows) = (0, 0, 0u64);
        for length in lengths {
            let full =
                end - start == most_samples || n_rows.saturating_add(length as u64) > most_rows;
            if full && end > start {
                batches.push(start..end);
                (start, n_rows) = (end, 0);
            }
            end += 1;
            n_rows = n_rows.saturating_add(length as u64);
        }
        if end > start {
            batches.push(start..end);
        }
        batches
    }
}

/// The batches of every epoch of a split.
pub(crate) struct Buckets {
    samples: Arc<dyn Samples>,
    limit: BatchLimit,
    /// Whether samples of like length are put together.
    sorted: bool,
    seed: u64,
    /// The epoch that was asked for last.
    epoch: Mutex<Option<(u64, Arc<Epoch>)>>,
}

/// The batches of one epoch.
#[derive(Debug)]
pub(crate) struct Epoch {
    /// Every sample once.
    samples: Vec<u64>,
    /// Where the batches end in `samples`.
    ends: Vec<usize>,
}

impl Buckets {
    pub(crate) fn new(
        samples: Arc<dyn Samples>,
        limit: BatchLimit,
        sorted: bool,
        seed: u64,
    ) -> Self {
        Self {
            samples,
            limit,
            sorted,
            seed,
            epoch: Mutex::new(None),
        }
    }

    /// The batches of `epoch`, made again only if another epoch was asked for last.
    pub(crate) fn epoch(&self, epoch: u64) -> Arc<Epoch> {
        let mut last = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, batches)) if *known == epoch => Arc::clone(batches),
            _ => {
                let batches = Arc::new(self.make(epoch));
                *last = Some((epoch, Arc::clone(&batches)));
                batches
            }
        }
    }

    fn make(&self, epoch: u64) -> Epoch {
        let len = self.samples.len();
        let lengths: Vec<usize> = (0..len)
            .map(|index| self.samples.n_rows(Sample { epoch, index }).unwrap_or(1))
            .collect();
        let order = Permutation::new(self.seed, epoch, len);
        let mut samples: Vec<u64> = (0..len).map(|position| order.at(position)).collect();
        let length = |&sample: &u64| lengths[sample as usize];
        if self.sorted {
            let pools = self.limit.times(POOL).cut(samples.iter().map(length));
            for (i, pool) in pools.into_iter().enumerate() {
                // Up and down in turn, so that a batch over a border is of like length too.
                match i % 2 {
                    0 => samples[pool].sort_by_key(length),
                    _ => samples[pool].sort_by_key(|sample| std::cmp::Reverse(length(sample))),
                }
            }
        }
        let batches = self.limit.cut(samples.iter().map(length));
        let shuffle = order::draw("batches", self.seed, epoch, u64::MAX);
        let turn = Permutation::new(shuffle, epoch, batches.len() as u64);
        let mut shuffled = Vec::with_capacity(samples.len());
        let mut ends = Vec::with_capacity(batches.len());
        for i in 0..batches.len() as u64 {
            shuffled.extend_from_slice(&samples[batches[turn.at(i) as usize].clone()]);
            ends.push(shuffled.len());
        }
        Epoch {
            samples: shuffled,
            ends,
        }
    }
}

impl Epoch {
    /// The batch that holds sample number `position` of the epoch, from there on.
    pub(crate) fn batch(&self, position: u64) -> &[u64] {
        let position = position as usize;
        let batch = self.ends.partition_point(|&end| end <= position);
        match self.ends.get(batch) {
            Some(&end) => &self.samples[position..end],
            None => &[],
        }
    }

    /// Batches in it.
    pub(crate) fn n_batches(&self) -> u64 {
        self.ends.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use attn_core::Pattern;

    use super::*;
    use crate::{Batch, Result};

    /// Samples of these lengths, which nobody reads.
    struct Lengths(Vec<usize>);

    impl Samples for Lengths {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn n_rows(&self, sample: Sample) -> Option<usize> {
            Some(self.0[sample.index as usize])
        }

        fn pack(&self, _: &[Sample], pattern: &Pattern) -> Result<Batch> {
            Batch::of_tokens(Vec::new(), &[], Vec::new(), pattern)
        }
    }

    fn buckets(lengths: &[usize], limit: BatchLimit, sorted: bool, seed: u64) -> Buckets {
        Buckets::new(Arc::new(Lengths(lengths.to_vec())), limit, sorted, seed)
    }

    /// The batches of one epoch, as a run visits them.
    fn visit(buckets: &Buckets, epoch: u64) -> Vec<Vec<u64>> {
        let (mut position, mut batches) = (0, Vec::new());
        let plan = buckets.epoch(epoch);
        while position < buckets.samples.len() {
            let batch = plan.batch(position).to_vec();
            position += batch.len() as u64;
            batches.push(batch);
        }
        assert_eq!(batches.len() as u64, plan.n_batches());
        batches
    }

    proptest! {
        #[test]
        fn every_sample_is_visited_once_and_no_batch_is_too_large(
            lengths in prop::collection::vec(0usize..50, 1..400),
            size in 1usize..80,
            by_positions: bool,
            sorted: bool,
            seed: u64,
            epoch in 0u64..10,
        ) {
            let limit = match by_positions {
                true => BatchLimit { samples: usize::MAX, rows: Some(size) },
                false => BatchLimit { samples: size, rows: None },
            };
            let plan = buckets(&lengths, limit, sorted, seed);
            let batches = visit(&plan, epoch);
            let mut seen: Vec<u64> = batches.concat();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len() as u64).collect::<Vec<_>>());
            for batch in &batches {
                let positions: usize = batch.iter().map(|&i| lengths[i as usize]).sum();
                let fits = match by_positions {
                    true => positions <= size || batch.len() == 1,
                    false => batch.len() <= size,
                };
                prop_assert!(fits && !batch.is_empty());
            }
            let again = buckets(&lengths, limit, sorted, seed);
            again.epoch(epoch + 1);
            prop_assert_eq!(batches, visit(&again, epoch));
        }
    }

    #[test]
    fn lengths_inside_a_batch_are_alike_and_epochs_differ() {
        let lengths: Vec<usize> = (0..1000).map(|i| i * 7919 % 1000).collect();
        let plan = buckets(
            &lengths,
            BatchLimit {
                samples: 10,
                rows: None,
            },
            true,
            3,
        );
        let spread = |batches: &[Vec<u64>]| {
            let widths = batches.iter().map(|batch| {
                let of = |&i: &u64| lengths[i as usize];
                batch.iter().map(of).max().unwrap() - batch.iter().map(of).min().unwrap()
            });
            widths.sum::<usize>() / batches.len()
        };
        let (first, second) = (visit(&plan, 0), visit(&plan, 1));
        assert!(spread(&first) < 40, "{}", spread(&first));
        assert_ne!(first, second);
        let unsorted = buckets(
            &lengths,
            BatchLimit {
                samples: 10,
                rows: None,
            },
            false,
            3,
        );
        assert!(spread(&visit(&unsorted, 0)) > 500);
    }

    #[test]
    fn a_position_inside_a_batch_gives_the_rest_of_it() {
        let plan = buckets(
            &[1; 10],
            BatchLimit {
                samples: 4,
                rows: None,
            },
            true,
            1,
        )
        .epoch(0);
        assert_eq!(plan.batch(0)[1..], *plan.batch(1));
        assert!(plan.batch(10).is_empty());
    }
}
