//! Arrays as NumPy writes them: `.npy`, and `.npz` archives of them.
//!
//! The format is that of NumPy's enhancement proposal 1
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. Nothing is
//! allocated for what a header promises: memory grows with the bytes that are there.

mod header;
mod write;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use self::header::Header;
pub use self::write::write_f32;
use crate::{Error, Place, Result};

/// Bytes of one array at most, packed or not.
pub const MAX_BYTES: u64 = 1 << 32;

/// Dimensions of one array at most, as in NumPy 1.
const MAX_DIMENSIONS: usize = 32;

/// An array in row-major order, whatever order the file has.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Its sizes; none for a single number.
    pub shape: Vec<usize>,
    /// Its numbers, the last dimension first to move.
    pub numbers: Numbers,
}

/// The numbers of an array, in the narrowest of three types that holds its own; of 64-bit
/// fractions those nearest to them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Numbers {
    /// `uint8` and truth values.
    Bytes(Vec<u8>),
    /// Every other integer.
    Integers(Vec<i64>),
    /// Half, single and double precision.
    Floats(Vec<f32>),
}

impl Array {
    /// Reads a `.npy` file.
    ///
    /// # Errors
    ///
    /// If there is no such file, or it is not an array of numbers, damaged, or larger than
    /// [`MAX_BYTES`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|cause| Error::read(path, cause))?;
        Self::from_reader(&mut BufReader::new(file), &Place::file(path))
    }

    /// Numbers in it.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether it has no numbers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its numbers as fractions.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.numbers {
            Numbers::Bytes(bytes) => bytes.iter().map(|&x| f32::from(x)).collect(),
            Numbers::Integers(integers) => integers.iter().map(|&x| x as f32).collect(),
            Numbers::Floats(floats) => floats.clone(),
        }
    }

    /// Its numbers as integers, if it has integers.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        match &self.numbers {
            Numbers::Bytes(bytes) => Some(bytes.iter().map(|&x| i64::from(x)).collect()),
            Numbers::Integers(integers) => Some(integers.clone()),
            Numbers::Floats(_) => None,
        }
    }

    /// Reads one array from the start of `reader`, to its end.
    fn from_reader(reader: &mut impl Read, at: &Place) -> Result<Self> {
        let header = Header::read(reader, at)?;
        let damaged = |reason| Error::array(at, reason);
        let wanted = header
            .shape
            .iter()
            .try_fold(header.kind.size() as u64, |bytes, &size| {
                bytes.checked_mul(size as u64)
            });
        let wanted = wanted
            .filter(|&bytes| bytes <= MAX_BYTES)
            .ok_or_else(|| damaged(format!("more than {MAX_BYTES} bytes")))?;
        let mut bytes = Vec::new();
        reader
            .take(wanted + 1)
            .read_to_end(&mut bytes)
            .map_err(|cause| Error::array(at, format!("cannot unpack: {cause}")))?;
        if bytes.len() as u64 != wanted {
            let found = match bytes.len() as u64 > wanted {
                true => "there are more".to_owned(),
                false => format!("there are {}", bytes.len()),
            };
            return Err(damaged(format!(
                "the header promises {wanted} bytes of numbers, but {found}"
            )));
        }
        let numbers = header.kind.decode(&bytes, header.big_endian);
        let array = Self {
            shape: header.shape,
            numbers,
        };
        Ok(match header.fortran_order {
            true => array.transposed_layout(),
            false => array,
        })
    }

    /// The same array, whose numbers are given with the first dimension first to move.
    fn transposed_layout(self) -> Self {
        fn reorder<T: Copy>(from: &[T], shape: &[usize]) -> Vec<T> {
            let mut strides = Vec::with_capacity(shape.len());
            let mut stride = 1;
            for &size in shape {
                strides.push(stride);
                stride *= size;
            }
            let mut index = vec![0; shape.len()];
            let mut offset = 0;
            let mut to = Vec::with_capacity(from.len());
            for _ in 0..from.len() {
                to.push(from[offset]);
                for axis in (0..shape.len()).rev() {
                    index[axis] += 1;
                    offset += strides[axis];
                    if index[axis] < shape[axis] {
                        break;
                    }
                    offset -= strides[axis] * shape[axis];
                    index[axis] = 0;
                }
            }
            to
        }
        let shape = &self.shape;
        let numbers = match &self.numbers {
            Numbers::Bytes(x) => Numbers::Bytes(reorder(x, shape)),
            Numbers::Integers(x) => Numbers::Integers(reorder(x, shape)),
            Numbers::Floats(x) => Numbers::Floats(reorder(x, shape)),
        };
        Self {
            shape: self.shape,
            numbers,
        }
    }
}

impl Numbers {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(x) => x.len(),
            Self::Integers(x) => x.len(),
            Self::Floats(x) => x.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A `.npz` archive: arrays by name.
#[derive(Debug)]
pub struct Npz {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    names: Vec<String>,
}

impl Npz {
    /// Opens the archive at `path`, reading only what it has.
    ///
    /// # Errors
    ///
    /// If there is no such file, or it is not an archive.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = File::open(&path).map_err(|cause| Error::read(&path, cause))?;
        let at = Place::file(&path);
        let damaged = |error: zip::result::ZipError| {
            Error::array(&at, format!("not a .npz archive: {error}"))
        };
        let archive = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
        let mut names = Vec::new();
        for name in archive.file_names() {
            let name = name.map_err(damaged)?;
            names.extend(name.strip_suffix(".npy").map(str::to_owned));
        }
        Ok(Self {
            path,
            archive,
            names,
        })
    }

    /// The names of its arrays, in its own order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads the array called `name`.
    ///
    /// # Errors
    ///
    /// If there is none, or it is not an array of numbers, damaged, or larger than
    /// [`MAX_BYTES`].
    pub fn read(&mut self, name: &str) -> Result<Array> {
        let at = Place::file(self.path.join(name));
        if !self.names.iter().any(|known| known == name) {
            return Err(Error::MissingColumn {
                at: Place::file(&self.path),
                column: name.to_owned(),
                columns: self.names.clone(),
            });
        }
        let mut entry = self
            .archive
            .by_name(&format!("{name}.npy"))
            .map_err(|error| Error::array(&at, error.to_string()))?;
        Array::from_reader(&mut entry, &at)
    }
}

#[cfg(test)]
mod tests;
