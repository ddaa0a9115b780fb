//! What a `[data]` table of images may say wrong.

use std::ops::RangeInclusive;

/// A `[data]` table of images that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No place to read from.
    #[error("{key} is empty; name a folder or a file, or `generated`")]
    EmptyPath {
        /// The key.
        key: &'static str,
    },
    /// A size or number that cannot be.
    #[error("{key} = {value} is out of range; use {} to {}", range.start(), range.end())]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The values allowed.
        range: RangeInclusive<usize>,
    },
    /// A rate or fraction that cannot be.
    #[error("{key} = {value} is out of range; use {rule}")]
    Rate {
        /// The key.
        key: &'static str,
        /// Its value.
        value: f64,
        /// The values allowed.
        rule: &'static str,
    },
    /// One of height and width.
    #[error("{key} is missing; height and width go together")]
    HalfASize {
        /// The key that is missing.
        key: &'static str,
    },
    /// Fractions that leave nothing to train on.
    #[error(
        "val_fraction = {val_fraction} and test_fraction = {test_fraction} leave nothing to train on; use smaller ones"
    )]
    NothingLeft {
        /// Part held out for validation.
        val_fraction: f64,
        /// Part held out for the test.
        test_fraction: f64,
    },
    /// A key that another makes void.
    #[error("{key} has no use beside {other}; remove one of them")]
    NoUse {
        /// The key.
        key: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Names that do not tell classes apart.
    #[error("classes has {problem}; name at least two, each once")]
    Classes {
        /// What is wrong.
        problem: String,
    },
}

impl ConfigError {
    /// The keys of `[data]` that the error is about, the likeliest to blame first.
    pub fn keys(&self) -> &[&'static str] {
        match self {
            Self::EmptyPath { key }
            | Self::OutOfRange { key, .. }
            | Self::Rate { key, .. }
            | Self::HalfASize { key }
            | Self::NoUse { key, .. } => std::slice::from_ref(key),
            Self::NothingLeft { .. } => &["val_fraction", "test_fraction"],
            Self::Classes { .. } => &["classes"],
        }
    }
}
