//! What can be wrong with data, and where.

use std::io;
use std::path::{Path, PathBuf};

use attn_core::MaskError;

use crate::names::known;
use crate::place::Place;

/// The result of reading or writing data.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Data that cannot be used. Displays as `FILE:LINE:COL: what; remedy`.
///
/// Causes are part of the message, so a caller prints the error alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[error("{at}: cannot read: {cause}; {}", read_remedy(cause))]
    Read {
        /// The file.
        at: Place,
        /// What the system said.
        cause: io::Error,
    },

    /// A file could not be created or written.
    #[error("{at}: cannot write: {cause}; check that the folder exists, is writable and has room")]
    Write {
        /// The file.
        at: Place,
        /// What the system said.
        cause: io::Error,
    },

    /// A folder or a pattern holds no file.
    #[error(
        "{at}: no file found here; name a file, a folder with files or a pattern such as `texts/*.txt`"
    )]
    NoFiles {
        /// The folder or pattern.
        at: Place,
    },

    /// A glob pattern that is not one.
    #[error("{at}: not a valid pattern: {reason}; `*`, `?`, `[a-z]` and `**` are understood")]
    Pattern {
        /// The pattern.
        at: Place,
        /// What is wrong with it.
        reason: String,
    },

    /// A source without any text.
    #[error("{at}: holds no text; give it some, or name another file")]
    Empty {
        /// The file.
        at: Place,
    },

    /// A byte that is not part of UTF-8.
    #[error("{at}: byte 0x{byte:02X} is not UTF-8; convert the file to UTF-8")]
    NotUtf8 {
        /// Where the byte is.
        at: Place,
        /// The byte.
        byte: u8,
    },

    /// Fewer tokens than one window needs.
    #[error("{at}: the {split} text has {found} tokens, but one window of seq_len = {seq_len} needs {}; use more text or a smaller seq_len", seq_len + 1)]
    TooShort {
        /// The file, folder or pattern.
        at: Place,
        /// `training`, `validation` or `test`.
        split: &'static str,
        /// Tokens there are.
        found: u64,
        /// Tokens a window reads.
        seq_len: usize,
    },

    /// Too few examples for what was asked.
    #[error(
        "{at}: {found} {split} examples, but at least {needed} are needed; use more data or another val_fraction"
    )]
    TooFew {
        /// The file, folder or pattern.
        at: Place,
        /// `training`, `validation` or `test`.
        split: &'static str,
        /// Examples there are.
        found: usize,
        /// Examples needed.
        needed: usize,
    },

    /// A record longer than the reader accepts.
    #[error(
        "{at}: a record of more than {limit} bytes; split it, or check for a quote that is never closed"
    )]
    RecordTooLong {
        /// Where the record starts.
        at: Place,
        /// Bytes accepted.
        limit: usize,
    },

    /// A row with another number of fields than the header.
    #[error(
        "{at}: {found} fields, but the header has {expected}; check separators and quotes in this row"
    )]
    Ragged {
        /// Where the row starts.
        at: Place,
        /// Fields in the row.
        found: usize,
        /// Fields in the header.
        expected: usize,
    },

    /// A table that cannot be read as one.
    #[error("{at}: {reason}; {remedy}")]
    Table {
        /// The file or row.
        at: Place,
        /// What is wrong.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },

    /// A graph that cannot be used.
    #[error("{at}: {reason}; {remedy}")]
    Graph {
        /// The file, line or record.
        at: Place,
        /// What is wrong.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },

    /// A column or key that is not there.
    #[error("{at}: no column `{column}`; {}", known(column, columns, "columns"))]
    MissingColumn {
        /// The header, or the record that lacks the key.
        at: Place,
        /// The column that was asked for.
        column: String,
        /// The columns there are.
        columns: Vec<String>,
    },

    /// Means of features that belong to other features.
    #[error(
        "means of {found} features, but frames have {width}; take the model from its run again"
    )]
    Statistics {
        /// Features of the means.
        found: usize,
        /// Features of a frame.
        width: usize,
    },

    /// Frames that are read as they are, but were to be normalised.
    #[error(
        "{at}: features.normalize = \"training\" is for sound, not for arrays; normalise them before, and remove it"
    )]
    Normalized {
        /// The data.
        at: Place,
    },

    /// A line or a file that is not the JSON object that is needed.
    #[error("{at}: not a JSON object: {reason}; {remedy}")]
    Json {
        /// Where the parser stopped.
        at: Place,
        /// What the parser said.
        reason: String,
        /// What to do about it.
        remedy: &'static str,
    },

    /// A JSON value of another type than text.
    #[error("{at}: `{column}` is {found}, not a string; write it in quotes")]
    NotAString {
        /// The record.
        at: Place,
        /// The key.
        column: String,
        /// The type found.
        found: &'static str,
    },

    /// Data without labels where a class is to be learnt.
    #[error("{at}: a plain text has no labels; use .jsonl, .csv, .tsv or .tab with a label column")]
    NoLabels {
        /// The file.
        at: Place,
    },

    /// A label that the training data never showed.
    #[error(
        "{at}: label `{label}` is not one of the classes; {}",
        known(label, labels, "classes")
    )]
    UnknownLabel {
        /// The record.
        at: Place,
        /// The label.
        label: String,
        /// The classes of the training data.
        labels: Vec<String>,
    },

    /// Training data with fewer than two classes.
    #[error("{at}: only one class, `{label}`; a classifier needs at least two")]
    OneClass {
        /// The file, folder or pattern.
        at: Place,
        /// The class.
        label: String,
    },

    /// An example from which no token comes.
    #[error("{at}: the text of this example is empty; fill it in or remove the record")]
    EmptyExample {
        /// The record.
        at: Place,
    },

    /// A character that the vocabulary lacks.
    #[error("{at}: character {character:?} (U+{:04X}) is not among the {vocab_size} of the vocabulary; remove it, or train with text that has it", u32::from(*character))]
    UnknownCharacter {
        /// Where it is.
        at: Place,
        /// The character.
        character: char,
        /// Size of the vocabulary.
        vocab_size: usize,
    },

    /// A tokenizer file that cannot be used.
    #[error(
        "{at}: damaged tokenizer: {reason}; fetch the file again or train a new one with `train tokenizer`"
    )]
    Tokenizer {
        /// The file, with line and column if it is not JSON.
        at: Place,
        /// What is wrong.
        reason: String,
    },

    /// Text that a tokenizer refused.
    #[error(
        "{at}: the tokenizer cannot encode this text: {reason}; use a tokenizer with an unknown token"
    )]
    Encode {
        /// The text.
        at: Place,
        /// What the tokenizer said.
        reason: String,
    },

    /// Ids that a tokenizer refused.
    #[error(
        "the tokenizer cannot decode: {reason}; use the tokenizer that the model was trained with"
    )]
    Decode {
        /// What is wrong.
        reason: String,
    },

    /// A tokenizer that could not be trained.
    #[error("{at}: cannot train a tokenizer: {reason}; try another vocab_size or more text")]
    Training {
        /// The file, folder or pattern.
        at: Place,
        /// What the trainer said.
        reason: String,
    },

    /// Encoded text that no longer is what was written.
    #[error("{at}: the token cache is damaged: {reason}; delete it, it will be made again")]
    Cache {
        /// The cache file.
        at: Place,
        /// What is wrong.
        reason: String,
    },

    /// A batch whose positions 32 bits cannot count.
    #[error("a batch of {positions} tokens; use a smaller batch_size or seq_len")]
    BatchTooLarge {
        /// Positions in the batch.
        positions: usize,
    },

    /// A pattern that the walls of a batch do not allow.
    #[error("{0}; use another mask")]
    Mask(MaskError),

    /// A picture, or a file of pictures, that cannot be used.
    #[error("{at}: {reason}; {remedy}")]
    Image {
        /// The file, or the row of a table.
        at: Place,
        /// What is wrong.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },

    /// A set of the Hub that could not be fetched or read.
    #[error("{at}: {reason}; check the name of the set and the network")]
    Hub {
        /// The set.
        at: Place,
        /// What was said.
        reason: String,
    },

    /// A set of the Hub, asked of a program that cannot fetch it.
    #[error(
        "{at}: this program was built without the feature `hub`; build it with `--features hub`, or name a file"
    )]
    WithoutHub {
        /// The set.
        at: Place,
    },

    /// An array that cannot be read.
    #[error("{at}: {reason}; write it with numpy.save or numpy.savez, as numbers")]
    Array {
        /// The file, or the array in its archive.
        at: Place,
        /// What is wrong.
        reason: String,
    },

    /// Sound that cannot be used.
    #[error("{at}: {reason}; {remedy}")]
    Sound {
        /// The file or folder.
        at: Place,
        /// What is wrong, and where in it.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },

    /// A file named by data that lies elsewhere.
    #[error("{at}: `{}` leaves the folder {}; name a file inside it", path.display(), folder.display())]
    Outside {
        /// The record.
        at: Place,
        /// The path as it is written.
        path: PathBuf,
        /// The folder of the data.
        folder: PathBuf,
    },

    /// Frames where samples are to be joined.
    #[error("data.join needs sound, not arrays of frames; remove it, or name sound files")]
    Joined,

    /// More examples that cannot be read than may be left out.
    #[error("{cause} (max_skipped = {max_skipped} others were left out before)")]
    TooManySkipped {
        /// Examples that may be left out.
        max_skipped: u64,
        /// What is wrong with the one that was too many.
        cause: Box<Error>,
    },

    /// `path = "embedded"` where no text is compiled in.
    #[error("embedded: no text is compiled into this program; set [data] path to a file")]
    NotEmbedded,

    /// `tokenizer = "init"` where the run starts from no model that has a tokenizer.
    #[error(
        "tokenizer = \"init\", but there is no model with a tokenizer in [init]; name a \
         tokenizer in [data]"
    )]
    NoModel,
}

impl From<MaskError> for Error {
    fn from(error: MaskError) -> Self {
        Self::Mask(error)
    }
}

impl Error {
    pub(crate) fn read(path: impl AsRef<Path>, cause: io::Error) -> Self {
        Self::Read {
            at: Place::file(path),
            cause,
        }
    }

    pub(crate) fn sound(at: &Place, reason: impl Into<String>, remedy: &'static str) -> Self {
        Self::Sound {
            at: at.clone(),
            reason: reason.into(),
            remedy,
        }
    }

    pub(crate) fn array(at: &Place, reason: String) -> Self {
        Self::Array {
            at: at.clone(),
            reason,
        }
    }

    pub(crate) fn write(path: impl AsRef<Path>, cause: io::Error) -> Self {
        Self::Write {
            at: Place::file(path),
            cause,
        }
    }

    pub(crate) fn image(at: &Place, reason: impl Into<String>, remedy: &'static str) -> Self {
        Self::Image {
            at: at.clone(),
            reason: reason.into(),
            remedy,
        }
    }

    /// The same error about text that starts at `origin` of a file.
    ///
    /// Tokenizers see text, not files: their places are relative to it.
    pub(crate) fn located(mut self, origin: &Place) -> Self {
        if let Self::UnknownCharacter { at, .. } | Self::Encode { at, .. } = &mut self {
            let (line, column) = (at.line.unwrap_or(1), at.column.unwrap_or(1));
            let first = origin.line.unwrap_or(1);
            let indent = if line == 1 {
                origin.column.unwrap_or(1) - 1
            } else {
                0
            };
            *at = Place::column(&origin.path, first + line - 1, indent + column);
        }
        self
    }
}

fn read_remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::NotFound => {
            "check the path; public sets are fetched by `scripts/get-data.sh NAME`"
        }
        io::ErrorKind::PermissionDenied => "make the file readable",
        _ => "check the file and its disk",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_column_is_suggested_and_far_ones_are_listed() {
        let columns = vec!["Category".to_string(), "Text".to_string()];
        let at = Place::line("r8.tab", 1);
        let near = Error::MissingColumn {
            at: at.clone(),
            column: "text".into(),
            columns: columns.clone(),
        };
        assert_eq!(
            near.to_string(),
            "r8.tab:1: no column `text`; did you mean `Text`?"
        );
        let far = Error::MissingColumn {
            at,
            column: "sentence".into(),
            columns,
        };
        assert_eq!(
            far.to_string(),
            "r8.tab:1: no column `sentence`; the columns are `Category`, `Text`"
        );
    }
}
