//! Rows of a table of text, with their places.

use std::cell::Cell;
use std::io::{self, BufReader, Bytes, Read};
use std::iter::Peekable;
use std::path::Path;
use std::rc::Rc;
use std::str;

use csv::{ByteRecord, ErrorKind, ReaderBuilder, Terminator};

use crate::lines::MAX_RECORD;
use crate::{Error, Place, Result};

/// The rows of a file, with their places.
pub(crate) struct Rows<R: Read> {
    reader: csv::Reader<UnixLines<R>>,
    record: ByteRecord,
    /// Bytes that the next row may still have.
    budget: Rc<Cell<usize>>,
    path: Place,
}

impl<R: Read> Rows<R> {
    /// Reads `file`, which errors call `path`.
    pub(crate) fn new(file: R, path: &Path, delimiter: u8) -> Self {
        let budget = Rc::new(Cell::new(MAX_RECORD));
        let reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .terminator(Terminator::Any(b'\n'))
            .has_headers(false)
            .flexible(true)
            .from_reader(UnixLines::new(file, Rc::clone(&budget)));
        Self {
            reader,
            record: ByteRecord::new(),
            budget,
            path: Place::file(path),
        }
    }

    /// Goes to the next row and says where it starts.
    pub(crate) fn next(&mut self) -> Result<Option<Place>> {
        self.budget.set(MAX_RECORD);
        let first = self.reader.position().line();
        let before = Place::line(&self.path.path, first);
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {
                // Counted from the end, because blank lines before a row are passed over.
                let inside = self
                    .record
                    .as_slice()
                    .iter()
                    .filter(|&&byte| byte == b'\n')
                    .count();
                let line = self.reader.position().line() - 1 - inside as u64;
                // A quote that is never closed ends with the file, not with a line.
                Ok(Some(Place::line(&self.path.path, line.max(first))))
            }
            Ok(false) => Ok(None),
            Err(_) if self.budget.get() == 0 => Err(Error::RecordTooLong {
                at: before,
                limit: MAX_RECORD,
            }),
            Err(error) => Err(match error.into_kind() {
                ErrorKind::Io(cause) => Error::Read {
                    at: self.path.clone(),
                    cause,
                },
                other => Error::Table {
                    at: before,
                    reason: format!("not a table: {other:?}"),
                    remedy: "check separators and quotes",
                },
            }),
        }
    }

    /// Fields of the row.
    pub(crate) fn len(&self) -> usize {
        self.record.len()
    }

    /// The fields of the row, as bytes.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        self.record.iter()
    }

    /// One field of the row, which starts at `at`.
    pub(crate) fn field(&self, column: usize, at: &Place) -> Result<String> {
        let bytes = &self.record[column];
        match str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_string()),
            Err(error) => Err(Error::NotUtf8 {
                at: at.clone(),
                byte: bytes[error.valid_up_to()],
            }),
        }
    }

    /// The first row, which names the columns.
    pub(crate) fn header(&mut self) -> Result<Vec<String>> {
        let Some(at) = self.next()? else {
            return Err(Error::Empty {
                at: self.path.clone(),
            });
        };
        (0..self.record.len())
            .map(|column| self.field(column, &at))
            .collect()
    }

    /// A further header line, which must be as wide as the first.
    pub(crate) fn header_like(&mut self, width: usize, line: u64) -> Result<Vec<String>> {
        let header = match self.next()? {
            Some(at) => (0..self.record.len())
                .map(|column| self.field(column, &at))
                .collect::<Result<Vec<_>>>()?,
            None => Vec::new(),
        };
        if header.len() != width {
            return Err(Error::Table {
                at: Place::line(&self.path.path, line),
                reason: format!(
                    "{} fields, but the first header line has {width}",
                    header.len()
                ),
                remedy: "a .tab file starts with three lines: names, types, flags; use .tsv for one header line",
            });
        }
        Ok(header)
    }
}

/// A file in which every line ends in `\n`, the last one too, and of which no row
/// may read more than its budget.
struct UnixLines<R: Read> {
    bytes: Peekable<Bytes<BufReader<R>>>,
    last: u8,
    left: Rc<Cell<usize>>,
}

impl<R: Read> UnixLines<R> {
    fn new(file: R, left: Rc<Cell<usize>>) -> Self {
        Self {
            bytes: BufReader::new(file).bytes().peekable(),
            last: b'\n',
            left,
        }
    }

    fn next(&mut self) -> Option<io::Result<u8>> {
        match self.bytes.next() {
            Some(Ok(b'\r')) if matches!(self.bytes.peek(), Some(Ok(b'\n'))) => self.bytes.next(),
            None if self.last != b'\n' => Some(Ok(b'\n')),
            byte => byte,
        }
    }
}

impl<R: Read> Read for UnixLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other("record too long"));
        }
        let mut read = 0;
        for slot in buffer.iter_mut().take(left) {
            let Some(byte) = self.next().transpose()? else {
                break;
            };
            (*slot, self.last) = (byte, byte);
            read += 1;
        }
        self.left.set(left - read);
        Ok(read)
    }
}
