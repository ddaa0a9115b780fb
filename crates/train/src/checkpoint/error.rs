//! Why a checkpoint cannot be gone on from.

use std::path::{Path, PathBuf};

use crate::durable::FileError;
use crate::model_file::ModelFileError;

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),

    /// A weight file matches the manifest and yet cannot be used.
    #[error(transparent)]
    ModelFile(#[from] ModelFileError),

    /// Something is not as it was written.
    #[error("{}: {what}; the checkpoint is damaged, use another one", path.display())]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },

    /// The checkpoint was written by another version of this program.
    #[error(
        "{}: the format is {found}, this program reads {expected}; \
         use the program that wrote it", path.display()
    )]
    OtherFormat {
        /// The manifest.
        path: PathBuf,
        /// Its format number.
        found: u64,
        /// Ours.
        expected: u64,
    },

    /// The checkpoint belongs to a run of another configuration or on other data.
    #[error(
        "{}: the checkpoint is of another {what}; restore it, \
         or start a new run with another `--out`", path.display()
    )]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// `configuration` or `data`.
        what: &'static str,
    },

    /// There are checkpoints, and none can be used.
    #[error("none of the {} checkpoints can be used; the newest: {newest}", damaged + 1)]
    NoneUsable {
        /// What is wrong with the newest.
        newest: Box<CheckpointError>,
        /// Number of the others.
        damaged: usize,
    },
}

impl CheckpointError {
    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_path_buf(),
            what: what.into(),
        }
    }
}
