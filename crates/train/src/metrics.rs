//! `metrics.jsonl`: what a run measured, one object a line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use models::Scores;
use serde::Serialize;

use crate::durable::FileError;

/// The part of the data that something was measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What is learnt from.
    Train,
    /// What the best model is chosen by.
    Val,
    /// What is looked at once, at the end.
    Test,
}

impl Split {
    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// One line. What was not measured is left out; what is not finite is `null`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Record {
    /// Updates made so far.
    pub step: u64,
    /// What it was measured on.
    pub split: Split,
    /// Mean loss.
    pub loss: f64,
    /// Learning rate of the last update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Norm of the whole gradient before clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grad_norm: Option<f64>,
    /// Positions processed in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<f64>,
    /// Seconds of training so far, those before a resume included.
    pub elapsed_s: f64,
    /// `accuracy` where there are classes, and what else applies.
    #[serde(flatten)]
    pub scores: Scores,
}

/// The open file. Lines are only ever added at its end.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    file: File,
    bytes: u64,
}

/// What resuming took from the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// Lines after the checkpoint, which the resumed run writes again.
    pub lines: usize,
    /// Bytes that the checkpoint knew of and that are gone: the file was changed.
    pub missing: u64,
}

impl MetricsFile {
    /// Begins an empty file.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        Self::resume(path, 0).map(|(file, _)| file)
    }

    /// Goes on after the first `bytes` bytes, the length at the time of a checkpoint.
    ///
    /// Later lines are cut off: the run is about to write them again. A file that has
    /// been shortened since is gone on with after its last whole line.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written.
    pub fn resume(path: &Path, bytes: u64) -> Result<(Self, Cut), FileError> {
        let failed = |error| FileError::new("write", path, error);
        let old = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            outcome => outcome.map_err(|error| FileError::new("read", path, error))?,
        };
        let known = usize::try_from(bytes).unwrap_or(usize::MAX).min(old.len());
        let keep = old[..known]
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        let cut = Cut {
            lines: old[keep..].split_inclusive(|&b| b == b'\n').count(),
            missing: bytes - keep as u64,
        };
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        if keep < old.len() {
            file.set_len(keep as u64).map_err(failed)?;
        }
        let metrics = Self {
            path: path.to_path_buf(),
            file,
            bytes: keep as u64,
        };
        Ok((metrics, cut))
    }

    /// Adds a line, at once visible to other processes.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<(), FileError> {
        let mut line = serde_json::to_vec(record)
            .map_err(|error| FileError::new("write", &self.path, error.into()))?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .map_err(|error| FileError::new("write", &self.path, error))?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Brings the lines to the disk; returns their length in bytes, which belongs in
    /// the checkpoint that follows.
    ///
    /// # Errors
    ///
    /// The file cannot be synced.
    pub fn sync(&mut self) -> Result<u64, FileError> {
        self.file
            .sync_data()
            .map_err(|error| FileError::new("sync", &self.path, error))?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    fn record(step: u64, loss: f64) -> Record {
        Record {
            step,
            split: Split::Train,
            loss,
            lr: Some(1e-3),
            grad_norm: Some(0.5),
            tokens_per_s: Some(1000.0),
            elapsed_s: 1.25,
            scores: Scores::default(),
        }
    }

    fn steps(path: &Path) -> Result<Vec<u64>> {
        let text = fs::read_to_string(path)?;
        let parse = |line: &str| -> Result<u64> {
            let value: serde_json::Value = serde_json::from_str(line)?;
            Ok(value["step"].as_u64().ok_or("no step")?)
        };
        text.lines().map(parse).collect()
    }

    #[test]
    fn a_line_has_the_documented_keys_in_order() -> Result {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("metrics.jsonl");
        let mut metrics = MetricsFile::create(&path)?;
        metrics.append(&record(7, 2.5))?;
        metrics.append(&Record {
            split: Split::Val,
            lr: None,
            grad_norm: None,
            tokens_per_s: None,
            scores: Scores {
                accuracy: Some(0.75),
                ..Scores::default()
            },
            ..record(7, 2.0)
        })?;
        let text = fs::read_to_string(&path)?;
        assert_eq!(
            text,
            "{\"step\":7,\"split\":\"train\",\"loss\":2.5,\"lr\":0.001,\"grad_norm\":0.5,\
             \"tokens_per_s\":1000.0,\"elapsed_s\":1.25}\n\
             {\"step\":7,\"split\":\"val\",\"loss\":2.0,\"elapsed_s\":1.25,\"accuracy\":0.75}\n"
        );
        assert_eq!(metrics.sync()?, text.len() as u64);
        Ok(())
    }

    #[test]
    fn what_is_not_finite_is_null_and_the_line_stays_json() -> Result {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("metrics.jsonl");
        let mut metrics = MetricsFile::create(&path)?;
        metrics.append(&Record {
            grad_norm: Some(f64::INFINITY),
            ..record(0, f64::NAN)
        })?;
        let value: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        assert!(value["loss"].is_null() && value["grad_norm"].is_null());
        Ok(())
    }

    #[test]
    fn resuming_cuts_what_comes_after_the_checkpoint() -> Result {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("metrics.jsonl");
        let mut metrics = MetricsFile::create(&path)?;
        metrics.append(&record(0, 1.0))?;
        let bytes = metrics.sync()?;
        metrics.append(&record(1, 1.0))?;
        metrics.append(&record(2, 1.0))?;
        metrics.file.write_all(b"{\"step\":3,\"spl")?; // killed in the middle
        drop(metrics);

        let (mut metrics, cut) = MetricsFile::resume(&path, bytes)?;
        assert_eq!(
            cut,
            Cut {
                lines: 3,
                missing: 0
            }
        );
        metrics.append(&record(1, 1.0))?;
        assert_eq!(steps(&path)?, [0, 1]);
        assert_eq!(metrics.sync()?, fs::metadata(&path)?.len());
        Ok(())
    }

    #[test]
    fn a_file_that_was_shortened_or_removed_is_gone_on_with() -> Result {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("metrics.jsonl");
        fs::write(&path, "{\"step\":0}\n{\"st")?;
        let (mut metrics, cut) = MetricsFile::resume(&path, 100)?;
        assert_eq!(
            cut,
            Cut {
                lines: 1,
                missing: 89
            }
        );
        metrics.append(&record(5, 1.0))?;
        assert_eq!(steps(&path)?, [0, 5]);

        fs::remove_file(&path)?;
        let (mut metrics, cut) = MetricsFile::resume(&path, 100)?;
        assert_eq!(
            cut,
            Cut {
                lines: 0,
                missing: 100
            }
        );
        metrics.append(&record(6, 1.0))?;
        assert_eq!(steps(&path)?, [6]);
        Ok(())
    }

    #[test]
    fn a_full_disk_is_an_error() -> Result {
        let path = Path::new("/dev/full");
        if !path.exists() {
            return Ok(()); // the device is Linux's
        }
        let mut metrics = MetricsFile {
            path: path.to_path_buf(),
            file: OpenOptions::new().append(true).open(path)?,
            bytes: 0,
        };
        let error = metrics
            .append(&record(0, 1.0))
            .expect_err("the disk is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        Ok(())
    }
}
