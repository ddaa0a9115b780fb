//! With the feature `hub`: sets as `candle-datasets` finds them.

use std::fmt;
use std::fs::File;

use candle_datasets::hub::{FileReader, from_hub};
use hf_hub::HFClientSync;
use parquet::file::reader::SerializedFileReader;
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};

use super::super::{Columns, Piece, Reader};
use crate::{Error, Place, Result};

/// The Parquet files of one set, downloaded.
pub(in super::super) struct Hub {
    files: Vec<SerializedFileReader<File>>,
    at: Place,
}

impl Hub {
    /// Finds the set `id`, written `OWNER/NAME`, and downloads what is not there yet.
    ///
    /// # Errors
    ///
    /// If there is no such set, or no network.
    pub(in super::super) fn open(id: &str, at: &Place) -> Result<Self> {
        let failed = |reason: String| Error::Hub {
            at: at.clone(),
            reason,
        };
        let client = HFClientSync::new().map_err(|error| failed(error.to_string()))?;
        let files = from_hub(&client, id.to_string()).map_err(|error| failed(error.to_string()))?;
        if files.is_empty() {
            return Err(Error::NoFiles { at: at.clone() });
        }
        Ok(Self {
            files,
            at: at.clone(),
        })
    }

    /// Hash of what the files say about their content: sizes, offsets, statistics.
    pub(in super::super) fn fingerprint(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for file in &self.files {
            hasher.update(format!("{:?}", file.metadata()).as_bytes());
        }
        hasher.finalize()
    }

    /// Reads file number `index`, or `None` if there is none.
    pub(in super::super) fn reader<'a>(
        &'a self,
        index: usize,
        columns: &'a Columns,
    ) -> Option<Result<Box<dyn Reader + 'a>>> {
        let file = self.files.get(index)?;
        let rows = file
            .get_row_iter(None)
            .map_err(|error| unreadable(&self.at, &error));
        Some(rows.map(|rows| {
            let at = Place::line(&self.at.path, 0);
            Box::new(Rows { rows, columns, at }) as Box<dyn Reader + 'a>
        }))
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// One document a row; a place is the number of the row in its file.
struct Rows<'a> {
    rows: RowIter<'a>,
    columns: &'a Columns,
    at: Place,
}

impl Rows<'_> {
    fn field(&self, row: &Row, column: &str, label: bool) -> Result<String> {
        let found = row.get_column_iter().find(|(name, _)| *name == column);
        match found.map(|(_, field)| field) {
            Some(Field::Str(text)) => Ok(text.clone()),
            // Classes are kept as numbers.
            Some(Field::Int(class)) if label => Ok(class.to_string()),
            Some(Field::Long(class)) if label => Ok(class.to_string()),
            Some(_) => {
                let (at, column) = (self.at.clone(), column.to_string());
                Err(Error::NotAString {
                    at,
                    column,
                    found: "of another type",
                })
            }
            None => {
                let columns = row
                    .get_column_iter()
                    .map(|(name, _)| name.clone())
                    .collect();
                let (at, column) = (self.at.clone(), column.to_string());
                Err(Error::MissingColumn {
                    at,
                    column,
                    columns,
                })
            }
        }
    }
}

impl Reader for Rows<'_> {
    fn next(&mut self) -> Result<Option<Piece>> {
        let Some(row) = self.rows.next() else {
            return Ok(None);
        };
        self.at.line = self.at.line.map(|row| row + 1);
        let row = row.map_err(|error| unreadable(&self.at, &error))?;
        let label = match self.columns.labelled {
            true => Some(self.field(&row, self.columns.label(), true)?),
            false => None,
        };
        let text = self.field(&row, self.columns.text(), false)?;
        Ok(Some(Piece {
            text,
            label,
            starts: true,
            at: self.at.clone(),
        }))
    }
}

fn unreadable(at: &Place, error: &parquet::errors::ParquetError) -> Error {
    Error::Hub {
        at: at.clone(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    type TestResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// A set of one file with the columns `story` and `label`.
    fn set(stories: &[&str]) -> TestResult<Hub> {
        let schema = "message m { required binary story (UTF8); required int64 label; }";
        let schema = Arc::new(parse_message_type(schema)?);
        let mut file = tempfile::tempfile()?;
        let properties = Arc::new(WriterProperties::builder().build());
        let mut writer = SerializedFileWriter::new(&mut file, schema, properties)?;
        let mut group = writer.next_row_group()?;
        let mut column = group.next_column()?.ok_or("no column")?;
        let texts: Vec<ByteArray> = stories.iter().map(|&story| story.into()).collect();
        column
            .typed::<ByteArrayType>()
            .write_batch(&texts, None, None)?;
        column.close()?;
        let mut column = group.next_column()?.ok_or("no column")?;
        let labels: Vec<i64> = (0..stories.len() as i64).collect();
        column
            .typed::<Int64Type>()
            .write_batch(&labels, None, None)?;
        column.close()?;
        group.close()?;
        writer.close()?;
        let files = vec![SerializedFileReader::new(file)?];
        Ok(Hub {
            files,
            at: Place::file("hub:a/b"),
        })
    }

    fn columns(text: &str) -> Columns {
        Columns {
            text: Some(text.into()),
            label: None,
            labelled: true,
        }
    }

    #[test]
    fn rows_are_documents_with_their_labels() -> TestResult {
        let hub = set(&["Once upon", "a time"])?;
        let columns = columns("story");
        let mut reader = hub.reader(0, &columns).ok_or("no file")??;
        let first = reader.next()?.ok_or("no row")?;
        assert_eq!(
            (&*first.text, first.label.as_deref(), first.starts),
            ("Once upon", Some("0"), true)
        );
        let second = reader.next()?.ok_or("no row")?;
        assert_eq!(
            (&*second.text, second.at.to_string()),
            ("a time", "hub:a/b:2".to_string())
        );
        assert!(reader.next()?.is_none());
        assert!(hub.reader(1, &columns).is_none());
        Ok(())
    }

    #[test]
    fn a_column_that_is_not_there_or_not_text_is_named() -> TestResult {
        let hub = set(&["Once"])?;
        for (column, message) in [
            (
                "text",
                "hub:a/b:1: no column `text`; the columns are `story`, `label`",
            ),
            (
                "label",
                "hub:a/b:1: `label` is of another type, not a string",
            ),
        ] {
            let columns = columns(column);
            let mut reader = hub.reader(0, &columns).ok_or("no file")??;
            let error = reader.next().unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        Ok(())
    }

    #[test]
    fn another_content_has_another_fingerprint() -> TestResult {
        assert_ne!(
            set(&["Once"])?.fingerprint(),
            set(&["Twice"])?.fingerprint()
        );
        assert_eq!(set(&["Once"])?.fingerprint(), set(&["Once"])?.fingerprint());
        Ok(())
    }
}
