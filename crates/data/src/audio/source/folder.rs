//! A folder with a folder for each class.

use std::collections::BTreeMap;
use std::path::Path;

use crate::audio::entry::Entry;
use crate::folder::children;
use crate::{Error, Place, Result};

/// The files in the folders of `path`, which name their class; hidden ones are passed over.
pub(super) fn entries(path: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for class in children(path)?.into_iter().filter(|path| path.is_dir()) {
        let label = class.file_name().unwrap_or_default().to_string_lossy();
        for file in children(&class)?.into_iter().filter(|path| path.is_file()) {
            entries.push(Entry {
                at: Place::file(&file),
                path: file,
                array: None,
                offset: 0.0,
                duration: None,
                label: label.to_string(),
                segments: Vec::new(),
                columns: BTreeMap::new(),
            });
        }
    }
    match entries.is_empty() {
        true => Err(Error::sound(
            &Place::file(path),
            "no folder with files in it",
            "make a folder for each class, or name a manifest",
        )),
        false => Ok(entries),
    }
}
