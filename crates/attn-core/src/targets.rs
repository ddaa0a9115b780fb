//! What a model should answer for one batch.

use std::sync::Arc;

/// A target that no loss is taken of.
pub const IGNORED: u32 = u32::MAX;

/// The right answers of one batch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Targets {
    /// A class for each row or each sample, `[n]`; [`IGNORED`] for none.
    Classes(Arc<[u32]>),
    /// Two classes for each sample, where two samples were mixed.
    Mixed {
        /// The class that `share` of the sample belongs to, `[n]`.
        first: Arc<[u32]>,
        /// The class that the rest belongs to, `[n]`.
        second: Arc<[u32]>,
        /// In `[0, 1]`, `[n]`.
        share: Arc<[f32]>,
    },
    /// A sequence of symbols for each sample, shorter than its rows.
    Sequences {
        /// The symbols of all samples, one after the other.
        labels: Arc<[u32]>,
        /// Where each sample ends in `labels`, `[n]`.
        ends: Arc<[u32]>,
    },
    /// A number for each sample, `[n]`; NaN for none.
    Numbers(Arc<[f32]>),
    /// Pairs of rows, and whether they belong together.
    Links {
        /// Two rows each.
        pairs: Arc<[[u32; 2]]>,
        /// 1 for a link, 0 for none, as many as pairs.
        present: Arc<[u32]>,
    },
}

impl Targets {
    /// Targets that count in the loss.
    pub fn count(&self) -> usize {
        let classes = |classes: &[u32]| classes.iter().filter(|&&class| class != IGNORED).count();
        match self {
            Self::Classes(targets) => classes(targets),
            Self::Mixed { first, .. } => classes(first),
            Self::Sequences { ends, .. } => ends.len(),
            Self::Numbers(numbers) => numbers.iter().filter(|number| !number.is_nan()).count(),
            Self::Links { pairs, .. } => pairs.len(),
        }
    }
}

/// A list of classes, however it is held.
impl<C: Into<Arc<[u32]>>> From<C> for Targets {
    fn from(classes: C) -> Self {
        Self::Classes(classes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_that_are_none_do_not_count() {
        assert_eq!(Targets::from(vec![0, IGNORED, 3]).count(), 2);
        assert_eq!(Targets::Numbers([1.0, f32::NAN].into()).count(), 1);
        let sequences = Targets::Sequences {
            labels: [1, 2, 3].into(),
            ends: [0, 3].into(),
        };
        assert_eq!(sequences.count(), 2);
    }
}
