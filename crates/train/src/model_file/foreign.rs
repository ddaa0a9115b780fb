//! Weight files of other formats, which are named and refused.
//!
//! PyTorch's own files are pickles: programs for a stack machine that may call any function
//! of Python, so that whoever loads one runs what its author wrote
//! (<https://docs.python.org/3/library/pickle.html>). Nothing here reads one.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::limits;

/// A format of weights that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Foreign {
    /// Python objects, as `torch.save` writes them.
    Pickle,
    /// llama.cpp.
    Gguf,
    /// ONNX.
    Onnx,
    /// HDF5, as Keras writes it.
    Hdf5,
    /// MessagePack, as Flax writes it.
    MessagePack,
}

/// The file at `path`, if it is of a format that can be told but is not read; also the one
/// in the folder at `path`, if such a file is all the weights that it has.
pub(super) fn find(path: &Path) -> Option<(PathBuf, Foreign)> {
    match path.is_dir() {
        true => in_folder(path),
        false => {
            let format = of_name(path).or_else(|| of_content(path))?;
            Some((path.to_path_buf(), format))
        }
    }
}

/// The first file in `folder` whose name tells a foreign format, one of PyTorch's own
/// before all others; none if there is a safetensors file.
fn in_folder(folder: &Path) -> Option<(PathBuf, Foreign)> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    let is_ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")
    };
    if paths.iter().any(|path| is_ours(path)) {
        return None;
    }
    let is_pytorch_s = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("pytorch_model")
    };
    paths.sort_by_key(|path| (!is_pytorch_s(path), path.clone()));
    paths
        .into_iter()
        .find_map(|path| of_name(&path).map(|format| (path, format)))
}

/// What the name of a file says.
fn of_name(path: &Path) -> Option<Foreign> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    Some(match extension.as_str() {
        "bin" | "pt" | "pth" | "ckpt" | "pkl" | "pickle" => Foreign::Pickle,
        "gguf" | "ggml" => Foreign::Gguf,
        "onnx" => Foreign::Onnx,
        "h5" | "hdf5" | "keras" => Foreign::Hdf5,
        "msgpack" => Foreign::MessagePack,
        _ => return None,
    })
}

/// What the first bytes of a file say, if they cannot be those of a safetensors file.
fn of_content(path: &Path) -> Option<Foreign> {
    // Only a regular file: to open a pipe would wait for whoever writes to it.
    if !path.is_file() {
        return None;
    }
    let mut start = [0; 8];
    File::open(path).ok()?.read_exact(&mut start).ok()?;
    if u64::from_le_bytes(start) <= limits::HEADER {
        return None;
    }
    Some(match start {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => Foreign::Pickle,
        [b'G', b'G', b'U', b'F', ..] => Foreign::Gguf,
        [0x89, b'H', b'D', b'F', ..] => Foreign::Hdf5,
        _ => return None,
    })
}

impl Foreign {
    /// What it is called, behind "is".
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pickle => "a pickle, which can run code when it is loaded",
            Self::Gguf => "a GGUF file",
            Self::Onnx => "an ONNX file",
            Self::Hdf5 => "an HDF5 file",
            Self::MessagePack => "a MessagePack file",
        }
    }

    /// How to make a safetensors file of the file at `path`.
    pub(super) fn remedy(self, path: &Path) -> impl fmt::Display {
        match self {
            Self::Pickle => {
                // As Python writes a string: quotes and backslashes escaped.
                let path = path.display().to_string();
                let quoted = path.replace('\\', "\\\\").replace('\'', "\\'");
                format!(
                    "convert it with Python: safetensors.torch.save_file(torch.load('{quoted}', \
                     weights_only=True), 'model.safetensors')"
                )
            }
            _ => "export the model as safetensors with the program that made it".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::refuse_foreign;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    fn refused(path: &Path) -> Option<Foreign> {
        find(path).map(|(_, format)| format)
    }

    #[test]
    fn other_formats_are_told_by_their_names() {
        for (name, format) in [
            ("pytorch_model.bin", Foreign::Pickle),
            ("a.pt", Foreign::Pickle),
            ("A.PTH", Foreign::Pickle),
            ("last.ckpt", Foreign::Pickle),
            ("a.pkl", Foreign::Pickle),
            ("a.Q4.gguf", Foreign::Gguf),
            ("a.onnx", Foreign::Onnx),
            ("tf_model.h5", Foreign::Hdf5),
            ("flax_model.msgpack", Foreign::MessagePack),
        ] {
            assert_eq!(refused(Path::new(name)), Some(format), "{name}");
        }
        for name in ["model.safetensors", "bin", "x.json", ".pt", ""] {
            assert_eq!(refused(Path::new(name)), None, "{name}");
        }
    }

    #[test]
    fn other_formats_are_told_by_their_content() -> Result {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("model.safetensors");
        let of = |bytes: &[u8]| -> Result<Option<Foreign>> {
            fs::write(&path, bytes)?;
            Ok(refused(&path))
        };
        assert_eq!(of(b"PK\x03\x04\x00\x00\x08\x08")?, Some(Foreign::Pickle));
        assert_eq!(of(b"\x80\x02\x8a\nl\xfc\x9cF")?, Some(Foreign::Pickle));
        assert_eq!(of(b"GGUF\x03\x00\x00\x00")?, Some(Foreign::Gguf));
        assert_eq!(of(b"\x89HDF\r\n\x1a\n")?, Some(Foreign::Hdf5));
        // The lengths of headers that begin as a pickle does.
        assert_eq!(of(&0x0280u64.to_le_bytes())?, None);
        assert_eq!(of(&0x7d_0280u64.to_le_bytes())?, None);
        assert_eq!(of(b"PK")?, None);
        Ok(())
    }

    #[test]
    fn a_folder_is_refused_for_what_is_all_it_has() -> Result {
        let dir = tempfile::tempdir()?;
        assert_eq!(refused(dir.path()), None);
        for name in ["config.json", "a.onnx", "pytorch_model.bin"] {
            fs::write(dir.path().join(name), "")?;
        }
        let error = refuse_foreign(dir.path())
            .expect_err("a pickle")
            .to_string();
        let file = dir.path().join("pytorch_model.bin");
        let want = format!(
            "{0}: is a pickle, which can run code when it is loaded; convert it with Python: \
             safetensors.torch.save_file(torch.load('{0}', weights_only=True), \
             'model.safetensors')",
            file.display()
        );
        assert_eq!(error, want);
        fs::write(dir.path().join("model-00001-of-00002.safetensors"), "")?;
        assert_eq!(refused(dir.path()), None);
        Ok(())
    }

    #[test]
    fn a_path_in_the_command_stays_one_string() {
        let remedy = Foreign::Pickle.remedy(Path::new(r"it's\a.pt")).to_string();
        assert!(remedy.contains(r"torch.load('it\'s\\a.pt',"), "{remedy}");
    }
}
