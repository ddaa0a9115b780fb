//! Weights of a model, in one file or in several.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::error::ModelFileError;
use super::header::TensorInfo;
use super::index::{INDEX, IndexDefect, ShardIndex, beside};
use super::limits;
use super::misfits::misfits;
use super::read::{ModelFile, open_regular, refuse_foreign};
use crate::durable::FileError;

/// Name of a file of weights in a folder.
const SINGLE: &str = "model.safetensors";

/// Weights whose headers have been checked, whether they are in one safetensors file or in
/// the shards of an index: either all of them or an error.
#[derive(Debug)]
pub struct Weights {
    /// The file, or the index.
    path: PathBuf,
    files: Vec<ModelFile>,
    /// Which of the files has each tensor.
    places: BTreeMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

impl Weights {
    /// Opens the weights at `path`: a `.safetensors` file, an index of shards, or a folder
    /// with `model.safetensors` or `model.safetensors.index.json`, in this order.
    ///
    /// # Errors
    ///
    /// There is no such file; one is not sound; the index is not, or does not agree with
    /// its shards; shards are missing; or the weights are of a foreign format
    /// ([`refuse_foreign`]).
    pub fn open(path: &Path) -> Result<Self, ModelFileError> {
        if !path.is_dir() {
            return match is_index(path) {
                true => Self::open_shards(path),
                false => Ok(Self::single(ModelFile::open(path)?)),
            };
        }
        let (single, index) = (path.join(SINGLE), path.join(INDEX));
        // A link to nowhere is there: opening it says what is wrong.
        if single.symlink_metadata().is_err() && index.symlink_metadata().is_ok() {
            return Self::open_shards(&index);
        }
        if single.symlink_metadata().is_err() {
            refuse_foreign(path)?;
        }
        Ok(Self::single(ModelFile::open(&single)?))
    }

    /// The weights of one file.
    pub fn single(file: ModelFile) -> Self {
        let names = file.tensors().keys();
        Self {
            path: file.path().to_path_buf(),
            places: names.map(|name| (name.clone(), 0)).collect(),
            metadata: file.metadata().clone(),
            files: vec![file],
        }
    }

    fn open_shards(path: &Path) -> Result<Self, ModelFileError> {
        let unsound = |defect| ModelFileError::Index {
            path: path.to_path_buf(),
            defect,
        };
        let index = ShardIndex::parse(&read_index(path)?).map_err(unsound)?;
        let names: Vec<&str> = index.shards().into_iter().collect();
        let is_missing = |name: &&&str| beside(path, name).symlink_metadata().is_err();
        let missing: Vec<String> = names
            .iter()
            .filter(is_missing)
            .map(|name| (*name).to_owned())
            .collect();
        if !missing.is_empty() {
            return Err(ModelFileError::MissingShards {
                path: path.to_path_buf(),
                shards: missing,
            });
        }
        let files = names
            .iter()
            .map(|name| ModelFile::open(&beside(path, name)))
            .collect::<Result<Vec<_>, _>>()?;
        let places = place(&index, &names, &files).map_err(unsound)?;
        let mut metadata = BTreeMap::new();
        for file in &files {
            for (key, value) in file.metadata() {
                metadata.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            files,
            places,
            metadata,
        })
    }

    /// The file, or the index of the shards.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many files the weights are in.
    pub fn n_files(&self) -> usize {
        self.files.len()
    }

    /// The strings of the header, by name; of those that several shards have, those of the
    /// first shard in order of name.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Names of the tensors with their types and shapes, in order of name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.places
            .iter()
            .map(|(name, &file)| (name.as_str(), &self.files[file].tensors()[name]))
    }

    /// Type and shape of one tensor, if it is there.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.files[*self.places.get(name)?].tensors().get(name)
    }

    /// Checks that there are exactly these tensors, by name and shape.
    ///
    /// # Errors
    ///
    /// [`ModelFileError::Misfits`] with every missing, unexpected and mis-shaped tensor, in
    /// order of name.
    pub fn expect<'a>(
        &self,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<(), ModelFileError> {
        misfits(&self.path, self.tensors(), tensors)
    }

    /// Checks that a tensor can be read, without reading it.
    ///
    /// # Errors
    ///
    /// There is no such tensor, or it does not hold floats.
    pub fn check(&self, name: &str) -> Result<(), ModelFileError> {
        self.file_of(name)?.reader(name).map(drop)
    }

    /// Reads one tensor as `f32`, whatever float it is stored as.
    ///
    /// # Errors
    ///
    /// There is no such tensor, it does not hold floats, or a file cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, ModelFileError> {
        self.file_of(name)?.read(name)
    }

    /// Reads one tensor as `f32` into `values`.
    ///
    /// # Errors
    ///
    /// As [`Weights::read`], and when the tensor has another number of elements.
    pub fn read_into(&self, name: &str, values: &mut [f32]) -> Result<(), ModelFileError> {
        self.file_of(name)?.read_into(name, values)
    }

    /// Reads every tensor as an `f32` tensor on `device`, by name.
    ///
    /// # Errors
    ///
    /// As [`Weights::read`], and when the device cannot hold them.
    pub fn read_all(&self, device: &Device) -> Result<BTreeMap<String, Tensor>, ModelFileError> {
        let mut all = BTreeMap::new();
        for file in &self.files {
            all.append(&mut file.read_all(device)?);
        }
        Ok(all)
    }

    /// BLAKE3 of all tensors: their names, types, shapes and bytes, in order of name.
    ///
    /// It does not depend on how the tensors are spread over files, nor on metadata.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn fingerprint(&self) -> Result<blake3::Hash, ModelFileError> {
        let mut hasher = blake3::Hasher::new();
        let number = |hasher: &mut blake3::Hasher, n: usize| {
            hasher.update(&(n as u64).to_le_bytes());
        };
        for (name, &file) in &self.places {
            let file = &self.files[file];
            let info = &file.tensors()[name];
            let dtype = info.dtype.to_string();
            for text in [name, &dtype] {
                number(&mut hasher, text.len());
                hasher.update(text.as_bytes());
            }
            number(&mut hasher, info.shape.len());
            for &size in &info.shape {
                number(&mut hasher, size);
            }
            file.hash(info, &mut hasher)?;
        }
        Ok(hasher.finalize())
    }

    fn file_of(&self, name: &str) -> Result<&ModelFile, ModelFileError> {
        let place = self.places.get(name);
        place
            .map(|&file| &self.files[file])
            .ok_or_else(|| ModelFileError::NoSuchTensor {
                path: self.path.clone(),
                tensor: name.to_owned(),
            })
    }
}

/// Whether the file's name is that of an index.
fn is_index(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.ends_with(".safetensors.index.json"))
}

fn read_index(path: &Path) -> Result<Vec<u8>, ModelFileError> {
    let mut json = Vec::new();
    let mut file = open_regular(path)?.take(limits::HEADER + 1);
    file.read_to_end(&mut json)
        .map_err(|error| FileError::new("read", path, error))?;
    let bytes = json.len() as u64;
    match bytes > limits::HEADER {
        true => Err(ModelFileError::Index {
            path: path.to_path_buf(),
            defect: IndexDefect::TooLong { bytes },
        }),
        false => Ok(json),
    }
}

/// Which of `files`, called `names`, has each tensor of the index, if they agree with it.
fn place(
    index: &ShardIndex,
    names: &[&str],
    files: &[ModelFile],
) -> Result<BTreeMap<String, usize>, IndexDefect> {
    let mut places = BTreeMap::new();
    for (tensor, shard) in &index.weight_map {
        let at = names.binary_search(&shard.as_str());
        match at
            .ok()
            .filter(|&at| files[at].tensors().contains_key(tensor))
        {
            Some(at) => places.insert(tensor.clone(), at),
            None => {
                return Err(IndexDefect::NotInShard {
                    tensor: tensor.clone(),
                    file: shard.clone(),
                });
            }
        };
    }
    for (at, file) in files.iter().enumerate() {
        for tensor in file.tensors().keys() {
            let (tensor, file) = (tensor.clone(), names[at].to_owned());
            match places.get(&tensor) {
                Some(&place) if place == at => {}
                Some(&place) => {
                    return Err(IndexDefect::Twice {
                        tensor,
                        first: names[place].to_owned(),
                        second: file,
                    });
                }
                None => return Err(IndexDefect::NotNamed { tensor, file }),
            }
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests;
