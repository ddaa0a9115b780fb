//! JSON Lines: one object a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::str;

use serde_json::{Map, Value};

use super::{Columns, MAX_RECORD, Piece, Reader};
use crate::{Error, Place, Result};

/// Reads one document a line; blank lines are passed over.
pub(super) struct Jsonl<'a> {
    reader: BufReader<File>,
    at: Place,
    line: u64,
    columns: &'a Columns,
}

impl<'a> Jsonl<'a> {
    pub(super) fn new(file: File, path: &Path, columns: &'a Columns) -> Self {
        Self {
            reader: BufReader::new(file),
            at: Place::file(path),
            line: 0,
            columns,
        }
    }

    /// The next line without its end, or `None` at the end of the file.
    fn line(&mut self) -> Result<Option<String>> {
        let mut line = Vec::new();
        let read = self
            .reader
            .by_ref()
            .take(MAX_RECORD as u64 + 1)
            .read_until(b'\n', &mut line);
        if read.map_err(|cause| Error::read(&self.at.path, cause))? == 0 {
            return Ok(None);
        }
        self.line += 1;
        if line.len() > MAX_RECORD {
            return Err(Error::RecordTooLong {
                at: self.place(),
                limit: MAX_RECORD,
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
        let text = if self.line == 1 {
            line.trim_start_matches('\u{FEFF}')
        } else {
            &line
        };
        Ok(Some(text.trim_end_matches(['\n', '\r']).to_string()))
    }

    fn object(&self, line: &str) -> Result<Map<String, Value>> {
        serde_json::from_str(line).map_err(|error| Error::Json {
            at: Place::column(&self.at.path, self.line, error.column().max(1) as u64),
            reason: crate::text::without_place(&error),
            remedy: "every line must be one object such as {\"text\": \"...\"}",
        })
    }

    fn place(&self) -> Place {
        Place::line(&self.at.path, self.line)
    }

    /// Takes the value at `key`; classes may be numbers or truth values too.
    fn take(&self, object: &mut Map<String, Value>, key: &str, label: bool) -> Result<String> {
        let found = match object.get_mut(key) {
            Some(Value::String(text)) => return Ok(std::mem::take(text)),
            Some(value @ (Value::Number(_) | Value::Bool(_))) if label => {
                return Ok(value.to_string());
            }
            None => {
                let columns = object.keys().cloned().collect();
                return Err(Error::MissingColumn {
                    at: self.place(),
                    column: key.into(),
                    columns,
                });
            }
            Some(Value::Null) => "null",
            Some(Value::Bool(_)) => "true or false",
            Some(Value::Number(_)) => "a number",
            Some(Value::Array(_)) => "a list",
            Some(Value::Object(_)) => "an object",
        };
        Err(Error::NotAString {
            at: self.place(),
            column: key.into(),
            found,
        })
    }
}

impl Reader for Jsonl<'_> {
    fn next(&mut self) -> Result<Option<Piece>> {
        let line = loop {
            match self.line()? {
                Some(line) if line.trim().is_empty() => {}
                Some(line) => break line,
                None => return Ok(None),
            }
        };
        let mut object = self.object(&line)?;
        let label = if self.columns.labelled {
            Some(self.take(&mut object, self.columns.label(), true)?)
        } else {
            None
        };
        let text = self.take(&mut object, self.columns.text(), false)?;
        Ok(Some(Piece {
            text,
            label,
            starts: true,
            at: self.place(),
        }))
    }
}
