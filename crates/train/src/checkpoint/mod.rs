//! Checkpoints: states of a run that it can go on from, bit for bit.
//!
//! ```text
//! checkpoints/step-00001000/
//!   model.safetensors       the weights; the configuration in the header
//!   optimizer.safetensors   what the optimiser remembers of each weight
//!   ema.safetensors         the moving average of the weights, where there is one
//!   state.json              where the run is: step, epoch, position, best so far
//!   MANIFEST.json           length and BLAKE3 of each file, and what they belong to
//! ```
//!
//! A checkpoint is written under a temporary name, synced, and renamed once, so a
//! folder of that name is whole. Before it is used, every file is compared with the
//! manifest and the manifest with its own seal: no changed byte, and no file of
//! another step, is ever loaded. No generator state is saved, because every random
//! draw of a run is a pure function of its seed and step.

mod error;
mod exact;
mod folder;
mod machine;
mod manifest;
mod open;
mod state;

pub use error::CheckpointError;
pub use folder::{Checkpoints, Snapshot};
pub use manifest::{FileRecord, Identity, Manifest};
pub use open::Checkpoint;
pub use state::{Best, State};

pub(crate) const MODEL: &str = "model.safetensors";
pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";
pub(crate) const EMA: &str = "ema.safetensors";
pub(crate) const STATE: &str = "state.json";
pub(crate) const MANIFEST: &str = "MANIFEST.json";

#[cfg(test)]
mod tests;
