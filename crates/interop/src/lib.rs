//! Hugging Face's forms of models: what a config.json says, and how weights are named and
//! laid out, both ways.
//!
//! Nothing here reads files or tensors: texts, names, shapes and `Vec<f32>` go in and out.

mod checkpoint;
mod error;
mod export;
mod families;
mod family;
mod form;
mod key_map;
mod keys;
mod labels;
mod layout;

pub use checkpoint::Checkpoint;
pub use error::Error;
pub use export::{Exported, export, export_as};
pub use families::sound::SoundFeatures;
pub use family::Family;
pub use key_map::{Assembly, Entry, KeyMap};
pub use layout::Layout;
