//! Paths that stay in their folder.

use std::path::{Component, Path, PathBuf};

use crate::{Error, Place, Result};

/// The file that `name`, written at `at`, means in `folder`.
///
/// # Errors
///
/// If it is not in the folder: an absolute path, one that climbs out, or a link that leads
/// out. Data from elsewhere must not be able to name any file of the machine.
pub(super) fn inside(folder: &Path, name: &str, at: &Place) -> Result<PathBuf> {
    let leaves = || Error::Outside {
        at: at.clone(),
        path: name.into(),
        folder: folder.to_path_buf(),
    };
    let mut depth = 0i64;
    for component in Path::new(name).components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return Err(leaves()),
        }
        if depth < 0 {
            return Err(leaves());
        }
    }
    let path = folder.join(name);
    // A file that is not there is an error of its own, when it is read.
    if let (Ok(real), Ok(home)) = (path.canonicalize(), folder.canonicalize())
        && !real.starts_with(home)
    {
        return Err(leaves());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_folder_are_refused() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let home = folder.path().join("set");
        std::fs::create_dir_all(home.join("a"))?;
        std::fs::write(folder.path().join("secret.wav"), "x")?;
        std::fs::write(home.join("a/b.wav"), "x")?;
        let at = Place::line("m.csv", 2);
        let resolve = |name: &str| inside(&home, name, &at);
        assert_eq!(resolve("a/b.wav")?, home.join("a/b.wav"));
        assert_eq!(resolve("a/../a/b.wav")?, home.join("a/../a/b.wav"));
        assert!(resolve("not/there.wav").is_ok());
        for name in [
            "../secret.wav",
            "a/../../secret.wav",
            "/etc/passwd",
            "a/../../set/a/b.wav",
        ] {
            let error = resolve(name).unwrap_err().to_string();
            assert!(error.starts_with("m.csv:2: "), "{error}");
            assert!(error.contains("leaves the folder"), "{error}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path().join("secret.wav"), home.join("link.wav"))?;
            assert!(matches!(resolve("link.wav"), Err(Error::Outside { .. })));
        }
        Ok(())
    }
}
