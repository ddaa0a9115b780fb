//! Files to batches: readers, tokenizers, packing and order.
//!
//! Everything a model sees during training is a pure function of the files, the
//! seed and a position, so a run needs to remember one number to go on:
//!
//! ```text
//! files -> text::source -> Tokenizer -> Samples -> Loader::batch(position) -> Batch
//! ```
//!
//! - [`text::TextDataConfig`] is the `[data]` table; [`text::LanguageData`] and
//!   [`text::ClassData`] are what it opens.
//! - [`audio::AudioDataConfig`] is the same table for sound, [`audio::AudioData`] what it
//!   opens; [`npy`] reads arrays that were computed elsewhere.
//! - [`Samples`] is the seam between a modality and the loop: it says how many
//!   samples an epoch has, and packs chosen ones into a [`Batch`].
//! - [`Loader`] chooses which samples a batch holds, by [`order`]; [`BatchLimit`] says
//!   when a batch is full, by samples or by rows.
//! - [`Prefetch`] makes batches ahead of time on another thread.
//!
//! Bad input is an [`Error`] that names the file, the line and the column.

mod atomic;
pub mod audio;
mod batch;
mod bucket;
mod contain;
mod error;
mod folder;
pub mod graph;
pub mod image;
mod lines;
mod loader;
mod names;
pub mod npy;
mod on_error;
mod open;
pub mod order;
mod place;
mod prefetch;
mod rows;
pub mod text;

pub use attn_core::{IGNORED, Input, Targets};
pub use batch::Batch;
pub use bucket::BatchLimit;
pub use error::{Error, Result};
pub use loader::{Loader, Sample, Samples, pass, pass_of};
pub use on_error::{MAX_SKIPPED, OnError, Skips};
pub use open::Open;
pub use place::Place;
pub use prefetch::Prefetch;
