//! The checkpoints of a run: saving, finding the newest, keeping the right ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::error::CheckpointError;
use super::manifest::{FileRecord, Identity, Manifest};
use super::open::Checkpoint;
use super::state::State;
use super::{EMA, MANIFEST, MODEL, OPTIMIZER, STATE};
use crate::durable::{self, Disk, FileError, OsDisk, StagedDir};
use crate::model_file::{NamedTensor, write_tensors};

const PREFIX: &str = "step-";

/// The folder `checkpoints/` of a run.
pub struct Checkpoints {
    dir: PathBuf,
    keep: usize,
    identity: Identity,
    /// Step of the last checkpoint that was saved or resumed from.
    last: Option<u64>,
    disk: Rc<dyn Disk>,
}

/// What is saved of a run; borrowed, nothing is copied.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    /// Where the run is.
    pub state: &'a State,
    /// The weights.
    pub model: &'a [NamedTensor<'a>],
    /// Strings for the header of the weights, such as the configuration.
    pub metadata: &'a BTreeMap<String, String>,
    /// What the optimiser remembers.
    pub optimizer: &'a [NamedTensor<'a>],
    /// The moving average of the weights.
    pub ema: Option<&'a [NamedTensor<'a>]>,
}

impl Checkpoints {
    /// The checkpoints in `dir`, which must exist, of which the newest `keep` and
    /// those that are the best are kept.
    pub fn new(dir: &Path, keep: usize, identity: Identity) -> Self {
        Self::on_disk(dir, keep, identity, Rc::new(OsDisk))
    }

    /// [`Checkpoints::new`] on any disk.
    pub(crate) fn on_disk(dir: &Path, keep: usize, identity: Identity, disk: Rc<dyn Disk>) -> Self {
        Self {
            dir: dir.to_path_buf(),
            keep,
            identity,
            last: None,
            disk,
        }
    }

    /// The folder of the checkpoint of `step`.
    pub fn path(&self, step: u64) -> PathBuf {
        self.dir.join(format!("{PREFIX}{step:08}"))
    }

    /// The newest checkpoint that is sound; `None` where there is none at all.
    ///
    /// Damaged ones are told of by a warning and passed over.
    ///
    /// # Errors
    ///
    /// There are checkpoints but none is sound, or the newest sound one belongs to
    /// another configuration or other data.
    pub fn newest(&mut self) -> Result<Option<Checkpoint>, CheckpointError> {
        let mut damaged = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            match self.open(step) {
                Ok(checkpoint) => {
                    checkpoint.check_identity(&self.identity)?;
                    for error in &damaged {
                        tracing::warn!("{error}");
                    }
                    if !damaged.is_empty() {
                        tracing::warn!("going on from {} instead", checkpoint.path.display());
                    }
                    self.last = Some(step);
                    return Ok(Some(checkpoint));
                }
                Err(error) => damaged.push(error),
            }
        }
        match damaged.is_empty() {
            true => Ok(None),
            false => Err(CheckpointError::NoneUsable {
                newest: Box::new(damaged.swap_remove(0)),
                damaged: damaged.len(),
            }),
        }
    }

    /// Opens the checkpoint of `step`.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`], and when the folder holds another step.
    pub fn open(&self, step: u64) -> Result<Checkpoint, CheckpointError> {
        let path = self.path(step);
        let checkpoint = Checkpoint::open(&path)?;
        if checkpoint.manifest.step != step {
            let what = format!("it holds step {}", checkpoint.manifest.step);
            return Err(CheckpointError::damaged(&path, what));
        }
        Ok(checkpoint)
    }

    /// Saves a state, then removes those that need not be kept; returns its folder.
    ///
    /// When this returns, the checkpoint is on the disk. A state of the step that was
    /// saved last is the same state and is not written again.
    ///
    /// # Errors
    ///
    /// Something cannot be written. The older checkpoints are still there.
    pub fn save(&mut self, snapshot: &Snapshot<'_>) -> Result<PathBuf, FileError> {
        let step = snapshot.state.step;
        let path = self.path(step);
        if self.last == Some(step) {
            return Ok(path);
        }
        self.set_aside(&path)?;
        let staged = StagedDir::create(&*self.disk, &path)?;
        let mut files: BTreeMap<String, FileRecord> = BTreeMap::new();
        let none = BTreeMap::new();
        for (name, metadata, tensors) in [
            (MODEL, snapshot.metadata, Some(snapshot.model)),
            (OPTIMIZER, &none, Some(snapshot.optimizer)),
            (EMA, snapshot.metadata, snapshot.ema),
        ] {
            if let Some(tensors) = tensors {
                let stamp = staged.write(name, |w| write_tensors(w, metadata, tensors))?;
                files.insert(name.to_owned(), stamp.into());
            }
        }
        let stamp = staged.write(STATE, |w| {
            serde_json::to_writer_pretty(&mut *w, snapshot.state)?;
            w.write_all(b"\n")
        })?;
        files.insert(STATE.to_owned(), stamp.into());
        let manifest = Manifest::new(step, self.last, &self.identity, files);
        staged.write(MANIFEST, |w| w.write_all(&manifest.bytes()))?;
        staged.commit()?;
        self.last = Some(step);
        self.rotate(snapshot.state)?;
        Ok(path)
    }

    /// Renames what is at `path`: a damaged checkpoint that [`Checkpoints::newest`]
    /// passed over and that the run has come to again.
    fn set_aside(&self, path: &Path) -> Result<(), FileError> {
        if fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            return Ok(());
        }
        let aside = (1..)
            .map(|n| path.with_extension(format!("damaged-{n}")))
            .find(|aside| !aside.exists())
            .expect("there are more numbers than folders");
        tracing::warn!(
            "{}: replaced; the old one is {}",
            path.display(),
            aside.display()
        );
        let failed = |error| FileError::new("rename", path, error);
        self.disk.rename(path, &aside).map_err(failed)
    }

    /// Removes the checkpoints up to the one of `newest` but for the last `keep` and
    /// the best.
    ///
    /// Later steps, left by an attempt whose newest checkpoints were damaged, are not
    /// this run's to remove.
    fn rotate(&self, newest: &State) -> Result<(), FileError> {
        let steps = self.steps()?;
        let past: Vec<u64> = steps.range(..=newest.step).rev().copied().collect();
        let recent = &past[..self.keep.min(past.len())];
        let mut kept: BTreeSet<u64> = recent.iter().copied().collect();
        kept.extend(newest.best.map(|best| best.step));
        // An older state that is kept must find its own best when it is resumed.
        kept.extend(recent.iter().filter_map(|&step| best_of(&self.path(step))));
        for step in past.iter().filter(|step| !kept.contains(step)) {
            self.remove(&self.path(*step))?;
        }
        Ok(())
    }

    /// Removes a checkpoint; at no time is there a part of one under its name.
    fn remove(&self, path: &Path) -> Result<(), FileError> {
        let failed = |error| FileError::new("remove", path, error);
        let doomed = durable::temporary_name(path);
        self.disk.rename(path, &doomed).map_err(failed)?;
        self.disk.remove_dir_all(&doomed).map_err(failed)
    }

    /// The steps of which there is a folder.
    fn steps(&self) -> Result<BTreeSet<u64>, FileError> {
        let failed = |error| FileError::new("read", &self.dir, error);
        let mut steps = BTreeSet::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let step = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            let step = step.and_then(|digits| digits.parse::<u64>().ok());
            // Only the spelling that `path` would give it back.
            steps.extend(step.filter(|&step| self.path(step).file_name() == Some(&name)));
        }
        Ok(steps)
    }
}

/// The best step as a checkpoint's state has it; none if that cannot be read.
fn best_of(path: &Path) -> Option<u64> {
    let state: State = serde_json::from_slice(&fs::read(path.join(STATE)).ok()?).ok()?;
    Some(state.best?.step)
}
