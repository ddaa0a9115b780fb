//! Reading.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::decode;
use super::defect::Defect;
use super::error::{Misfit, ModelFileError};
use super::foreign;
use super::header::{Header, TensorInfo};
use super::limits;
use super::misfits::misfits;
use crate::durable::FileError;

/// An open safetensors file whose header has been checked.
#[derive(Debug)]
pub struct ModelFile {
    path: PathBuf,
    file: File,
    /// Position of the first byte of data.
    data: u64,
    header: Header,
}

impl ModelFile {
    /// Opens a file and checks its header; reads no tensor yet.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is of a foreign format ([`refuse_foreign`]) or is not a sound
    /// safetensors file within [`limits`].
    pub fn open(path: &Path) -> Result<Self, ModelFileError> {
        if path.is_file() {
            refuse_foreign(path)?;
        }
        Self::from_open(open_regular(path)?, path)
    }

    /// [`ModelFile::open`] for a file that is open already, from its beginning.
    pub(crate) fn from_open(mut file: File, path: &Path) -> Result<Self, ModelFileError> {
        let failed = |error| FileError::new("read", path, error);
        let defective = |defect| ModelFileError::Defective {
            path: path.to_path_buf(),
            defect,
        };

        let bytes = file.metadata().map_err(failed)?.len();
        if bytes < 8 {
            return Err(defective(Defect::TooShort { bytes }));
        }
        let mut length = [0; 8];
        file.rewind().map_err(failed)?;
        file.read_exact(&mut length).map_err(failed)?;
        let header = u64::from_le_bytes(length);
        if header > bytes - 8 {
            return Err(defective(Defect::HeaderPastEnd { header, bytes }));
        }
        if header > limits::HEADER {
            return Err(defective(Defect::HeaderTooLong { header }));
        }
        let mut json = vec![0; usize::try_from(header).expect("a header has at most 16 MiB")];
        file.read_exact(&mut json).map_err(failed)?;
        let data = 8 + header;
        let header = Header::parse(&json, bytes - data).map_err(defective)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            data,
            header,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The strings of the header, by name.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }

    /// Types and shapes of the tensors, by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.header.tensors
    }

    /// Checks that the file has exactly these tensors, by name and shape.
    ///
    /// # Errors
    ///
    /// [`ModelFileError::Misfits`] with every missing, unexpected and mis-shaped
    /// tensor, in order of name.
    pub fn expect<'a>(
        &self,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<(), ModelFileError> {
        let found = self.tensors().iter();
        let found = found.map(|(name, info)| (name.as_str(), info));
        misfits(&self.path, found, tensors)
    }

    /// Reads one tensor as `f32`, whatever float it is stored as.
    ///
    /// # Errors
    ///
    /// There is no such tensor, it does not hold floats, or the file cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, ModelFileError> {
        // The header was checked against the file's length, so this is no larger
        // than twice the file (f16 widens).
        let mut values = vec![0.0; self.info(name)?.elements()];
        self.read_into(name, &mut values)?;
        Ok(values)
    }

    /// Reads every tensor as an `f32` tensor on `device`, by name, from the beginning of the
    /// file to its end.
    ///
    /// # Errors
    ///
    /// As [`ModelFile::read`], and when the device cannot hold them.
    pub fn read_all(&self, device: &Device) -> Result<BTreeMap<String, Tensor>, ModelFileError> {
        let mut in_order: Vec<(&String, &TensorInfo)> = self.tensors().iter().collect();
        in_order.sort_by_key(|(_, info)| info.range.start);
        let mut tensors = BTreeMap::new();
        for (name, info) in in_order {
            let tensor = Tensor::from_vec(self.read(name)?, info.shape.as_slice(), device)?;
            tensors.insert(name.clone(), tensor);
        }
        Ok(tensors)
    }

    /// Reads one tensor as `f32` into `values`.
    ///
    /// # Errors
    ///
    /// As [`ModelFile::read`], and when the tensor has another number of elements.
    pub fn read_into(&self, name: &str, values: &mut [f32]) -> Result<(), ModelFileError> {
        let info = self.info(name)?;
        if info.elements() != values.len() {
            let misfit = Misfit::Shape {
                name: name.to_owned(),
                found: info.shape.clone(),
                expected: vec![values.len()],
            };
            return Err(ModelFileError::Misfits {
                path: self.path.clone(),
                misfits: vec![misfit],
            });
        }
        let reader = self.reader(name)?;
        let at = self.data + info.range.start;
        decode::read(reader, &self.file, at, info.dtype.size(), values)
            .map_err(|error| FileError::new("read", &self.path, error).into())
    }

    /// How numbers of the type of a tensor are read.
    ///
    /// # Errors
    ///
    /// There is no such tensor, or it does not hold floats.
    pub(super) fn reader(&self, name: &str) -> Result<decode::Reader, ModelFileError> {
        let dtype = self.info(name)?.dtype;
        decode::reader(dtype).ok_or_else(|| ModelFileError::NotWeights {
            path: self.path.clone(),
            tensor: name.to_owned(),
            dtype,
        })
    }

    /// Feeds the bytes of one of its tensors to `hasher`.
    pub(super) fn hash(
        &self,
        info: &TensorInfo,
        hasher: &mut blake3::Hasher,
    ) -> Result<(), ModelFileError> {
        const BUFFER: usize = 1 << 18;
        let length = info.range.end - info.range.start;
        let mut buffer = vec![0; BUFFER.min(usize::try_from(length).unwrap_or(BUFFER))];
        let mut done = 0;
        while done < length {
            let left = usize::try_from(length - done).unwrap_or(BUFFER);
            let bytes = &mut buffer[..left.min(BUFFER)];
            let at = self.data + info.range.start + done;
            self.file
                .read_exact_at(bytes, at)
                .map_err(|error| FileError::new("read", &self.path, error))?;
            hasher.update(bytes);
            done += bytes.len() as u64;
        }
        Ok(())
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, ModelFileError> {
        self.header
            .tensors
            .get(name)
            .ok_or_else(|| ModelFileError::NoSuchTensor {
                path: self.path.clone(),
                tensor: name.to_owned(),
            })
    }
}

/// Opens a regular file for reading; refuses folders, pipes and devices.
///
/// Without blocking: opening a pipe that nobody writes to would wait for ever.
pub(crate) fn open_regular(path: &Path) -> Result<File, ModelFileError> {
    const O_NONBLOCK: i32 = libc::O_NONBLOCK;
    let failed = |error| FileError::new("read", path, error);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(ModelFileError::Defective {
            path: path.to_path_buf(),
            defect: Defect::NotAFile,
        });
    }
    Ok(file)
}

/// Refuses the file at `path` if it is of a format that can be told but is not read; also
/// the folder at `path`, if such a file is all the weights that it has.
///
/// What is neither, or is not there, passes: whoever opens it says what is wrong with it.
///
/// # Errors
///
/// [`ModelFileError::Foreign`], which says how to convert the file.
pub fn refuse_foreign(path: &Path) -> Result<(), ModelFileError> {
    match foreign::find(path) {
        None => Ok(()),
        Some((path, format)) => Err(ModelFileError::Foreign { path, format }),
    }
}
