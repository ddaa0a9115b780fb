//! What can stop a run, and the exit code that tells a script which it was.
//!
//! The codes follow `sysexits.h` where it has one:
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 2 | the configuration or the command line is wrong |
//! | 65 | the data, a tokenizer, a checkpoint or a model file is wrong |
//! | 69 | a resource is missing: the machine cannot hold what was asked for |
//! | 70 | the loss or a gradient stopped being a finite number |
//! | 73 | the output folder cannot be made |
//! | 74 | reading or writing failed: disk full, device error |
//! | 75 | another process holds the run folder |
//! | 101 | a bug of ours: a panic, or tensor arithmetic that failed |
//! | 130, 143 | stopped by SIGINT, SIGTERM, after saving |
//! | 141 | whoever read standard output closed it |

use std::{io, path::PathBuf};

use crate::{
    checkpoint::CheckpointError, config::ConfigError, durable::FileError,
    model_file::ModelFileError,
};

/// The kinds of ends a process can come to; the table is at the top of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The configuration or the command line is wrong.
    Usage = 2,
    /// The data, a tokenizer, a checkpoint or a model file is wrong.
    Data = 65,
    /// The machine cannot hold what was asked for.
    Unavailable = 69,
    /// The loss or a gradient stopped being a finite number.
    NonFinite = 70,
    /// The output folder cannot be made.
    CannotCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// Another process holds the run folder.
    Locked = 75,
    /// A bug of ours.
    Internal = 101,
    /// Stopped by SIGINT, after saving.
    Interrupted = 130,
    /// Standard output was closed by its reader.
    BrokenPipe = 141,
    /// Stopped by SIGTERM, after saving.
    Terminated = 143,
}

impl Exit {
    /// The number the process ends with.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// A command line that asks for something impossible.
    #[error("{0}")]
    Usage(String),

    /// Data, or a model or checkpoint on disk, that is not what it should be.
    ///
    /// The message starts with the place, `FILE:LINE:COL` or `FILE`, where there is one.
    #[error("{0}")]
    Data(String),

    /// Data that cannot be read, or that is not what it should be.
    #[error(transparent)]
    Input(#[from] data::Error),

    /// More memory or another resource than the machine has.
    #[error("{0}")]
    Unavailable(String),

    /// The loss, a gradient or a parameter is NaN or infinite.
    #[error("step {step}: {tensor} is {value}; {remedy}")]
    NonFinite {
        /// Optimiser update in which it was seen, from 0.
        step: u64,
        /// Name of the tensor, `loss` for the objective.
        tensor: String,
        /// The value that was found.
        value: f64,
        /// What to try.
        remedy: &'static str,
    },

    /// The gradient of the first update is zero or missing for some parameters.
    #[error("no gradient reaches {params}; an operation on the way records no backward pass")]
    Unreached {
        /// Their names.
        params: String,
    },

    /// The output folder or file cannot be made.
    #[error("{}: {source}; choose another `--out`", path.display())]
    CannotCreate {
        /// What was to be made.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file could not be written or read.
    #[error(transparent)]
    File(#[from] FileError),

    /// A weight file that cannot be used.
    #[error(transparent)]
    ModelFile(#[from] ModelFileError),

    /// A checkpoint that cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),

    /// Standard output could not be written.
    #[error("standard output: {0}")]
    Stdout(#[source] io::Error),

    /// Another process holds the run folder.
    #[error("{}: in use by {holder}; wait for it or choose another `--out`", path.display())]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// Who holds it, as far as known: `process 4711 on host`.
        holder: String,
    },

    /// A signal asked the run to stop, and what was done is saved.
    #[error("stopped by {}; continue with `--resume`", if *.exit == Exit::Terminated { "SIGTERM" } else { "SIGINT" })]
    Stopped {
        /// [`Exit::Interrupted`] or [`Exit::Terminated`].
        exit: Exit,
    },

    /// Tensor arithmetic failed, which only a bug of ours can bring about.
    #[error("internal: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// The end this error brings the process to.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Usage(_) => Exit::Usage,
            Self::Input(data::Error::Write { .. }) | Self::Checkpoint(CheckpointError::File(_)) => {
                Exit::Io
            }
            Self::Data(_) | Self::Input(_) | Self::ModelFile(_) | Self::Checkpoint(_) => Exit::Data,
            Self::Unavailable(_) => Exit::Unavailable,
            Self::NonFinite { .. } | Self::Unreached { .. } => Exit::NonFinite,
            Self::CannotCreate { .. } => Exit::CannotCreate,
            Self::Stdout(source) if source.kind() == io::ErrorKind::BrokenPipe => Exit::BrokenPipe,
            Self::Io { .. } | Self::File(_) | Self::Stdout(_) => Exit::Io,
            Self::Locked { .. } => Exit::Locked,
            Self::Stopped { exit } => *exit,
            Self::Tensor(_) => Exit::Internal,
        }
    }
}

/// What the library's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
