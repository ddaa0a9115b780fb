//! From vectors to a file.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use data::npy;

use super::Embedding;
use crate::durable;
use crate::error::{Error, Result};

/// What a file of vectors looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One array of `f32`, `[n, d_model]`, in the order of the inputs; for NumPy.
    Npy,
    /// One JSON object a line.
    JsonLines,
}

impl Format {
    /// The format that the name of a file asks for.
    ///
    /// # Errors
    ///
    /// A name that ends in neither `.npy` nor `.jsonl`.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(OsStr::to_str) {
            Some("npy") => Ok(Self::Npy),
            Some("jsonl") => Ok(Self::JsonLines),
            _ => Err(Error::Usage(format!(
                "{}: the name of a file of vectors ends in .npy or .jsonl; choose another `--out`",
                path.display()
            ))),
        }
    }
}

/// Writes vectors of `width` numbers to a file, which appears as a whole.
///
/// # Errors
///
/// The file cannot be written.
pub fn write(path: &Path, format: Format, embeddings: &[Embedding], width: usize) -> Result<()> {
    let written = durable::write_file(path, |w| match format {
        Format::Npy => {
            let numbers: Vec<f32> = embeddings.iter().flat_map(|e| &e.vector).copied().collect();
            npy::write_f32(w, &[embeddings.len(), width], &numbers)
        }
        Format::JsonLines => embeddings.iter().try_for_each(|embedding| {
            serde_json::to_writer(&mut *w, embedding).map_err(io::Error::from)?;
            w.write_all(b"\n")
        }),
    });
    Ok(written?)
}
