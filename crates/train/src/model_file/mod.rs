//! Weights in safetensors files: strict reading of untrusted files, durable writing.
//!
//! A reader that trusts a header can be made to allocate without bound, to
//! overflow, or to read one tensor as another. Here the whole header is checked
//! before anything else is done with it, against limits far below the format's
//! (see [`limits`]), and no allocation is made from a number that the length of
//! the file does not back. Tensors are read one at a time when asked for, so that
//! a caller can refuse a wrong shape before memory is taken for it.
//!
//! [`Weights`] reads one file or the shards of a Hugging Face index alike; [`ModelFile`] is
//! one file. Weights that are in another format are named and refused ([`refuse_foreign`]):
//! a pickle could run code.
//!
//! Format: <https://huggingface.co/docs/safetensors>.

mod decode;
mod defect;
mod dtype;
mod error;
mod float;
mod foreign;
mod header;
mod index;
pub mod limits;
mod misfits;
mod read;
mod shards;
mod size;
mod weights;
mod write;

pub use defect::Defect;
pub use dtype::Dtype;
pub use error::{Misfit, ModelFileError};
pub use float::{Float, UnknownFloat};
pub use foreign::Foreign;
pub use header::TensorInfo;
pub use index::{INDEX, IndexDefect};
pub use read::{ModelFile, refuse_foreign};
pub use shards::write_shards;
pub use size::{ByteSize, NotASize};
pub use weights::Weights;
pub use write::{NamedTensor, Values, write_model_file};

pub(crate) use read::open_regular;
pub(crate) use write::write_tensors;

#[cfg(test)]
mod tests;
