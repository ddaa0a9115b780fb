//! IDX: the format of MNIST, pictures in one file and labels in another.
//!
//! Four bytes, `0 0 TYPE N`, then `N` sizes of four bytes, highest first, then the
//! numbers (<http://yann.lecun.com/exdb/mnist/>). Only bytes (type 8) are read. Entry
//! `i` of a file is called `FILE[i]` in errors.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::{Item, Take};
use crate::image::decode::MAX_SIDE;
use crate::image::picture::{Colour, Picture};
use crate::image::source::file;
use crate::{Error, Place, Result};

/// A type code: unsigned bytes.
const BYTES: u8 = 8;

/// Two IDX files, gzipped or not.
#[derive(Debug, Clone)]
pub(super) struct Idx {
    pub(super) images: PathBuf,
    pub(super) labels: PathBuf,
}

impl Idx {
    /// The pictures in `images` and their labels, by default in the file that is called
    /// the same but for `labels-idx1` in place of `images-idx3`.
    pub(super) fn new(images: &Path, labels: Option<&Path>) -> Result<Self> {
        let labels = match labels {
            Some(labels) => labels.to_path_buf(),
            None => labels_beside(images).ok_or_else(|| {
                Error::image(
                    &Place::file(images),
                    "no name of a file of labels follows from this one, which lacks `images`",
                    "name the file of labels: `labels`, `val_labels` or `test_labels`",
                )
            })?,
        };
        Ok(Self {
            images: images.to_path_buf(),
            labels,
        })
    }

    pub(super) fn read(&self, take: &mut Take<'_>) -> Result<()> {
        let mut images = Values::open(&self.images)?;
        let (n, height, width, channels) = match images.sizes[..] {
            [n, height, width] => (n, height, width, 1),
            [n, height, width, channels] => (n, height, width, channels),
            _ => return Err(images.wrong("pictures have 3 sizes, or 4 with channels")),
        };
        let (Some(colour), 1..=MAX_SIDE, 1..=MAX_SIDE) = (Colour::of(channels), height, width)
        else {
            return Err(images.wrong("a side has 1 to 16384 pixels, a pixel 1 or 3 channels"));
        };
        let mut labels = Values::open(&self.labels)?;
        let [n_labels] = labels.sizes[..] else {
            return Err(labels.wrong("labels have 1 size"));
        };
        if n_labels != n {
            return Err(labels.wrong(&format!("{} has {n} pictures", self.images.display())));
        }
        for index in 0..n {
            let pixels = images.take(index, height * width * channels)?;
            let label = labels.take(index, 1)?[0];
            let picture = Picture {
                height,
                width,
                colour,
                pixels,
            };
            take(Ok(Item {
                picture,
                label: label.to_string(),
                at: entry(&self.labels, index),
            }))?;
        }
        images.end()?;
        labels.end()
    }
}

fn entry(path: &Path, index: usize) -> Place {
    Place::file(format!("{}[{index}]", path.display()))
}

/// `train-images-idx3-ubyte.gz -> train-labels-idx1-ubyte.gz`
fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let renamed = name.contains("images").then(|| {
        name.replacen("images", "labels", 1)
            .replacen("idx3", "idx1", 1)
    })?;
    Some(images.with_file_name(renamed))
}

/// The numbers of an IDX file, in order.
struct Values {
    path: PathBuf,
    reader: Box<dyn Read>,
    sizes: Vec<usize>,
}

impl Values {
    fn open(path: &Path) -> Result<Self> {
        let mut values = Self {
            path: path.to_path_buf(),
            reader: file::open(path)?,
            sizes: Vec::new(),
        };
        let start: [u8; 4] = values.header()?;
        let [0, 0, kind, n_sizes @ 1..=4] = start else {
            return Err(Error::image(
                &Place::file(path),
                format!("not an IDX file: it starts with the bytes {start:?}"),
                "name a file such as `train-images-idx3-ubyte.gz`, or set `format`",
            ));
        };
        if kind != BYTES {
            return Err(Error::image(
                &Place::file(path),
                format!("an IDX file of type {kind}, not of bytes (8)"),
                "write it anew with bytes",
            ));
        }
        for _ in 0..n_sizes {
            let size = u32::from_be_bytes(values.header()?);
            values.sizes.push(size as usize);
        }
        Ok(values)
    }

    fn header<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(cause) => Err(self.failed(cause, "its header")),
        }
    }

    /// The next `n` numbers, which belong to entry `index`.
    fn take(&mut self, index: usize, n: usize) -> Result<Vec<u8>> {
        // Grows as far as there are bytes: the sizes may lie.
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(n as u64).read_to_end(&mut bytes) {
            Ok(read) if read == n => Ok(bytes),
            Ok(_) => Err(self.failed(ErrorKind::UnexpectedEof.into(), &format!("entry {index}"))),
            Err(cause) => Err(self.failed(cause, &format!("entry {index}"))),
        }
    }

    /// Nothing may follow the last entry.
    fn end(&mut self) -> Result<()> {
        match self.reader.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.wrong("more bytes follow")),
            Err(cause) => Err(self.failed(cause, "its end")),
        }
    }

    fn failed(&self, cause: std::io::Error, part: &str) -> Error {
        let at = Place::file(&self.path);
        let reason = match cause.kind() {
            ErrorKind::UnexpectedEof if self.sizes.is_empty() => format!("ends in {part}"),
            ErrorKind::UnexpectedEof => {
                format!(
                    "says that its sizes are {:?}, but ends in {part}",
                    self.sizes
                )
            }
            _ => format!("cannot read {part}: {cause}"),
        };
        Error::image(&at, reason, "fetch the file again")
    }

    fn wrong(&self, rule: &str) -> Error {
        Error::image(
            &Place::file(&self.path),
            format!("says that its sizes are {:?}, but {rule}", self.sizes),
            "fetch the file again or name another",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_looked_for_beside_their_pictures() {
        for (images, labels) in [
            (
                "a/train-images-idx3-ubyte.gz",
                Some("a/train-labels-idx1-ubyte.gz"),
            ),
            ("images.idx", Some("labels.idx")),
            ("t10k.idx", None),
        ] {
            assert_eq!(
                labels_beside(Path::new(images)),
                labels.map(PathBuf::from),
                "{images}"
            );
        }
    }
}
