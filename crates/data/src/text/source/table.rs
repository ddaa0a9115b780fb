//! Tables: CSV, TSV, and the `.tab` files of Orange.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Bytes, Read};
use std::iter::Peekable;
use std::path::Path;
use std::rc::Rc;
use std::str;

use csv::{ByteRecord, ErrorKind, ReaderBuilder, Terminator};

use super::{Columns, MAX_RECORD, Piece, Reader};
use crate::text::Format;
use crate::{Error, Place, Result};

/// Reads one document a row.
///
/// Fields may be quoted; a row may then span lines. A `.tab` file has three
/// header lines: names, types (`d`, `string`, ...) and flags (`class`, ...).
pub(super) struct Table {
    rows: Rows,
    n_columns: usize,
    text: usize,
    label: Option<usize>,
}

impl Table {
    pub(super) fn new(file: File, path: &Path, format: Format, columns: &Columns) -> Result<Self> {
        let delimiter = if format == Format::Csv { b',' } else { b'\t' };
        let mut rows = Rows::new(file, path, delimiter);
        let names = rows.header()?;
        let at = Place::line(path, 1);
        if let Some(twice) = names
            .iter()
            .enumerate()
            .find(|(i, name)| names[..*i].contains(name))
        {
            let reason = format!("column `{}` appears twice", twice.1);
            return Err(Error::Table {
                at,
                reason,
                remedy: "rename one of the two",
            });
        }
        let (mut text, mut label) = (None, None);
        if format == Format::Tab {
            let types = rows.header_like(names.len(), 2)?;
            let flags = rows.header_like(names.len(), 3)?;
            text = types
                .iter()
                .position(|t| matches!(t.as_str(), "string" | "s" | "text"));
            label = flags
                .iter()
                .position(|f| f.split_whitespace().any(|flag| flag == "class"));
        }
        let position = |named: &Option<String>, found: Option<usize>, default: &str| {
            let name = named.as_deref().unwrap_or(default);
            let found = if named.is_some() { None } else { found };
            found
                .or_else(|| names.iter().position(|n| n == name))
                .ok_or_else(|| Error::MissingColumn {
                    at: at.clone(),
                    column: name.to_string(),
                    columns: names.clone(),
                })
        };
        let text = position(&columns.text, text, "text")?;
        let label = match columns.labelled {
            true => Some(position(&columns.label, label, "label")?),
            false => None,
        };
        Ok(Self {
            rows,
            n_columns: names.len(),
            text,
            label,
        })
    }
}

impl Reader for Table {
    fn next(&mut self) -> Result<Option<Piece>> {
        let Some(at) = self.rows.next()? else {
            return Ok(None);
        };
        if self.rows.record.len() != self.n_columns {
            let found = self.rows.record.len();
            return Err(Error::Ragged {
                at,
                found,
                expected: self.n_columns,
            });
        }
        let label = self
            .label
            .map(|column| self.rows.field(column, &at))
            .transpose()?;
        let text = self.rows.field(self.text, &at)?;
        Ok(Some(Piece {
            text,
            label,
            starts: true,
            at,
        }))
    }
}

/// The rows of a file, with their places.
struct Rows {
    reader: csv::Reader<UnixLines>,
    record: ByteRecord,
    /// Bytes that the next row may still have.
    budget: Rc<Cell<usize>>,
    path: Place,
}

impl Rows {
    fn new(file: File, path: &Path, delimiter: u8) -> Self {
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

    /// Reads the next row into `record` and says where it starts.
    fn next(&mut self) -> Result<Option<Place>> {
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

    fn field(&self, column: usize, at: &Place) -> Result<String> {
        let bytes = &self.record[column];
        match str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_string()),
            Err(error) => Err(Error::NotUtf8 {
                at: at.clone(),
                byte: bytes[error.valid_up_to()],
            }),
        }
    }

    fn header(&mut self) -> Result<Vec<String>> {
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
    fn header_like(&mut self, width: usize, line: u64) -> Result<Vec<String>> {
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
struct UnixLines {
    bytes: Peekable<Bytes<BufReader<File>>>,
    last: u8,
    left: Rc<Cell<usize>>,
}

impl UnixLines {
    fn new(file: File, left: Rc<Cell<usize>>) -> Self {
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

impl Read for UnixLines {
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
