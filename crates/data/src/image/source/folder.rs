//! A folder for each class.

use std::path::Path;

use super::files::Listed;
use crate::folder::{children, files_below};
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
        let mut files = files_below(&class)?;
        files.retain(|path| is_picture(path));
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

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    EXTENSIONS.iter().any(|known| extension == *known)
}
