//! Encoded text on disk, so that encoding is done once.
//!
//! A cache file is named after what it holds: the hash of the text and of the
//! tokenizer. It can be deleted at any time. Tokens are read from it window by
//! window at the position wanted, not mapped into memory: the system's page
//! cache serves both alike, but a file that shrinks under a map kills the
//! process, where a read returns an error.
//!
//! ```text
//! magic [8] | bytes a token u64 | tokens u64 | key [32] | hash of the tokens [32] | hash of all before [32]
//! tokens, little-endian u16 or u32
//! ```

use std::env;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::atomic::AtomicFile;
use crate::{Error, Place, Result};

const MAGIC: &[u8; 8] = b"TOKENS\0\x01";
const HEADER: usize = 8 + 8 + 8 + 32 + 32 + 32;

/// Tokens in a file that was checked when it was opened.
#[derive(Debug)]
pub(super) struct TokenFile {
    /// One reader at a time: a read is a seek and a read.
    file: Mutex<File>,
    width: Width,
    len: u64,
    path: PathBuf,
}

/// Bytes a token takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Two = 2,
    Four = 4,
}

impl Width {
    fn of(vocab_size: usize) -> Self {
        if vocab_size <= 1 << 16 {
            Self::Two
        } else {
            Self::Four
        }
    }
}

/// The folder for caches, unless the configuration names one.
pub(super) fn default_folder() -> PathBuf {
    let xdg = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let base = xdg.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    base.unwrap_or_else(env::temp_dir).join("train")
}

/// The file for tokens that `key` stands for.
pub(super) fn file_name(key: &blake3::Hash) -> String {
    format!("{}.tokens", &key.to_hex()[..32])
}

impl TokenFile {
    /// Opens a cache file and checks it from end to end.
    ///
    /// # Errors
    ///
    /// If there is none, or if it is not what was written for `key`.
    pub(super) fn open(path: &Path, key: &blake3::Hash) -> Result<Self> {
        let failed = |cause| Error::read(path, cause);
        let damaged = |reason: &str| Error::Cache {
            at: Place::file(path),
            reason: reason.into(),
        };
        let mut file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut header = [0; HEADER];
        if size < HEADER as u64 {
            return Err(damaged("it is cut short"));
        }
        file.read_exact(&mut header).map_err(failed)?;
        let (body, hash) = header.split_at(HEADER - 32);
        if blake3::hash(body).as_bytes() != hash || &body[..8] != MAGIC {
            return Err(damaged("its header is not intact"));
        }
        if &body[24..56] != key.as_bytes() {
            return Err(damaged("it belongs to another text or tokenizer"));
        }
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| body[at + byte]));
        let width = if word(8) == 2 {
            Width::Two
        } else {
            Width::Four
        };
        let len = word(16);
        if u128::from(size) != HEADER as u128 + u128::from(len) * width as u128 {
            return Err(damaged("it has another size than its header says"));
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file).map_err(failed)?;
        if hasher.finalize().as_bytes() != &body[56..88] {
            return Err(damaged("its tokens are not those that were written"));
        }
        Ok(Self {
            file: Mutex::new(file),
            width,
            len,
            path: path.to_path_buf(),
        })
    }

    /// How many tokens it holds.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Appends the `count` tokens from `start` on to `out`.
    pub(super) fn read(&self, start: u64, count: usize, out: &mut Vec<u32>) -> Result<()> {
        let width = self.width as usize;
        let mut bytes = vec![0; count * width];
        let offset = HEADER as u64 + start * width as u64;
        // A poisoned lock only means that another reader panicked: every read seeks first.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|cause| Error::read(&self.path, cause))?;
        match self.width {
            Width::Two => {
                let (pairs, _) = bytes.as_chunks();
                out.extend(
                    pairs
                        .iter()
                        .map(|&pair| u32::from(u16::from_le_bytes(pair))),
                );
            }
            Width::Four => {
                let (words, _) = bytes.as_chunks();
                out.extend(words.iter().map(|&word| u32::from_le_bytes(word)));
            }
        }
        Ok(())
    }
}

/// Writes a cache file token by token.
pub(super) struct TokenWriter {
    file: BufWriter<AtomicFile>,
    hasher: blake3::Hasher,
    width: Width,
    len: u64,
    path: PathBuf,
}

impl TokenWriter {
    /// Starts the file that will be `path`, for ids below `vocab_size`.
    pub(super) fn create(path: &Path, vocab_size: usize) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 18, AtomicFile::create(path)?);
        file.write_all(&[0; HEADER])?;
        let width = Width::of(vocab_size);
        Ok(Self {
            file,
            hasher: blake3::Hasher::new(),
            width,
            len: 0,
            path: path.to_path_buf(),
        })
    }

    /// Adds `ids`.
    pub(super) fn write(&mut self, ids: &[u32]) -> io::Result<()> {
        let bytes: Vec<u8> = match self.width {
            Width::Two => ids
                .iter()
                .flat_map(|&id| (id as u16).to_le_bytes())
                .collect(),
            Width::Four => ids.iter().flat_map(|&id| id.to_le_bytes()).collect(),
        };
        self.hasher.update(&bytes);
        self.len += ids.len() as u64;
        self.file.write_all(&bytes)
    }

    /// Writes the header and gives the file its name.
    pub(super) fn finish(self, key: &blake3::Hash) -> io::Result<TokenFile> {
        let Self {
            file,
            hasher,
            width,
            len,
            path,
        } = self;
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&(width as u64).to_le_bytes());
        header.extend_from_slice(&len.to_le_bytes());
        header.extend_from_slice(key.as_bytes());
        header.extend_from_slice(hasher.finalize().as_bytes());
        let hash = blake3::hash(&header);
        header.extend_from_slice(hash.as_bytes());

        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.file().seek(SeekFrom::Start(0))?;
        file.file().write_all(&header)?;
        let file = file.commit()?;
        Ok(TokenFile {
            file: Mutex::new(file),
            width,
            len,
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        folder: &Path,
        ids: &[u32],
        vocab_size: usize,
    ) -> io::Result<(PathBuf, blake3::Hash)> {
        let key = blake3::hash(b"key");
        let path = folder.join(file_name(&key));
        let mut writer = TokenWriter::create(&path, vocab_size)?;
        for part in ids.chunks(7) {
            writer.write(part)?;
        }
        writer.finish(&key)?;
        Ok((path, key))
    }

    #[test]
    fn tokens_come_back_from_any_position() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for (vocab_size, bytes) in [(1 << 16, 2), ((1 << 16) + 1, 4)] {
            let ids: Vec<u32> = (0..100)
                .map(|i| i * 655)
                .chain([vocab_size as u32 - 1])
                .collect();
            let (path, key) = written(folder.path(), &ids, vocab_size)?;
            assert_eq!(
                std::fs::metadata(&path)?.len(),
                (HEADER + ids.len() * bytes) as u64
            );
            let file = TokenFile::open(&path, &key)?;
            assert_eq!(file.len(), 101);
            for (start, count) in [(0, 101), (100, 1), (17, 40), (50, 0)] {
                let mut out = vec![9];
                file.read(start as u64, count, &mut out)?;
                assert_eq!(out[0], 9);
                assert_eq!(out[1..], ids[start..start + count]);
            }
        }
        Ok(())
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_noticed() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (path, key) = written(folder.path(), &(0..50).collect::<Vec<_>>(), 64)?;
        let whole = std::fs::read(&path)?;
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes)?;
            assert!(TokenFile::open(&path, &key).is_err(), "flip at {at}");
            std::fs::write(&path, &whole[..at])?;
            assert!(TokenFile::open(&path, &key).is_err(), "cut at {at}");
        }
        std::fs::write(&path, [&whole[..], &[0]].concat())?;
        assert!(TokenFile::open(&path, &key).is_err(), "one byte more");
        std::fs::write(&path, &whole)?;
        assert!(
            TokenFile::open(&path, &blake3::hash(b"other")).is_err(),
            "another key"
        );
        assert!(TokenFile::open(&path, &key).is_ok());
        Ok(())
    }

    #[test]
    fn a_file_that_shrinks_while_open_is_an_error() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (path, key) = written(folder.path(), &(0..50).collect::<Vec<_>>(), 64)?;
        let file = TokenFile::open(&path, &key)?;
        File::options()
            .write(true)
            .open(&path)?
            .set_len(HEADER as u64 + 10)?;
        assert!(matches!(
            file.read(40, 5, &mut Vec::new()),
            Err(Error::Read { .. })
        ));
        Ok(())
    }
}
