//! A folder of files that appears as a whole.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::disk::{Disk, parent_of};
use super::error::{Attempt, FileError};
use super::temporary;

/// Length and hash of a file, taken while it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Length in bytes.
    pub(crate) bytes: u64,
    /// BLAKE3 of the contents.
    pub(crate) blake3: blake3::Hash,
}

/// A folder under a temporary name, given its own name by [`StagedDir::commit`].
///
/// Dropped before that, it is removed.
pub(crate) struct StagedDir<'a> {
    disk: &'a dyn Disk,
    temporary: PathBuf,
    target: PathBuf,
    renamed: bool,
}

impl<'a> StagedDir<'a> {
    /// Creates the folder that is to become `target`, which must not exist by then.
    pub(crate) fn create(disk: &'a dyn Disk, target: &Path) -> Result<Self, FileError> {
        let temporary = temporary::beside(target);
        disk.create_dir(&temporary).attempt("create", target)?;
        Ok(Self {
            disk,
            temporary,
            target: target.to_path_buf(),
            renamed: false,
        })
    }

    /// Writes and syncs one file of the folder.
    pub(crate) fn write(
        &self,
        name: &str,
        contents: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Stamp, FileError> {
        write_synced(self.disk, &self.temporary.join(name), contents)
            .map_err(|error| error.at(&self.target.join(name)))
    }

    /// Gives the folder its name, once all its entries are on the disk.
    ///
    /// # Errors
    ///
    /// After an error the folder is either absent or whole, but in the latter
    /// case a power cut may still lose it: treat it as not saved.
    pub(crate) fn commit(mut self) -> Result<(), FileError> {
        self.disk
            .sync_dir(&self.temporary)
            .attempt("sync", &self.target)?;
        self.disk
            .rename(&self.temporary, &self.target)
            .attempt("create", &self.target)?;
        self.renamed = true;
        let parent = parent_of(&self.target);
        self.disk.sync_dir(parent).attempt("sync", parent)
    }
}

impl Drop for StagedDir<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // A leftover is swept at the next start.
            let _ = self.disk.remove_dir_all(&self.temporary);
        }
    }
}

/// Writes a new file and syncs it; leaves it to the caller to remove a failed one.
pub(crate) fn write_synced(
    disk: &dyn Disk,
    path: &Path,
    contents: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Stamp, FileError> {
    const BUFFER: usize = 1 << 18;
    let file = disk.create(path).attempt("create", path)?;
    let mut file = Hashing {
        inner: BufWriter::with_capacity(BUFFER, file),
        hasher: blake3::Hasher::new(),
    };
    contents(&mut file)
        .and_then(|()| file.flush())
        .attempt("write", path)?;
    file.inner.get_mut().sync().attempt("sync", path)?;
    Ok(Stamp {
        bytes: file.hasher.count(),
        blake3: file.hasher.finalize(),
    })
}

/// A writer that hashes what passes through it.
struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{OsDisk, faults};
    use super::*;
    use std::fs;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    fn save(disk: &dyn Disk, target: &Path) -> std::result::Result<Stamp, FileError> {
        let staged = StagedDir::create(disk, target)?;
        staged.write("a", |w| w.write_all(&[7; 1000]))?;
        let stamp = staged.write("b", |w| w.write_all(b"bytes"))?;
        staged.commit()?;
        Ok(stamp)
    }

    #[test]
    fn a_committed_folder_holds_every_file_and_knows_their_hashes() -> Result {
        let dir = tempfile::tempdir()?;
        let target = dir.path().join("folder");
        let stamp = save(&OsDisk, &target)?;
        assert_eq!(
            stamp,
            Stamp {
                bytes: 5,
                blake3: blake3::hash(b"bytes")
            }
        );
        assert_eq!(fs::read(target.join("a"))?, [7; 1000]);
        assert_eq!(fs::read_dir(dir.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn a_dropped_folder_vanishes() -> Result {
        let dir = tempfile::tempdir()?;
        let staged = StagedDir::create(&OsDisk, &dir.path().join("folder"))?;
        staged.write("a", |w| w.write_all(b"x"))?;
        drop(staged);
        assert_eq!(fs::read_dir(dir.path())?.count(), 0);
        Ok(())
    }

    #[test]
    fn whichever_operation_fails_the_folder_is_absent_or_whole() -> Result {
        for n in 0.. {
            let dir = faults::scratch()?;
            let target = dir.path().join("folder");
            let disk = faults::FaultyDisk::once(n, faults::EIO);
            let outcome = save(&disk, &target);
            assert_eq!(outcome.is_err(), disk.tripped(), "operation {n}");
            if target.exists() {
                assert_eq!(fs::read(target.join("b"))?, b"bytes");
            }
            assert_eq!(
                fs::read_dir(dir.path())?.count(),
                usize::from(target.exists())
            );
            if !disk.tripped() {
                assert!(n >= 10, "{n}");
                return Ok(());
            }
        }
        Ok(())
    }
}
