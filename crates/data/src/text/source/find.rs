//! The files that a path stands for.

use std::fs;
use std::path::{Path, PathBuf};

use crate::folder::files_below;
use crate::{Error, Place, Result};

/// The files that `path` names, sorted.
pub(super) fn find(path: &Path) -> Result<Vec<PathBuf>> {
    let at = || Place::file(path);
    let name = path.to_string_lossy();
    let mut files = Vec::new();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => files = files_below(path)?,
        Ok(_) => files.push(path.to_path_buf()),
        Err(_) if name.contains(['*', '?', '[']) => {
            let options = glob::MatchOptions {
                require_literal_leading_dot: true,
                ..glob::MatchOptions::new()
            };
            let matches = glob::glob_with(&name, options).map_err(|error| Error::Pattern {
                at: at(),
                reason: error.to_string(),
            })?;
            for file in matches {
                let file = file.map_err(|error| {
                    let path = error.path().to_path_buf();
                    Error::read(path, error.into())
                })?;
                if file.is_file() {
                    files.push(file);
                }
            }
        }
        Err(cause) => return Err(Error::read(path, cause)),
    }
    if files.is_empty() {
        return Err(Error::NoFiles { at: at() });
    }
    files.sort();
    Ok(files)
}
