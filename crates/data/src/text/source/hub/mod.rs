//! Sets of the Hugging Face Hub, if the crate was built with the feature `hub`.
//!
//! A set is named `hub:OWNER/NAME`, for instance `hub:roneneldan/TinyStories`. It
//! is read from the Parquet files that the Hub keeps of every set, all of them in
//! the order of their names, through `candle-datasets`, which downloads each once.

#[cfg(not(feature = "hub"))]
mod disabled;
#[cfg(feature = "hub")]
mod enabled;

#[cfg(not(feature = "hub"))]
pub(super) use disabled::Hub;
#[cfg(feature = "hub")]
pub(super) use enabled::Hub;

/// What a path that names a set starts with.
pub(super) const PREFIX: &str = "hub:";
