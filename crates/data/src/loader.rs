//! Which samples a batch holds.

use std::sync::Arc;

use attn_core::Pattern;

use crate::bucket::{BatchLimit, Buckets};
use crate::order::Permutation;
use crate::{Batch, Result};

/// One sample of one epoch.
///
/// The epoch is part of the name because the same index may hold something else
/// in another epoch: text windows start at another phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Pass over the data, from 0.
    pub epoch: u64,
    /// Which sample of the pass, below [`Samples::len`].
    pub index: u64,
}

/// A split of a data set that can be visited sample by sample.
///
/// The seam between a modality and the training loop: text windows, labelled
/// texts and all that follows are read through it.
#[expect(clippy::len_without_is_empty, reason = "no split is empty")]
pub trait Samples: Send + Sync {
    /// Samples in one epoch; never 0.
    fn len(&self) -> u64;

    /// Rows of a sample, where they are known before it is read: what batches of a given
    /// number of rows, or of samples of like length, are made by.
    fn n_rows(&self, _sample: Sample) -> Option<usize> {
        None
    }

    /// Packs `samples` into one batch, in the order given; within each, positions
    /// read each other as `pattern` says.
    fn pack(&self, samples: &[Sample], pattern: &Pattern) -> Result<Batch>;
}

/// Batches of one split, each a pure function of its position.
///
/// A position counts the samples consumed before the batch, and alone says where a run
/// stands; the next batch starts at [`Loader::next`]. Batches run across the end of an
/// epoch, so all have the same size; unless they are [bucketed](Loader::bucketed).
///
/// ```
/// use std::sync::Arc;
/// use attn_core::Pattern;
/// use data::{Loader, Open, text::{LanguageData, TextDataConfig}};
///
/// let config: TextDataConfig =
///     serde_json::from_str(r#"{"path": "embedded", "seq_len": 8}"#).unwrap();
/// let text = "the quick brown fox jumps over the lazy dog. ".repeat(20);
/// let data = LanguageData::open(&config, &Open { embedded: Some(&text), ..Open::default() })?;
/// let loader = Loader::shuffled(data.train(), Pattern::Causal, 4, 1337);
/// let batch = loader.batch(0)?;
/// assert_eq!(batch.n_targets(), 4 * 8);
/// assert_eq!(batch.input, loader.batch(0)?.input);
/// # Ok::<(), data::Error>(())
/// ```
#[derive(Clone)]
pub struct Loader {
    samples: Arc<dyn Samples>,
    pattern: Pattern,
    batch_size: usize,
    seed: u64,
    buckets: Option<Arc<Buckets>>,
}

impl Loader {
    /// Visits `samples` in an order drawn from `seed` and the epoch.
    pub fn shuffled(
        samples: Arc<dyn Samples>,
        pattern: Pattern,
        batch_size: usize,
        seed: u64,
    ) -> Self {
        debug_assert!(batch_size > 0 && samples.len() > 0);
        Self {
            samples,
            pattern,
            batch_size,
            seed,
            buckets: None,
        }
    }

    /// The same samples in batches that end at `limit` or with the epoch, and hold samples
    /// of like length, if they are `sorted`. Where lengths are not known, all are alike.
    ///
    /// The epoch is shuffled and cut into pools of 64 batches; inside a pool samples are
    /// sorted by length; then the batches are shuffled. All of it is a pure function of the
    /// seed and the epoch.
    pub fn bucketed(self, limit: BatchLimit, sorted: bool) -> Self {
        let buckets = Buckets::new(Arc::clone(&self.samples), limit, sorted, self.seed);
        Self {
            buckets: Some(Arc::new(buckets)),
            ..self
        }
    }

    /// The batch that starts after `position` samples were consumed.
    ///
    /// # Errors
    ///
    /// If the samples can no longer be read.
    pub fn batch(&self, position: u64) -> Result<Batch> {
        self.samples.pack(&self.visited(position), &self.pattern)
    }

    /// The samples of that batch, in order.
    pub fn visited(&self, position: u64) -> Vec<Sample> {
        let len = self.samples.len();
        let mut epoch = position / len;
        if let Some(buckets) = &self.buckets {
            let batches = buckets.epoch(epoch);
            let sample = |&index: &u64| Sample { epoch, index };
            return batches.batch(position % len).iter().map(sample).collect();
        }
        let mut order = Permutation::new(self.seed, epoch, len);
        (position..position + self.batch_size as u64)
            .map(|at| {
                if at / len != epoch {
                    epoch = at / len;
                    order = Permutation::new(self.seed, epoch, len);
                }
                Sample {
                    epoch,
                    index: order.at(at % len),
                }
            })
            .collect()
    }

    /// The position after the batch that starts at `position`.
    pub fn next(&self, position: u64) -> u64 {
        match &self.buckets {
            None => position + self.batch_size as u64,
            Some(buckets) => {
                let len = self.samples.len();
                let batches = buckets.epoch(position / len);
                position + batches.batch(position % len).len() as u64
            }
        }
    }

    /// Updates of `accumulate` batches each that a pass over the data takes, the last
    /// included that is not of this pass alone; of the first pass, where passes differ.
    pub fn steps_per_epoch(&self, accumulate: usize) -> u64 {
        let accumulate = accumulate.max(1) as u64;
        match &self.buckets {
            None => {
                let samples = self.batch_size as u64 * accumulate;
                self.samples_per_epoch().div_ceil(samples)
            }
            Some(buckets) => buckets.epoch(0).n_batches().div_ceil(accumulate),
        }
    }

    /// Samples in one pass over the data.
    pub fn samples_per_epoch(&self) -> u64 {
        self.samples.len()
    }

    /// Samples in one batch, where all have the same number.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }
}

/// Every sample of `samples` once, in their own order; the last batch may be smaller.
pub fn pass<'a>(
    samples: &'a dyn Samples,
    pattern: &'a Pattern,
    batch_size: usize,
) -> impl Iterator<Item = Result<Batch>> + 'a {
    let limit = BatchLimit {
        samples: batch_size,
        rows: None,
    };
    pass_of(samples, pattern, limit)
}

/// Every sample of `samples` once, in their own order, in batches that end at `limit`.
pub fn pass_of<'a>(
    samples: &'a dyn Samples,
    pattern: &'a Pattern,
    limit: BatchLimit,
) -> impl Iterator<Item = Result<Batch>> + 'a {
    let sample = |index| Sample { epoch: 0, index };
    let rows = (0..samples.len()).map(move |index| samples.n_rows(sample(index)).unwrap_or(1));
    limit.cut(rows).into_iter().map(move |range| {
        let chosen: Vec<_> = range.map(|index| sample(index as u64)).collect();
        samples.pack(&chosen, pattern)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Input;

    /// Each sample is one token: its epoch and its index.
    struct Counted(u64);

    impl Samples for Counted {
        fn len(&self) -> u64 {
            self.0
        }

        fn pack(&self, samples: &[Sample], pattern: &Pattern) -> Result<Batch> {
            let tokens = samples
                .iter()
                .map(|s| (s.epoch * 100 + s.index) as u32)
                .collect();
            let ends: Vec<usize> = (1..=samples.len()).collect();
            Batch::of_tokens(tokens, &ends, Vec::new(), pattern)
        }
    }

    fn tokens(batch: Batch) -> Vec<u32> {
        match batch.input {
            Input::Tokens(tokens) => tokens.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn batches_run_across_epochs_and_miss_nothing() -> Result<()> {
        let loader = Loader::shuffled(Arc::new(Counted(10)), Pattern::Full, 4, 9);
        let mut visited = Vec::new();
        for step in 0..10 {
            visited.extend(tokens(loader.batch(step * 4)?));
        }
        for (epoch, visited) in visited.chunks(10).enumerate() {
            let mut sorted = visited.to_vec();
            sorted.sort_unstable();
            let whole: Vec<u32> = (0..10).map(|i| epoch as u32 * 100 + i).collect();
            assert_eq!(sorted, whole);
            assert_ne!(visited, whole, "epoch {epoch} is not shuffled");
        }
        Ok(())
    }

    #[test]
    fn a_batch_may_hold_several_epochs() -> Result<()> {
        let loader = Loader::shuffled(Arc::new(Counted(3)), Pattern::Full, 8, 1);
        let epochs: Vec<u32> = tokens(loader.batch(1)?).iter().map(|t| t / 100).collect();
        assert_eq!(epochs, [0, 0, 1, 1, 1, 2, 2, 2]);
        Ok(())
    }

    #[test]
    fn bucketed_batches_follow_each_other_and_end_with_the_epoch() -> Result<()> {
        let loader = Loader::shuffled(Arc::new(Counted(10)), Pattern::Full, 4, 9).bucketed(
            BatchLimit {
                samples: 4,
                rows: None,
            },
            true,
        );
        assert_eq!(loader.steps_per_epoch(1), 3);
        let (mut position, mut sizes) = (0, Vec::new());
        for epoch in 0..3 {
            let mut visited = Vec::new();
            while position < 10 * (epoch + 1) {
                let batch = tokens(loader.batch(position)?);
                assert_eq!(batch, tokens(loader.clone().batch(position)?));
                position = loader.next(position);
                sizes.push(batch.len());
                visited.extend(batch);
            }
            visited.sort_unstable();
            let whole: Vec<u32> = (0..10).map(|i| epoch as u32 * 100 + i).collect();
            assert_eq!(visited, whole);
        }
        assert_eq!(sizes.iter().filter(|&&size| size == 4).count(), 6);
        Ok(())
    }

    #[test]
    fn a_pass_visits_all_in_order_and_keeps_the_rest() -> Result<()> {
        let batches: Vec<_> = pass(&Counted(7), &Pattern::Full, 3)
            .map(|b| b.map(tokens))
            .collect::<Result<_>>()?;
        assert_eq!(batches, [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        Ok(())
    }
}
