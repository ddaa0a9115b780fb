//! What can go wrong with one file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An operation on one file or folder that failed.
///
/// Shown as `PATH: cannot ACTION: REASON; REMEDY`.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot {action}: {error}{}", path.display(), Remedy(error.kind()))]
pub struct FileError {
    action: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl FileError {
    /// The failure `error` of doing `action` (a verb: `"write"`) to `path`.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, error: io::Error) -> Self {
        Self {
            action,
            path: path.into(),
            error,
        }
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of failure.
    pub fn kind(&self) -> io::ErrorKind {
        self.error.kind()
    }

    /// The system's `errno`, where the system refused.
    pub fn os_code(&self) -> Option<i32> {
        self.error.raw_os_error()
    }

    /// The same failure, told of the file that was asked for instead of its temporary.
    pub(crate) fn at(self, path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            ..self
        }
    }
}

/// Adds what was attempted to an I/O result.
pub(crate) trait Attempt<T> {
    fn attempt(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> Attempt<T> for io::Result<T> {
    fn attempt(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|error| FileError::new(action, path, error))
    }
}

/// What the user can do about it, `; ` included; nothing where it is not known.
struct Remedy(io::ErrorKind);

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "; free some space or choose a folder on another disk"
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                "; choose a folder that you may write to"
            }
            _ => "",
        })
    }
}
