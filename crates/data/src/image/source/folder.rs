//! A folder for each class.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::Listed;
use crate::{Error, Place, Result};

/// Extensions of the files that are pictures; others are passed over.
const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// The pictures in the folders of `root`, in the order of their names; a class is
/// called as its folder.
///
/// # Errors
///
/// A folder that cannot be read, is no folder of folders, or has a class without
/// pictures.
pub(super) fn list(root: &Path) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for class in children(root)?.into_iter().filter(|path| path.is_dir()) {
        let label = class.file_name().unwrap_or_default().to_string_lossy();
        let mut files = Vec::new();
        walk(&class, &mut files)?;
        if files.is_empty() {
            return Err(Error::image(
                &Place::file(&class),
                "no .png, .jpg or .jpeg in the folder of this class",
                "add some or remove the folder",
            ));
        }
        listed.extend(files.into_iter().map(|path| Listed {
            label: label.to_string(),
            at: Place::file(&path),
            path,
        }));
    }
    match listed.is_empty() {
        true => Err(Error::image(
            &Place::file(root),
            "no folders in this folder, which should have one a class",
            "move the pictures of each class into a folder of its name, or name a table of \
             paths and labels",
        )),
        false => Ok(listed),
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for path in children(folder)? {
        let linked = fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
        if path.is_dir() {
            // Links between folders may go round in circles.
            if !linked {
                walk(&path, files)?;
            }
        } else if is_picture(&path) {
            files.push(path);
        }
    }
    Ok(())
}

/// What is in `folder` and not hidden, sorted.
fn children(folder: &Path) -> Result<Vec<PathBuf>> {
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

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    EXTENSIONS.iter().any(|known| extension == *known)
}
