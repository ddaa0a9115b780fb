//! One process to a run folder.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

/// Name of the file that is locked. It stays: a new one beside an old one would let
/// two processes hold "the" lock.
pub(crate) const LOCK_FILE: &str = "run.lock";

/// The right to write into a run folder, held until dropped.
///
/// The system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock of the folder `run`.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] when another process has it, [`Error::CannotCreate`] when
    /// the folder cannot be written.
    pub fn take(run: &Path) -> Result<Self> {
        let path = run.join(LOCK_FILE);
        let cannot = |source| Error::CannotCreate {
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false) // it may be the holder's
            .write(true)
            .open(&path)
            .map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path)
                    .ok()
                    .and_then(|text| Holder::parse(&text));
                return Err(Error::Locked {
                    path: run.to_path_buf(),
                    holder: holder.map_or("another process".into(), |holder| holder.to_string()),
                });
            }
            Err(TryLockError::Error(source)) => return Err(cannot(source)),
        }
        note(&mut file).map_err(cannot)?;
        Ok(Self { _file: file })
    }
}

/// Leaves for others who holds the lock.
fn note(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(Holder::this_process().line().as_bytes())
}

/// Who holds a lock, as noted in its file.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    pid: u32,
    /// Seconds since 1970.
    since: u64,
    host: String,
}

impl Holder {
    fn this_process() -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            pid: std::process::id(),
            since: now(),
            host: host.trim().to_owned(),
        }
    }

    fn line(&self) -> String {
        format!("{} {} {}\n", self.pid, self.since, self.host)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        Some(Self {
            pid: words.next()?.parse().ok()?,
            since: words.next()?.parse().ok()?,
            host: words.next().unwrap_or_default().to_owned(),
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        if !self.host.is_empty() {
            write!(f, " on {}", self.host)?;
        }
        let age = Duration::from_secs(now().saturating_sub(self.since));
        write!(f, ", started {} ago", indicatif::HumanDuration(age))
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn the_second_is_refused_and_told_who_is_first() -> TestResult {
        let dir = tempfile::tempdir()?;
        let lock = RunLock::take(dir.path())?;
        let error = RunLock::take(dir.path()).expect_err("it is taken");
        let message = error.to_string();
        assert!(
            message.contains(&format!("process {}", std::process::id())),
            "{message}"
        );
        assert!(message.contains("ago"), "{message}");
        assert_eq!(error.exit().code(), 75);
        drop(lock);
        RunLock::take(dir.path())?;
        Ok(())
    }

    #[test]
    fn a_note_that_is_not_ours_does_not_matter() -> TestResult {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join(LOCK_FILE), "not a note")?;
        let lock = RunLock::take(dir.path())?;
        fs::write(dir.path().join(LOCK_FILE), [0xff, 0xfe])?;
        let error = RunLock::take(dir.path()).expect_err("it is taken");
        assert!(error.to_string().contains("another process"));
        drop(lock);
        Ok(())
    }

    #[test]
    fn of_many_at_once_exactly_one_wins() -> TestResult {
        let dir = tempfile::tempdir()?;
        let taken: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| RunLock::take(dir.path())))
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().expect("no panic"))
                .collect()
        });
        assert_eq!(taken.iter().filter(|lock| lock.is_ok()).count(), 1);
        Ok(())
    }
}
