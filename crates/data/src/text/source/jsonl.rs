//! JSON Lines: one object a line.

use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value};

use super::{Columns, MAX_RECORD, Piece, Reader};
use crate::lines::Lines;
use crate::{Error, Result};

/// Reads one document a line; blank lines are passed over.
pub(super) struct Jsonl<'a> {
    lines: Lines,
    columns: &'a Columns,
}

impl<'a> Jsonl<'a> {
    pub(super) fn new(file: File, path: &Path, columns: &'a Columns) -> Self {
        Self {
            lines: Lines::new(file, path, MAX_RECORD),
            columns,
        }
    }

    fn object(&self, line: &str) -> Result<Map<String, Value>> {
        serde_json::from_str(line).map_err(|error| Error::Json {
            at: self.lines.column(error.column()),
            reason: crate::text::without_place(&error),
            remedy: "every line must be one object such as {\"text\": \"...\"}",
        })
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
                    at: self.lines.place(),
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
            at: self.lines.place(),
            column: key.into(),
            found,
        })
    }
}

impl Reader for Jsonl<'_> {
    fn next(&mut self) -> Result<Option<Piece>> {
        let Some(line) = self.lines.next_filled()? else {
            return Ok(None);
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
            at: self.lines.place(),
        }))
    }
}
