//! The folder of a run.
//!
//! ```text
//! run.lock         held by the process that trains
//! config.toml      the resolved configuration: enough to repeat the run
//! features.json    mean and deviation of the features of sound, where its training part
//!                  decides them
//! metrics.jsonl    what was measured, one object a line
//! checkpoints/     states to go on from
//! model/           the result
//! ```

mod compare;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use compare::config_identity;

use data::audio::Statistics;

use crate::durable::{self, FileError};
use crate::error::{Error, Result};
use crate::lock::RunLock;
use compare::{Difference, differences};

const CONFIG: &str = "config.toml";
const FEATURES: &str = "features.json";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINTS: &str = "checkpoints";
const MODEL: &str = "model";

/// A run folder that this process may write into, until dropped.
#[derive(Debug)]
pub struct RunDir {
    root: PathBuf,
    _lock: RunLock,
}

impl RunDir {
    /// Makes the folder of a new run with the resolved configuration `config`.
    ///
    /// The folder may exist, with other files, but not with a run.
    ///
    /// # Errors
    ///
    /// There is a run already, another process is using the folder, or it cannot be
    /// made or written.
    pub fn create(root: &Path, config: &str) -> Result<Self> {
        let run = Self::open(root)?;
        if let Some(found) = run.traces() {
            return Err(Error::Usage(format!(
                "{}: holds a run already (`{found}`); continue it with `--resume` or choose another `--out`",
                root.display()
            )));
        }
        run.write_config(config)?;
        Ok(run)
    }

    /// Opens the folder of a run to go on with it under the configuration `config`.
    ///
    /// Where there is no run yet, one is begun, so that a job that is restarted until
    /// it is done can always say `--resume`.
    ///
    /// # Errors
    ///
    /// As [`RunDir::create`], and when `config` differs from the run's own in a key
    /// that changes what a step computes; the message names every such key.
    pub fn resume(root: &Path, config: &str) -> Result<Self> {
        let run = Self::open(root)?;
        let old = match fs::read_to_string(run.config()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match run.traces() {
                None => {
                    tracing::warn!(
                        "{}: there is no run to continue, starting one",
                        root.display()
                    );
                    run.write_config(config)?;
                    return Ok(run);
                }
                Some(found) => {
                    return Err(Error::Data(format!(
                        "{}: is missing beside `{found}`; restore it or choose another `--out`",
                        run.config().display()
                    )));
                }
            },
            outcome => outcome.map_err(|error| FileError::new("read", run.config(), error))?,
        };
        let differences = differences(&old, config).map_err(|error| {
            Error::Data(format!(
                "{}: {error}; restore it or choose another `--out`",
                run.config().display()
            ))
        })?;
        let (free, fixed): (Vec<Difference>, Vec<_>) =
            differences.into_iter().partition(Difference::is_free);
        if !fixed.is_empty() {
            let fixed: Vec<String> = fixed.iter().map(Difference::to_string).collect();
            return Err(Error::Usage(format!(
                "{}: the run was begun with another configuration: {}; restore it or choose another `--out`",
                run.config().display(),
                fixed.join(", ")
            )));
        }
        for difference in &free {
            tracing::warn!("{}: {difference}", run.config().display());
        }
        if !free.is_empty() {
            run.write_config(config)?;
        }
        Ok(run)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.root.join(CONFIG)
    }

    /// What was measured.
    pub fn metrics(&self) -> PathBuf {
        self.root.join(METRICS)
    }

    /// The states to go on from.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join(CHECKPOINTS)
    }

    /// The result.
    pub fn model(&self) -> PathBuf {
        self.root.join(MODEL)
    }

    /// Makes the folder if need be, takes its lock, and clears it of leftovers.
    fn open(root: &Path) -> Result<Self> {
        let cannot = |path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::CannotCreate { path, source }
        };
        if root.exists() && !root.is_dir() {
            let source = io::Error::new(io::ErrorKind::NotADirectory, "is a file, not a folder");
            return Err(cannot(root)(source));
        }
        durable::create_dir_all(root).map_err(cannot(root))?;
        let lock = RunLock::take(root)?;
        let checkpoints = root.join(CHECKPOINTS);
        durable::create_dir_all(&checkpoints).map_err(cannot(&checkpoints))?;
        let run = Self {
            root: root.to_path_buf(),
            _lock: lock,
        };
        run.sweep()?;
        Ok(run)
    }

    /// The first sign of a run in the folder.
    fn traces(&self) -> Option<&'static str> {
        let holds_any = |path: &Path| fs::read_dir(path).is_ok_and(|mut dir| dir.next().is_some());
        if holds_any(&self.checkpoints()) {
            return Some(CHECKPOINTS);
        }
        [CONFIG, METRICS, MODEL]
            .into_iter()
            .find(|name| self.root.join(name).exists())
    }

    /// Notes by what features are normalised, for the time when the run goes on.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write_features(&self, statistics: &Statistics) -> Result<()> {
        let text = serde_json::json!(statistics).to_string();
        let write = |w: &mut dyn Write| writeln!(w, "{text}");
        Ok(durable::write_file(&self.root.join(FEATURES), write)?)
    }

    fn write_config(&self, config: &str) -> Result<()> {
        let write = |w: &mut dyn Write| w.write_all(config.as_bytes());
        Ok(durable::write_file(&self.config(), write)?)
    }

    /// Removes what a killed process left half-written.
    fn sweep(&self) -> Result<()> {
        for dir in [self.root.clone(), self.checkpoints(), self.model()] {
            if !dir.is_dir() {
                continue;
            }
            for path in durable::sweep(&dir)? {
                tracing::info!("{}: removed, left by a run that was killed", path.display());
            }
        }
        Ok(())
    }
}

/// By what the run in `root`, if there is one, normalises features.
///
/// # Errors
///
/// The file is there, but cannot be read.
pub fn features(root: &Path) -> Result<Option<Statistics>> {
    let path = root.join(FEATURES);
    // Beside no configuration it is of no run.
    if !root.join(CONFIG).exists() || !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|error| FileError::new("read", &path, error))?;
    let statistics = serde_json::from_str(&text).map_err(|error| {
        let path = path.display();
        Error::Data(format!(
            "{path}: {error}; restore it, or remove it to compute it again"
        ))
    })?;
    Ok(Some(statistics))
}

#[cfg(test)]
mod tests;
