//! What is in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What is in `folder` and not hidden, sorted.
pub(crate) fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |cause| Error::read(folder, cause);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// All files below `folder`, sorted, but for those that are hidden or in hidden folders.
///
/// Links between folders may go round in circles, so they are not followed; a link that
/// leads nowhere is among the files, for whoever reads it to refuse.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in children(folder)? {
        let linked = fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
        if path.is_dir() {
            if !linked {
                files.extend(files_below(&path)?);
            }
        } else if path.is_file() || linked {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_are_sorted_and_neither_hidden_nor_behind_linked_folders()
    -> Result<(), Box<dyn std::error::Error>> {
        let temporary = tempfile::tempdir()?;
        let root = temporary.path();
        fs::create_dir_all(root.join("b/.c"))?;
        for file in ["b/2", "b/1", "b/.c/3", ".4", "a"] {
            fs::write(root.join(file), "")?;
        }
        symlink(root, root.join("b/round"))?;
        symlink("nowhere", root.join("broken"))?;
        let found = files_below(root)?;
        assert_eq!(
            found,
            ["a", "b/1", "b/2", "broken"].map(|name| root.join(name))
        );
        Ok(())
    }
}
