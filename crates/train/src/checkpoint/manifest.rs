//! What a checkpoint consists of, and what it belongs to.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::CheckpointError;
use crate::durable::Stamp;

/// Number of the layout of files; raised when an older reader would misread it.
const FORMAT: u64 = 1;

/// The run that a checkpoint belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Hash of the configuration, less what may change between resumes.
    pub config: blake3::Hash,
    /// Hash of the data, as the dataset tells it.
    pub data: blake3::Hash,
}

/// `MANIFEST.json`.
///
/// Its bytes are a function of its contents, and its `seal` is the hash of those
/// bytes with an empty seal: there is no byte that can change unnoticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Number of the layout.
    pub format: u64,
    /// Updates made.
    pub step: u64,
    /// Hash of the configuration, in hexadecimal.
    pub config: String,
    /// Hash of the data, in hexadecimal.
    pub data: String,
    /// Version of the program that wrote the checkpoint.
    pub version: String,
    /// Architecture and vector instructions of the machine that wrote it.
    pub machine: String,
    /// Step of the checkpoint that was saved or resumed from before; none at first.
    pub parent: Option<u64>,
    /// The other files, by name.
    pub files: BTreeMap<String, FileRecord>,
    seal: String,
}

/// One file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Length.
    pub bytes: u64,
    /// Hash of the contents, in hexadecimal.
    pub blake3: String,
}

impl From<Stamp> for FileRecord {
    fn from(stamp: Stamp) -> Self {
        Self {
            bytes: stamp.bytes,
            blake3: stamp.blake3.to_hex().to_string(),
        }
    }
}

impl Manifest {
    pub(super) fn new(
        step: u64,
        parent: Option<u64>,
        identity: &Identity,
        files: BTreeMap<String, FileRecord>,
    ) -> Self {
        let mut manifest = Self {
            format: FORMAT,
            step,
            config: identity.config.to_hex().to_string(),
            data: identity.data.to_hex().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: super::machine::describe(),
            parent,
            files,
            seal: String::new(),
        };
        manifest.seal = manifest.expected_seal();
        manifest
    }

    /// The contents of `MANIFEST.json`.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("strings and numbers are always JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the contents of the file at `path`.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let unreadable = |error: serde_json::Error| {
            CheckpointError::damaged(path, format!("it is not valid: {error}"))
        };
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(unreadable)?;
        // Another version may have other fields, so its seal cannot always be told.
        let other_format = |found| CheckpointError::OtherFormat {
            path: path.to_path_buf(),
            found,
            expected: FORMAT,
        };
        let format = value["format"].as_u64().filter(|&format| format != FORMAT);
        let manifest: Self = match (serde_json::from_value(value), format) {
            (Ok(manifest), _) => manifest,
            (Err(_), Some(format)) => return Err(other_format(format)),
            (Err(error), None) => return Err(unreadable(error)),
        };
        if manifest.bytes() != bytes || manifest.seal != manifest.expected_seal() {
            let what = "its contents do not match its seal";
            return Err(CheckpointError::damaged(path, what));
        }
        match format {
            Some(format) => Err(other_format(format)),
            None => Ok(manifest),
        }
    }

    /// Checks that the checkpoint at `path` belongs to this run.
    pub(super) fn check_identity(
        &self,
        identity: &Identity,
        path: &Path,
    ) -> Result<(), CheckpointError> {
        let other = |what| CheckpointError::OtherRun {
            path: path.to_path_buf(),
            what,
        };
        if self.config != identity.config.to_hex().as_str() {
            return Err(other("configuration"));
        }
        if self.data != identity.data.to_hex().as_str() {
            return Err(other("data"));
        }
        let machine = super::machine::describe();
        if self.machine != machine {
            tracing::warn!(
                "{}: written on {}, this is {machine}; the last bits may differ",
                path.display(),
                self.machine
            );
        }
        Ok(())
    }

    fn expected_seal(&self) -> String {
        let open = Self {
            seal: String::new(),
            ..self.clone()
        };
        blake3::hash(&open.bytes()).to_hex().to_string()
    }
}
