//! Reading one checkpoint.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::manifest::{FileRecord, Identity, Manifest};
use super::state::State;
use super::{EMA, MANIFEST, MODEL, OPTIMIZER, STATE};
use crate::durable::FileError;
use crate::model_file::{ModelFile, open_regular};

/// Most bytes of a JSON file; ours have a few hundred.
const MAX_JSON: u64 = 1 << 20;

/// A checkpoint whose every byte has been compared with its manifest.
///
/// The tensors are read from the files that were compared, also if others take
/// their names meanwhile.
#[derive(Debug)]
pub struct Checkpoint {
    /// The folder.
    pub path: PathBuf,
    /// What it consists of.
    pub manifest: Manifest,
    /// Where the run is.
    pub state: State,
    /// The weights.
    pub model: ModelFile,
    /// What the optimiser remembers.
    pub optimizer: ModelFile,
    /// The moving average of the weights.
    pub ema: Option<ModelFile>,
}

impl Checkpoint {
    /// Opens the checkpoint in the folder `path`.
    ///
    /// # Errors
    ///
    /// A file is missing, damaged, too many, of another step, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let manifest_path = path.join(MANIFEST);
        let mut file = open_file(&manifest_path)?;
        let manifest = Manifest::parse(&read_json(&mut file, &manifest_path)?, &manifest_path)?;
        check_names(path, &manifest)?;

        let open = |name: &str| -> Result<File, CheckpointError> {
            let path = path.join(name);
            match manifest.files.get(name) {
                Some(record) => open_verified(&path, record),
                None => Err(CheckpointError::damaged(
                    &path,
                    "the manifest does not have it",
                )),
            }
        };
        let weights = |name: &str| -> Result<ModelFile, CheckpointError> {
            Ok(ModelFile::from_open(open(name)?, &path.join(name))?)
        };

        let state_path = path.join(STATE);
        let state: State = serde_json::from_slice(&read_json(&mut open(STATE)?, &state_path)?)
            .map_err(|error| CheckpointError::damaged(&state_path, error.to_string()))?;
        if state.step != manifest.step {
            let what = format!(
                "it is of step {}, the manifest of step {}",
                state.step, manifest.step
            );
            return Err(CheckpointError::damaged(&state_path, what));
        }
        let ema = manifest
            .files
            .contains_key(EMA)
            .then(|| weights(EMA))
            .transpose()?;
        Ok(Self {
            path: path.to_path_buf(),
            model: weights(MODEL)?,
            optimizer: weights(OPTIMIZER)?,
            state,
            ema,
            manifest,
        })
    }

    /// Checks that the checkpoint belongs to this run.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::OtherRun`].
    pub fn check_identity(&self, identity: &Identity) -> Result<(), CheckpointError> {
        self.manifest.check_identity(identity, &self.path)
    }
}

/// Checks that the folder holds the manifest's files and no others.
fn check_names(path: &Path, manifest: &Manifest) -> Result<(), CheckpointError> {
    let failed = |error| FileError::new("read", path, error);
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        found.insert(entry.map_err(failed)?.file_name());
    }
    found.remove(std::ffi::OsStr::new(MANIFEST));
    for name in manifest.files.keys() {
        if ![MODEL, OPTIMIZER, EMA, STATE].contains(&name.as_str()) {
            return Err(CheckpointError::damaged(
                path,
                format!("`{name}` is no file of a checkpoint"),
            ));
        }
        if !found.remove(std::ffi::OsStr::new(name)) {
            return Err(CheckpointError::damaged(
                &path.join(name),
                "the file is missing",
            ));
        }
    }
    match found.first() {
        Some(name) => Err(CheckpointError::damaged(
            &path.join(name),
            "the file does not belong here",
        )),
        None => Ok(()),
    }
}

/// Opens a file and compares it with its record.
fn open_verified(path: &Path, record: &FileRecord) -> Result<File, CheckpointError> {
    let failed = |error| FileError::new("read", path, error);
    let mut file = open_file(path)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes != record.bytes {
        let what = format!("it has {bytes} bytes instead of {}", record.bytes);
        return Err(CheckpointError::damaged(path, what));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file).map_err(failed)?;
    if hasher.finalize().to_hex().as_str() != record.blake3 {
        return Err(CheckpointError::damaged(
            path,
            "its contents do not match its hash",
        ));
    }
    file.rewind().map_err(failed)?;
    Ok(file)
}

fn open_file(path: &Path) -> Result<File, CheckpointError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(CheckpointError::damaged(path, "the file is missing"))
        }
        _ => Ok(open_regular(path)?),
    }
}

fn read_json(file: &mut File, path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let mut bytes = Vec::new();
    file.take(MAX_JSON + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| FileError::new("read", path, error))?;
    if bytes.len() as u64 > MAX_JSON {
        return Err(CheckpointError::damaged(path, "it is far too long"));
    }
    Ok(bytes)
}
