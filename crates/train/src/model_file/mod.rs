//! Weights in safetensors files: strict reading of untrusted files, durable writing.
//!
//! A reader that trusts a header can be made to allocate without bound, to
//! overflow, or to read one tensor as another. Here the whole header is checked
//! before anything else is done with it, against limits far below the format's
//! (see [`limits`]), and no allocation is made from a number that the length of
//! the file does not back. Tensors are read one at a time when asked for, so that
//! a caller can refuse a wrong shape before memory is taken for it.
//!
//! Format: <https://huggingface.co/docs/safetensors>.

mod dtype;
mod error;
mod header;
mod read;
mod write;

pub use dtype::Dtype;
pub use error::{Defect, Misfit, ModelFileError};
pub use header::{TensorInfo, limits};
pub use read::ModelFile;
pub use write::{NamedTensor, Values, write_model_file};

pub(crate) use read::open_regular;
pub(crate) use write::write_tensors;

#[cfg(test)]
mod tests;
