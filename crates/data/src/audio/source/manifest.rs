//! Manifests: tables that name clips.
//!
//! ```text
//! path,label,offset,duration,speaker,split
//! recordings/7_theo_3.wav,7,0.25,1.5,theo,train
//! ```
//!
//! `path` is relative to the manifest and stays in its folder; `offset` and `duration`, in
//! seconds, may be absent or empty; `split` may be absent. JSON Lines have the same keys
//! and, where every frame is asked about, [`segments`](super::segments) instead of a label.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value};

use super::inside::inside;
use super::segments::segments;
use crate::audio::entry::{Entry, SPLIT, wrong};
use crate::audio::{Asked, AudioDataConfig};
use crate::lines::{Lines, MAX_RECORD};
use crate::rows::Rows;
use crate::{Error, Place, Result};

/// Rows of the manifest at `path`, of those columns that are used.
pub(super) fn entries(path: &Path, config: &AudioDataConfig, asked: Asked) -> Result<Vec<Entry>> {
    let file = File::open(path).map_err(|cause| Error::read(path, cause))?;
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let records = match extension.to_str() {
        Some("csv") => table(file, path, b',')?,
        Some("tsv") => table(file, path, b'\t')?,
        Some("jsonl" | "ndjson") => lines(file, path)?,
        _ => {
            return Err(Error::sound(
                &Place::file(path),
                "not a manifest",
                "name a .csv, .tsv or .jsonl file, or a folder with a folder for each class",
            ));
        }
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut wanted = vec![SPLIT];
    wanted.extend(config.hold_out().map(|hold_out| hold_out.column.as_str()));
    wanted.extend(config.join().and_then(|join| join.column()));
    let entries = records
        .into_iter()
        .map(|record| record.entry(folder, config, asked, &wanted))
        .collect::<Result<Vec<_>>>()?;
    match entries.is_empty() {
        true => Err(wrong(
            &Place::file(path),
            "the manifest names no clip".into(),
        )),
        false => Ok(entries),
    }
}

/// One row, by column.
struct Record {
    at: Place,
    fields: BTreeMap<String, String>,
    segments: Option<Value>,
}

impl Record {
    fn entry(
        mut self,
        folder: &Path,
        config: &AudioDataConfig,
        asked: Asked,
        wanted: &[&str],
    ) -> Result<Entry> {
        let mut columns = BTreeMap::new();
        for &column in wanted {
            match self.fields.get(column) {
                Some(value) => drop(columns.insert(column.to_owned(), value.clone())),
                None if column == SPLIT => {}
                None => return Err(self.missing(column)),
            }
        }
        let name = self.take(config.path_column())?;
        let (file, array) = match name.split_once('#') {
            Some((file, array)) if file.ends_with(".npz") => (file, Some(array.to_owned())),
            _ => (name.as_str(), None),
        };
        let path = inside(folder, file, &self.at)?;
        let segments = match self.segments.take() {
            Some(list) if asked == Asked::Frames => segments(list, &self.at)?,
            _ => Vec::new(),
        };
        let label = match segments.is_empty() {
            true => self.take(config.label_column().unwrap_or(asked.column()))?,
            false => String::new(),
        };
        let offset = self.seconds("offset")?.unwrap_or(0.0);
        let duration = self.seconds("duration")?;
        if duration == Some(0.0) {
            return Err(wrong(&self.at, "duration = 0 leaves nothing".into()));
        }
        Ok(Entry {
            at: self.at,
            path,
            array,
            offset,
            duration,
            label,
            segments,
            columns,
        })
    }

    fn take(&mut self, column: &str) -> Result<String> {
        self.fields
            .remove(column)
            .ok_or_else(|| self.missing(column))
    }

    fn missing(&self, column: &str) -> Error {
        Error::MissingColumn {
            at: self.at.clone(),
            column: column.to_owned(),
            columns: self.fields.keys().cloned().collect(),
        }
    }

    /// A time, if one is written.
    fn seconds(&mut self, column: &str) -> Result<Option<f64>> {
        let Some(text) = self.fields.remove(column).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        match text.trim().parse::<f64>() {
            Ok(seconds) if seconds >= 0.0 && seconds.is_finite() => Ok(Some(seconds)),
            _ => Err(wrong(
                &self.at,
                format!("{column} = `{text}` is not a time in seconds"),
            )),
        }
    }
}

fn table(file: File, path: &Path, delimiter: u8) -> Result<Vec<Record>> {
    let mut rows = Rows::new(file, path, delimiter);
    let names = rows.header()?;
    if let Some((_, twice)) = names
        .iter()
        .enumerate()
        .find(|(i, name)| names[..*i].contains(name))
    {
        let at = Place::line(path, 1);
        return Err(wrong(&at, format!("column `{twice}` appears twice")));
    }
    let mut records = Vec::new();
    while let Some(at) = rows.next()? {
        if rows.len() != names.len() {
            return Err(Error::Ragged {
                at,
                found: rows.len(),
                expected: names.len(),
            });
        }
        let fields = names
            .iter()
            .enumerate()
            .map(|(i, name)| Ok((name.clone(), rows.field(i, &at)?)))
            .collect::<Result<_>>()?;
        records.push(Record {
            at,
            fields,
            segments: None,
        });
    }
    Ok(records)
}

fn lines(file: File, path: &Path) -> Result<Vec<Record>> {
    let mut lines = Lines::new(file, path, MAX_RECORD);
    let mut records = Vec::new();
    while let Some(line) = lines.next_filled()? {
        let mut object: Map<String, Value> =
            serde_json::from_str(&line).map_err(|error| Error::Json {
                at: lines.column(error.column()),
                reason: crate::text::without_place(&error),
                remedy: "every line must be one object such as {\"path\": \"a.wav\", \"label\": \"...\"}",
            })?;
        let segments = object.remove("segments").filter(|list| !list.is_null());
        let fields = object
            .into_iter()
            .filter_map(|(key, value)| match value {
                Value::String(text) => Some((key, text)),
                Value::Number(_) | Value::Bool(_) => Some((key, value.to_string())),
                // As if it were not there: whatever needs it says so.
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            })
            .collect();
        records.push(Record {
            at: lines.place(),
            fields,
            segments,
        });
    }
    Ok(records)
}
