//! What a `[data]` table of graphs may say wrong.

/// A `[data]` table of graphs that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphConfigError {
    /// No place to read from.
    #[error("path is empty; name a file, `karate` or `generated:sbm-pattern`")]
    EmptyPath,
    /// A recipe that nobody wrote.
    #[error(
        "path = \"{path}\" is no source of graphs; there are \"generated:sbm-pattern\", \"generated:sbm-cluster\" and \"generated:random\""
    )]
    UnknownRecipe {
        /// The path.
        path: String,
    },
    /// A recipe without numbers, or numbers without a recipe.
    #[error("{0}")]
    Generate(&'static str),
    /// A number out of its range.
    #[error("{key} = {value} is not in {range}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
    /// Nothing is left to train on.
    #[error("val_fraction = {val} and test_fraction = {test} leave nothing to train on")]
    NothingLeft {
        /// `val_fraction`
        val: f64,
        /// `test_fraction`
        test: f64,
    },
    /// A fold that is none, or two ways to set a test part aside.
    #[error("{0}")]
    Folds(String),
}

pub(super) fn out_of_range(key: &'static str, value: f64, range: &'static str) -> GraphConfigError {
    GraphConfigError::OutOfRange { key, value, range }
}
