//! Tables: CSV, TSV, and the `.tab` files of Orange.

use std::fs::File;
use std::path::Path;

use super::{Columns, Piece, Reader};
use crate::rows::Rows;
use crate::text::Format;
use crate::{Error, Place, Result};

/// Reads one document a row.
///
/// Fields may be quoted; a row may then span lines. A `.tab` file has three
/// header lines: names, types (`d`, `string`, ...) and flags (`class`, ...).
pub(super) struct Table {
    rows: Rows<File>,
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
        if self.rows.len() != self.n_columns {
            let found = self.rows.len();
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
