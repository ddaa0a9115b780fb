//! Files that are either whole or absent, also after a power cut.
//!
//! A file is written under a temporary name in its own folder, synced, renamed,
//! and the folder is synced; a folder of files goes the same way as one
//! `StagedDir`. A save that returned `Ok` is on the disk. One that returned an
//! error left the former contents alone and its own litter removed; a failed
//! sync is final, because the kernel may have dropped the pages it could not
//! write and reports success the second time.
//!
//! Temporary names carry the process id, `.<name>.tmp-<pid>-<n>`, so that
//! [`sweep`] can tell what a killed process left behind.

mod disk;
mod error;
mod staged;
mod temporary;

#[cfg(test)]
pub(crate) mod faults;
#[cfg(test)]
pub(crate) mod power_cut;

use std::io::{self, Write};
use std::path::Path;

pub(crate) use disk::Disk;
pub(crate) use disk::OsDisk;
pub use error::FileError;
pub(crate) use staged::{StagedDir, Stamp};
pub(crate) use temporary::beside as temporary_name;
pub use temporary::sweep;

use disk::parent_of;
use error::Attempt;

/// Writes the file at `path` by `contents`, replacing it as a whole.
///
/// The permissions are `0644` less the process's umask.
///
/// # Errors
///
/// The first operation that failed, with its path and the system's reason.
pub fn write_file(
    path: &Path,
    contents: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    write_file_on(&OsDisk, path, contents)
}

/// Makes the folder `path` and those above it, each on the disk when this returns.
///
/// # Errors
///
/// What the system said of the first that cannot be made.
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent_of(path);
    create_dir_all(parent)?;
    match OsDisk.create_dir(path) {
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        outcome => outcome?,
    }
    match OsDisk.sync_dir(parent) {
        // A folder may be writable and yet not readable, which syncing needs.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        outcome => outcome,
    }
}

/// [`write_file`] on any disk.
pub(crate) fn write_file_on(
    disk: &dyn Disk,
    path: &Path,
    contents: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let temporary = temporary::beside(path);
    let written = staged::write_synced(disk, &temporary, contents)
        .and_then(|_| disk.rename(&temporary, path).attempt("rename onto", path));
    if let Err(error) = written {
        // What matters is the first failure; a leftover is swept at the next start.
        let _ = disk.remove_file(&temporary);
        return Err(error.at(path));
    }
    let parent = parent_of(path);
    disk.sync_dir(parent).attempt("sync", parent)
}

/// Removes the files of `folder` that are called `names`, as far as they are there, and
/// brings that to the disk.
pub(crate) fn remove_files_on<'a>(
    disk: &dyn Disk,
    folder: &Path,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<(), FileError> {
    let mut is_changed = false;
    for path in names.into_iter().map(|name| folder.join(name)) {
        if path.symlink_metadata().is_ok() {
            disk.remove_file(&path).attempt("remove", &path)?;
            is_changed = true;
        }
    }
    match is_changed {
        true => disk.sync_dir(folder).attempt("sync", folder),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    #[test]
    fn a_written_file_replaces_the_old_one_and_leaves_no_litter() -> Result {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("a.txt");
        write_file(&path, |w| w.write_all(b"one"))?;
        write_file(&path, |w| w.write_all(b"two"))?;
        assert_eq!(fs::read(&path)?, b"two");
        assert_eq!(fs::read_dir(dir.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn others_may_read_what_the_umask_allows_them_to_read() -> Result {
        let dir = tempfile::tempdir()?;
        let (written, plain) = (dir.path().join("written"), dir.path().join("plain"));
        write_file(&written, |w| w.write_all(b"x"))?;
        fs::write(&plain, b"x")?; // 0666 less the umask
        let mode = |path| fs::metadata(path).map(|m| m.permissions().mode() & 0o777);
        assert_eq!(mode(&written)?, mode(&plain)? & 0o644);
        Ok(())
    }

    #[test]
    fn folders_are_made_down_to_the_last_and_a_file_is_in_the_way() -> Result {
        let dir = tempfile::tempdir()?;
        let deep = dir.path().join("a/b/c");
        create_dir_all(&deep)?;
        create_dir_all(&deep)?;
        assert!(deep.is_dir());
        fs::write(deep.join("file"), "")?;
        assert!(create_dir_all(&deep.join("file")).is_err());
        assert!(create_dir_all(&deep.join("file/below")).is_err());
        Ok(())
    }

    #[test]
    fn a_failing_writer_keeps_the_old_file() -> Result {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("a.txt");
        write_file(&path, |w| w.write_all(b"old"))?;
        let error = write_file(&path, |w| {
            w.write_all(b"new")?;
            Err(io::Error::from_raw_os_error(28)) // ENOSPC
        })
        .expect_err("the writer failed");
        assert_eq!(fs::read(&path)?, b"old");
        assert_eq!(fs::read_dir(dir.path())?.count(), 1);
        assert_eq!(error.os_code(), Some(28));
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("{}: cannot write", path.display())),
            "{message}"
        );
        assert!(message.contains("free some space"), "{message}");
        Ok(())
    }

    #[test]
    fn a_missing_folder_is_a_typed_error() {
        let error = write_file(Path::new("/nonexistent/folder/a"), |_| Ok(()))
            .expect_err("there is no such folder");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn whichever_operation_fails_the_old_or_the_new_file_is_there_and_nothing_else() -> Result {
        for error in [faults::ENOSPC, faults::EIO, faults::EROFS] {
            for n in 0.. {
                let dir = faults::scratch()?;
                let path = dir.path().join("a.txt");
                write_file(&path, |w| w.write_all(b"old"))?;
                let disk = faults::FaultyDisk::once(n, error);
                let outcome = write_file_on(&disk, &path, |w| w.write_all(b"new"));
                let now = fs::read(&path)?;
                assert!(now == b"old" || now == b"new", "torn at operation {n}");
                assert_eq!(
                    fs::read_dir(dir.path())?.count(),
                    1,
                    "litter at operation {n}"
                );
                if disk.tripped() {
                    assert_eq!(
                        outcome.expect_err("a failure was injected").os_code(),
                        Some(error)
                    );
                } else {
                    outcome?;
                    assert_eq!(now, b"new");
                    assert!(n >= 5, "create, write, sync, rename, sync folder: {n}");
                    break;
                }
            }
        }
        Ok(())
    }

    #[test]
    fn an_interrupted_operation_is_tried_again() -> Result {
        for n in 0..8 {
            let dir = faults::scratch()?;
            let path = dir.path().join("a.txt");
            let disk = faults::FaultyDisk::once(n, faults::EINTR);
            write_file_on(&disk, &path, |w| w.write_all(b"new"))?;
            assert_eq!(fs::read(&path)?, b"new");
        }
        Ok(())
    }
}
