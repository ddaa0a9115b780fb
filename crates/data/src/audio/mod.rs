//! Sound: from files to batches of frames.
//!
//! ```text
//! folder, manifest ─> decode ─> mix ─> resample ─┬─> [augment] ─> Extractor ─> normalise ─┐
//!                                                └─> [join] ──────────^                  ├─> [mask] ─> Batch
//! .npy, .npz ────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Clips are decoded once, in parallel, and kept in memory; as frames, where nothing changes
//! the samples of a clip from epoch to epoch.

mod augment;
mod clips;
mod config;
pub mod decode;
mod entry;
mod features;
mod generated;
mod join;
mod mel;
mod open;
mod read;
mod resample;
mod samples;
mod source;
mod targets;

pub use augment::{AugmentConfig, Draws};
pub use config::{AudioDataConfig, GeneratedConfig, HoldOut};
pub use decode::{Sound, decode};
pub use features::{Extractor, FeatureConfig, FeatureKind, Normalize, Scale, Statistics};
pub use join::JoinConfig;
pub use mel::MelScale;
pub use open::AudioData;
pub use read::{ClipReader, Content};
pub use resample::resample;
pub use targets::Asked;
