//! Where text comes from: files, folders, patterns, or the program itself.

mod find;
mod hub;
mod jsonl;
mod plain;
mod table;

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::find::find;
use self::hub::Hub;
use self::jsonl::Jsonl;
use self::plain::Plain;
use self::table::Table;
use super::{Format, TextDataConfig};
use crate::{Error, Place, Result};

pub use crate::lines::MAX_RECORD;

/// A part of a document, of bounded size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The text; lines end in `\n`, whatever the file has.
    pub text: String,
    /// The class of the document, if classes were asked for.
    pub label: Option<String>,
    /// Whether a document starts here.
    pub starts: bool,
    /// Where the text starts.
    pub at: Place,
}

/// Text as it is read: every source of text is read through this.
pub trait Reader {
    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    ///
    /// If the text cannot be read, or is not what its format promises.
    fn next(&mut self) -> Result<Option<Piece>>;
}

/// Which columns or keys of a record are read.
#[derive(Debug, Clone, Default)]
struct Columns {
    text: Option<String>,
    label: Option<String>,
    /// Whether labels are read at all.
    labelled: bool,
}

impl Columns {
    fn text(&self) -> &str {
        self.text.as_deref().unwrap_or("text")
    }

    fn label(&self) -> &str {
        self.label.as_deref().unwrap_or("label")
    }
}

/// Text that can be read as often as needed.
#[derive(Debug, Clone)]
pub struct Source {
    at: Place,
    origin: Origin,
    columns: Columns,
}

#[derive(Debug, Clone)]
enum Origin {
    Files(Vec<(PathBuf, Format)>),
    Embedded(Arc<str>),
    Hub(Arc<Hub>),
}

impl Source {
    /// The text at `path`: a file, all files in a folder, or all that match a
    /// pattern; in the order of their names. `config` says which columns.
    ///
    /// With the feature `hub`, `hub:OWNER/NAME` is a set of the Hugging Face Hub.
    ///
    /// # Errors
    ///
    /// If there is no such file.
    pub fn open(path: &Path, config: &TextDataConfig) -> Result<Self> {
        let at = Place::file(path);
        let origin = match path
            .to_str()
            .and_then(|path| path.strip_prefix(hub::PREFIX))
        {
            Some(id) => Origin::Hub(Arc::new(Hub::open(id, &at)?)),
            None => {
                let format = |file: &PathBuf| config.format().unwrap_or_else(|| Format::of(file));
                let files = find(path)?.into_iter();
                Origin::Files(files.map(|file| (file.clone(), format(&file))).collect())
            }
        };
        let columns = Columns {
            text: config.text_column().map(str::to_string),
            label: config.label_column().map(str::to_string),
            labelled: false,
        };
        Ok(Self {
            at,
            origin,
            columns,
        })
    }

    /// The text at each of `paths` in turn, the column `text` of tables.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if there are no paths.
    pub fn open_all<P: AsRef<Path>>(paths: &[P]) -> Result<Self> {
        let mut files = Vec::new();
        for path in paths {
            for file in find(path.as_ref())? {
                let format = Format::of(&file);
                files.push((file, format));
            }
        }
        let at = Place::file(paths.first().map_or(Path::new(""), AsRef::as_ref));
        if files.is_empty() {
            return Err(Error::NoFiles { at });
        }
        Ok(Self {
            at,
            origin: Origin::Files(files),
            columns: Columns::default(),
        })
    }

    /// One document that is already in memory.
    pub fn embedded(text: &str) -> Self {
        Self {
            at: Place::file(TextDataConfig::EMBEDDED),
            origin: Origin::Embedded(text.into()),
            columns: Columns::default(),
        }
    }

    /// The same text, read with the class of each document.
    pub(crate) fn labelled(mut self) -> Self {
        self.columns.labelled = true;
        self
    }

    /// What the user called it.
    pub fn at(&self) -> &Place {
        &self.at
    }

    /// Whether its text is in memory anyway.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.origin, Origin::Embedded(_))
    }

    /// Hash of every byte that [`read`](Self::read) depends on.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn fingerprint(&self) -> Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        match &self.origin {
            Origin::Embedded(text) => drop(hasher.update(text.as_bytes())),
            Origin::Hub(hub) => {
                hasher.update(format!("{:?}", self.columns).as_bytes());
                hasher.update(hub.fingerprint().as_bytes());
            }
            Origin::Files(files) => {
                hasher.update(format!("{:?}", self.columns).as_bytes());
                for (path, format) in files {
                    let mut content = blake3::Hasher::new();
                    let file = File::open(path).map_err(|cause| Error::read(path, cause))?;
                    content
                        .update_reader(file)
                        .map_err(|cause| Error::read(path, cause))?;
                    hasher.update(format!("{format:?}").as_bytes());
                    hasher.update(content.finalize().as_bytes());
                }
            }
        }
        Ok(hasher.finalize())
    }

    /// Reads the text from its start.
    pub fn read(&self) -> Pieces<'_> {
        Pieces {
            source: self,
            next_file: 0,
            current: None,
        }
    }

    /// Reads the text in parts that end where a line ends.
    pub(crate) fn lines(&self) -> Lines<'_> {
        Lines {
            pieces: self.read(),
            buffer: String::new(),
        }
    }

    fn open_file(&self, index: usize) -> Option<Result<Box<dyn Reader + '_>>> {
        match &self.origin {
            Origin::Embedded(text) if index == 0 => {
                let reader = Cursor::new(text.as_bytes());
                Some(self.plain(Box::new(reader), &self.at.path))
            }
            Origin::Embedded(_) => None,
            Origin::Hub(hub) => hub.reader(index, &self.columns),
            Origin::Files(files) => {
                let (path, format) = files.get(index)?;
                let file = File::open(path).map_err(|cause| Error::read(path, cause));
                Some(file.and_then(|file| self.reader(file, path, *format)))
            }
        }
    }

    fn reader(&self, file: File, path: &Path, format: Format) -> Result<Box<dyn Reader + '_>> {
        match format {
            Format::Text => self.plain(Box::new(file), path),
            Format::Jsonl => Ok(Box::new(Jsonl::new(file, path, &self.columns))),
            Format::Csv | Format::Tsv | Format::Tab => {
                Ok(Box::new(Table::new(file, path, format, &self.columns)?))
            }
        }
    }

    fn plain<'a>(&self, reader: Box<dyn Read + 'a>, path: &Path) -> Result<Box<dyn Reader + 'a>> {
        if self.columns.labelled {
            return Err(Error::NoLabels {
                at: Place::file(path),
            });
        }
        Ok(Box::new(Plain::new(reader, path)))
    }
}

/// All pieces of a source, file after file.
pub struct Pieces<'a> {
    source: &'a Source,
    next_file: usize,
    current: Option<Box<dyn Reader + 'a>>,
}

impl Reader for Pieces<'_> {
    fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            if let Some(piece) = self
                .current
                .as_mut()
                .map(|reader| reader.next())
                .transpose()?
                .flatten()
            {
                return Ok(Some(piece));
            }
            match self.source.open_file(self.next_file) {
                Some(reader) => self.current = Some(reader?),
                None => return Ok(None),
            }
            self.next_file += 1;
        }
    }
}

/// Text in parts that end where a line or a document ends.
pub(crate) struct Lines<'a> {
    pieces: Pieces<'a>,
    buffer: String,
}

impl Lines<'_> {
    /// A line longer than this is given in parts.
    const LONGEST: usize = 1 << 20;

    /// The next part, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<String>> {
        while let Some(piece) = self.pieces.next()? {
            if piece.starts && !self.buffer.is_empty() {
                return Ok(Some(std::mem::replace(&mut self.buffer, piece.text)));
            }
            let before = self.buffer.len();
            self.buffer.push_str(&piece.text);
            let end = match piece.text.rfind('\n') {
                Some(newline) => before + newline + 1,
                None if self.buffer.len() > Self::LONGEST => self.buffer.len(),
                None => continue,
            };
            let rest = self.buffer.split_off(end);
            return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
        }
        let rest = std::mem::take(&mut self.buffer);
        Ok((!rest.is_empty()).then_some(rest))
    }
}
