//! A plain text: the whole file is one document.

use std::io::Read;
use std::path::Path;
use std::str;

use super::{Piece, Reader};
use crate::{Error, Place, Result};

/// Bytes read at a time.
const BLOCK: usize = 64 << 10;

const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// Reads a text block by block, so that its size does not matter.
///
/// A byte order mark is dropped, and `\r\n` is read as `\n`.
pub(super) struct Plain<'a> {
    reader: Box<dyn Read + 'a>,
    /// Bytes read but not given out: the start of a character, or a `\r`.
    rest: Vec<u8>,
    at: Place,
    starts: bool,
    ended: bool,
}

impl<'a> Plain<'a> {
    pub(super) fn new(reader: Box<dyn Read + 'a>, path: &Path) -> Self {
        let at = Place::column(path, 1, 1);
        Self {
            reader,
            rest: Vec::new(),
            at,
            starts: true,
            ended: false,
        }
    }

    /// Reads one more block behind `rest`.
    fn fill(&mut self) -> Result<()> {
        let wanted = (BLOCK - self.rest.len()) as u64;
        let read = self
            .reader
            .by_ref()
            .take(wanted)
            .read_to_end(&mut self.rest);
        let read = read.map_err(|cause| Error::read(&self.at.path, cause))?;
        self.ended = (read as u64) < wanted;
        if self.starts && self.rest.starts_with(BYTE_ORDER_MARK) {
            self.rest.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(())
    }

    /// How many bytes of `rest` can be given out as text.
    fn complete(&self) -> Result<usize> {
        let (valid, broken) = match str::from_utf8(&self.rest) {
            Ok(text) => (text.len(), false),
            Err(error) => (
                error.valid_up_to(),
                error.error_len().is_some() || self.ended,
            ),
        };
        if broken {
            let text = String::from_utf8_lossy(&self.rest[..valid]);
            return Err(Error::NotUtf8 {
                at: self.at.advance(&text, text.len()),
                byte: self.rest[valid],
            });
        }
        let splits_line_end = valid > 0 && self.rest[valid - 1] == b'\r' && !self.ended;
        Ok(valid - usize::from(splits_line_end))
    }
}

impl Reader for Plain<'_> {
    fn next(&mut self) -> Result<Option<Piece>> {
        if self.ended {
            return Ok(None);
        }
        self.fill()?;
        let rest = self.rest.split_off(self.complete()?);
        let text = std::mem::replace(&mut self.rest, rest);
        let mut text = String::from_utf8(text).expect("`complete` ends where valid text does");
        if text.contains("\r\n") {
            text = text.replace("\r\n", "\n");
        }
        if text.is_empty() {
            return Ok(None);
        }
        let next = self.at.advance(&text, text.len());
        let at = std::mem::replace(&mut self.at, next);
        let starts = std::mem::replace(&mut self.starts, false);
        Ok(Some(Piece {
            text,
            label: None,
            starts,
            at,
        }))
    }
}
