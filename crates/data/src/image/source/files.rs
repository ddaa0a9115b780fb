//! Pictures in files of their own, decoded side by side.

use std::path::PathBuf;

use rayon::prelude::*;

use super::{Item, Take};
use crate::image::decode;
use crate::{Place, Result};

/// Files that are decoded before any of them is handed out.
const AHEAD: usize = 256;

/// A file with its class.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) path: PathBuf,
    pub(super) label: String,
    /// What errors call it: the file, or the row that names it.
    pub(super) at: Place,
}

/// Decodes `files` and hands them out in order.
pub(super) fn read(files: &[Listed], take: &mut Take<'_>) -> Result<()> {
    for files in files.chunks(AHEAD) {
        let decoded: Vec<Result<Item>> = files
            .par_iter()
            .map(|Listed { path, label, at }| {
                Ok(Item {
                    picture: decode::open(path, at)?,
                    label: label.clone(),
                    at: at.clone(),
                })
            })
            .collect();
        decoded.into_iter().try_for_each(&mut *take)?;
    }
    Ok(())
}
