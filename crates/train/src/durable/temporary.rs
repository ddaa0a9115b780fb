//! Temporary names, and what a killed process left under them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::parent_of;
use super::error::{Attempt, FileError};

const MARK: &str = ".tmp-";

/// A name beside `path` that nobody else uses: `.<name>.tmp-<pid>-<n>`.
pub(crate) fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    name.push(format!("{MARK}{}-{n}", std::process::id()));
    parent_of(path).join(name)
}

/// The process that made a temporary of this name; `None` for any other name.
fn owner(name: &str) -> Option<u32> {
    let (stem, tail) = name.rsplit_once(MARK)?;
    let (pid, n) = tail.split_once('-')?;
    n.parse::<u64>().ok()?;
    (stem.len() > 1 && stem.starts_with('.')).then(|| pid.parse().ok())?
}

/// Whether a temporary of `pid` may still be in use.
///
/// Our own id counts as dead: whoever sweeps has not begun to write, so the name
/// is of an earlier process with the same id (common in containers). Where there
/// is no `/proc`, the lock that the caller holds is the only witness, and enough.
fn is_alive(pid: u32) -> bool {
    pid != std::process::id() && Path::new("/proc").join(pid.to_string()).exists()
}

/// Removes the temporaries in `dir` whose process is dead; returns their paths.
///
/// To be called under the lock of the run, before anything is written.
///
/// # Errors
///
/// The folder cannot be read, or a leftover cannot be removed.
pub fn sweep(dir: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut swept = Vec::new();
    for entry in fs::read_dir(dir).attempt("read", dir)? {
        let entry = entry.attempt("read", dir)?;
        let dead = entry
            .file_name()
            .to_str()
            .and_then(owner)
            .is_some_and(|pid| !is_alive(pid));
        if !dead {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type().attempt("inspect", &path)?;
        let removed = if kind.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.attempt("remove", &path)?;
        swept.push(path);
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporaries_are_recognised_and_other_names_are_not() {
        let name = beside(Path::new("a/step-00000001"));
        let name = name.file_name().and_then(|n| n.to_str()).unwrap();
        assert_eq!(owner(name), Some(std::process::id()));
        for other in [
            "model.safetensors",
            ".tmp-12-3",
            "a.tmp-12-3",
            ".a.tmp-12",
            ".a.tmp-x-1",
        ] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_dead_processes_left_is_swept() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let alive = std::os::unix::process::parent_id();
        let living = dir.path().join(format!(".b.tmp-{alive}-0"));
        let dead = dir.path().join(".a.tmp-4294967295-7");
        let own = dir.path().join(format!(".c.tmp-{}-0", std::process::id()));
        let other = dir.path().join("notes.tmp-1-1");
        for file in [&living, &own, &other] {
            fs::write(file, b"")?;
        }
        fs::create_dir(&dead)?;
        fs::write(dead.join("x"), b"")?;
        let mut swept = sweep(dir.path())?;
        swept.sort();
        assert_eq!(swept, [dead.clone(), own.clone()]);
        assert!(living.exists() && other.exists() && !dead.exists() && !own.exists());
        Ok(())
    }
}
