//! A disk for tests whose n-th operation fails, and where to keep thousands of states.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

use super::disk::{Disk, DiskFile, OsDisk, retry};

pub(crate) const EINTR: i32 = 4;
pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EROFS: i32 = 30;

/// A folder in memory where the system has one: for tests that make thousands of
/// files and do not care for the disk below.
pub(crate) fn scratch() -> io::Result<tempfile::TempDir> {
    const MEMORY: &str = "/dev/shm";
    match Path::new(MEMORY).is_dir() {
        true => tempfile::tempdir_in(MEMORY).or_else(|_| tempfile::tempdir()),
        false => tempfile::tempdir(),
    }
}

/// The real disk, but operation `n` (from 0) is refused with an `errno`.
///
/// Removing litter is not counted: its failure is nobody's error.
pub(crate) struct FaultyDisk {
    fault: Rc<Fault>,
}

struct Fault {
    next: Cell<usize>,
    fails_at: usize,
    persistent: bool,
    errno: i32,
    tripped: Cell<bool>,
}

impl FaultyDisk {
    /// Fails once.
    pub(crate) fn once(n: usize, errno: i32) -> Self {
        Self::new(n, errno, false)
    }

    /// Fails from then on.
    pub(crate) fn from_then_on(n: usize, errno: i32) -> Self {
        Self::new(n, errno, true)
    }

    fn new(fails_at: usize, errno: i32, persistent: bool) -> Self {
        let fault = Fault {
            next: Cell::new(0),
            fails_at,
            persistent,
            errno,
            tripped: Cell::new(false),
        };
        Self {
            fault: Rc::new(fault),
        }
    }

    /// Whether the failure has happened.
    pub(crate) fn tripped(&self) -> bool {
        self.fault.tripped.get()
    }
}

impl Fault {
    fn check(&self) -> io::Result<()> {
        let n = self.next.replace(self.next.get() + 1);
        if n == self.fails_at || (self.persistent && n > self.fails_at) {
            self.tripped.set(true);
            return Err(io::Error::from_raw_os_error(self.errno));
        }
        Ok(())
    }
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    fault: Rc<Fault>,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.fault.check()?;
        // Half at a time: a short write is legal.
        self.file.write(&bytes[..bytes.len().div_ceil(2)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        retry(|| self.fault.check()) // nothing is lost here: the real sync would only cost time
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        retry(|| self.fault.check())?;
        let file = OsDisk.create(path)?;
        Ok(Box::new(FaultyFile {
            file,
            fault: Rc::clone(&self.fault),
        }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        retry(|| self.fault.check())?;
        OsDisk.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        retry(|| self.fault.check())?;
        OsDisk.rename(from, to)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        retry(|| self.fault.check())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove_dir_all(path)
    }
}
