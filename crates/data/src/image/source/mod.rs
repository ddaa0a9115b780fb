//! Where pictures come from: folders, tables, files of pixels, or the program itself.

pub(crate) mod file;
mod files;
mod folder;
pub(crate) mod generated;
mod idx;
mod manifest;
mod npz;
mod pixels;

use std::path::Path;

use self::files::Listed;
use self::idx::Idx;
use self::npz::Arrays;
use self::pixels::Pixels;
use super::config::{Format, ImageDataConfig};
use super::picture::Picture;
use crate::{Place, Result};

/// A picture and the class that is written beside it.
pub(super) struct Item {
    pub(super) picture: Picture,
    pub(super) label: String,
    pub(super) at: Place,
}

/// Takes the pictures of a source in their order, and those that cannot be used as the
/// errors they are.
pub(super) type Take<'a> = dyn FnMut(Result<Item>) -> Result<()> + 'a;

/// Pictures that can be read.
pub(super) struct Source(Origin);

enum Origin {
    Files(Vec<Listed>),
    Pixels(Pixels),
    Idx(Idx),
    Npz(Arrays),
    Generated(usize),
}

impl Source {
    /// The pictures at `path`, with their labels in the file `labels` if they are
    /// beside them.
    ///
    /// # Errors
    ///
    /// A folder or table of files that cannot be read.
    pub(super) fn open(
        path: &Path,
        labels: Option<&Path>,
        config: &ImageDataConfig,
    ) -> Result<Self> {
        if path == Path::new(generated::NAME) {
            return Ok(Self(Origin::Generated(config.samples())));
        }
        let label_column = config.label_column();
        Ok(Self(match config.format_of(path) {
            Format::Folder => Origin::Files(folder::list(path)?),
            Format::Manifest => Origin::Files(manifest::list(
                path,
                config.image_column().unwrap_or("path"),
                label_column.unwrap_or("label"),
            )?),
            Format::Pixels => Origin::Pixels(Pixels {
                path: path.to_path_buf(),
                size: config.size(),
                max_value: config.max_value().unwrap_or(255.0),
                label_column: label_column.map(str::to_string),
            }),
            Format::Idx => Origin::Idx(Idx::new(path, labels)?),
            Format::Npz => Origin::Npz(Arrays {
                path: path.to_path_buf(),
                images: config.image_column().unwrap_or("images").to_string(),
                labels: label_column.unwrap_or("labels").to_string(),
                max_value: config.max_value(),
            }),
        }))
    }

    /// Hands every picture to `take`.
    ///
    /// # Errors
    ///
    /// What `take` returns, and damage that leaves no next picture.
    pub(super) fn read(&self, take: &mut Take<'_>) -> Result<()> {
        match &self.0 {
            Origin::Files(files) => files::read(files, take),
            Origin::Pixels(pixels) => pixels.read(take),
            Origin::Idx(idx) => idx.read(take),
            Origin::Npz(arrays) => arrays.read(take),
            Origin::Generated(n) => generated::read(*n, take),
        }
    }
}
