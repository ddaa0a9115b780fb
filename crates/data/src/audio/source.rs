//! Where clips are: a folder for each class, or a manifest.

mod folder;
mod inside;
mod manifest;
mod segments;

use std::path::Path;

use super::AudioDataConfig;
use super::entry::Entry;
use super::targets::Asked;
use crate::Result;

/// The clips that are found at `path`: of a folder those in its folders, by class and name;
/// of a manifest its rows.
///
/// # Errors
///
/// If there is nothing, or a row is wrong.
pub(super) fn entries(path: &Path, config: &AudioDataConfig, asked: Asked) -> Result<Vec<Entry>> {
    match path.is_dir() {
        true => folder::entries(path),
        false => manifest::entries(path, config, asked),
    }
}
