//! Lines of a text file, with their numbers and within limits.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::{Error, Place, Result};

/// A record of text or a row of a table with more bytes than this is refused.
pub const MAX_RECORD: usize = 16 << 20;

/// A line with more bytes than this is refused, where nothing else is said.
pub(crate) const MAX_LINE: usize = 64 << 20;

/// Reads a file line by line, without line ends and a byte-order mark.
pub(crate) struct Lines {
    reader: BufReader<File>,
    at: Place,
    line: u64,
    limit: usize,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|cause| Error::read(path, cause))?;
        Ok(Self::new(file, path, MAX_LINE))
    }

    /// Reads `file`, which errors call `path`, and refuses lines of more than `limit` bytes.
    pub(crate) fn new(file: File, path: &Path, limit: usize) -> Self {
        Self {
            reader: BufReader::new(file),
            at: Place::file(path),
            line: 0,
            limit,
        }
    }

    /// The next line, or `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<String>> {
        let mut line = Vec::new();
        let read = self
            .reader
            .by_ref()
            .take(self.limit as u64 + 1)
            .read_until(b'\n', &mut line);
        if read.map_err(|cause| Error::read(&self.at.path, cause))? == 0 {
            return Ok(None);
        }
        self.line += 1;
        if line.len() > self.limit {
            return Err(Error::RecordTooLong {
                at: self.place(),
                limit: self.limit,
            });
        }
        let line = String::from_utf8(line).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..valid]);
            Error::NotUtf8 {
                at: self.place().advance(&text, text.len()),
                byte: error.as_bytes()[valid],
            }
        })?;
        let text = match self.line {
            1 => line.trim_start_matches('\u{FEFF}'),
            _ => &line,
        };
        Ok(Some(text.trim_end_matches(['\n', '\r']).to_string()))
    }

    /// The next line that is not blank.
    pub(crate) fn next_filled(&mut self) -> Result<Option<String>> {
        loop {
            match self.next()? {
                Some(line) if line.trim().is_empty() => {}
                line => return Ok(line),
            }
        }
    }

    /// The number of the line read last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.line
    }

    /// A column, counted from 1, of the line read last.
    pub(crate) fn column(&self, column: usize) -> Place {
        Place::column(&self.at.path, self.line.max(1), column.max(1) as u64)
    }

    /// The line read last.
    pub(crate) fn place(&self) -> Place {
        Place::line(&self.at.path, self.line.max(1))
    }
}
