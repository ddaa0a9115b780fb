//! What can be wrong with a weight file.

use std::path::PathBuf;

use super::defect::Defect;
use super::dtype::Dtype;
use super::foreign::Foreign;
use super::index::IndexDefect;
use crate::durable::FileError;

/// A weight file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelFileError {
    /// The file cannot be opened or read.
    #[error(transparent)]
    File(#[from] FileError),

    /// The file is not a sound safetensors file.
    #[error("{}: {defect}; the file is damaged or is no safetensors file", path.display())]
    Defective {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        defect: Defect,
    },

    /// The file is of a format that is not read.
    #[error("{}: is {}; {}", path.display(), format.name(), format.remedy(path))]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: Foreign,
    },

    /// The index of a checkpoint in several files is not sound, or not that of its shards.
    #[error(
        "{}: {defect}; the index is damaged or of another checkpoint, fetch it again with its \
         shards", path.display()
    )]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        defect: IndexDefect,
    },

    /// Files that an index names are not there.
    #[error(
        "{}: {} not beside it; copy or download what is missing", path.display(),
        absent(shards)
    )]
    MissingShards {
        /// The index.
        path: PathBuf,
        /// Names of the missing files, in order.
        shards: Vec<String>,
    },

    /// The file is sound, but a tensor is not of a type that holds weights.
    #[error(
        "{}: tensor `{tensor}` holds {dtype}, only F32, F16, BF16 and F64 are weights; \
         convert the file", path.display()
    )]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its element type.
        dtype: Dtype,
    },

    /// The file has no such tensor.
    #[error("{}: there is no tensor `{tensor}`; the file is of another model", path.display())]
    NoSuchTensor {
        /// The file.
        path: PathBuf,
        /// The name that was looked for.
        tensor: String,
    },

    /// The tensors are not those that the model has.
    #[error("{}: {}; the file is of another model", path.display(), list(misfits))]
    Misfits {
        /// The file.
        path: PathBuf,
        /// Every difference, in order of name.
        misfits: Vec<Misfit>,
    },

    /// A device could not take a tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// One difference between the tensors of a file and those expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Expected, but not in the file.
    #[error("`{0}` is missing")]
    Missing(String),
    /// In the file, but not expected.
    #[error("`{0}` is unexpected")]
    Unexpected(String),
    /// In the file with another shape.
    #[error("`{name}` has shape {found:?} instead of {expected:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape of the model.
        expected: Vec<usize>,
    },
}

/// The first few differences and the number of the others, on one line.
fn list(misfits: &[Misfit]) -> String {
    shown(misfits.iter().map(Misfit::to_string))
}

/// The first few names and the number of the others, with their verb.
fn absent(shards: &[String]) -> String {
    let verb = if shards.len() == 1 { "is" } else { "are" };
    let names = shards.iter().map(|name| format!("`{name}`"));
    format!("{} {verb}", shown(names))
}

/// The first few of `items` and the number of the others.
fn shown(items: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 8;
    let rest = items.len().saturating_sub(SHOWN);
    let mut text: Vec<String> = items.take(SHOWN).collect();
    if rest > 0 {
        text.push(format!("{rest} more"));
    }
    text.join(", ")
}
