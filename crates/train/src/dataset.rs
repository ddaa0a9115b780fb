//! The data of a run, of whatever kind its model needs.

use std::path::Path;
use std::sync::Arc;

use data::text::{ClassData, LanguageData, Tokenizer};
use data::{Batch, Open, Samples};
use models::{DataSizes, Kind};

use crate::config::{DataTable, RunConfig};
use crate::error::{Error, Result};
use crate::metrics::Split;

/// Opened data: splits to read, and what a model must know to use them.
pub enum Dataset {
    /// Windows of running text.
    Language(LanguageData),
    /// Labelled texts.
    Classes(ClassData),
}

impl Dataset {
    /// Opens what `config` names, as a model of `kind` reads it.
    ///
    /// # Errors
    ///
    /// A file that is missing or wrong, with its place.
    pub fn open(kind: Kind, config: &DataTable, open: &Open<'_>) -> Result<Self> {
        Ok(match (kind, config) {
            (Kind::TextLm, DataTable::Text(config)) => {
                Self::Language(LanguageData::open(config, open)?)
            }
            (Kind::TextClassifier, DataTable::Text(config)) => {
                Self::Classes(ClassData::open(config, open)?)
            }
            _ => return Err(Error::Data(format!("[data] is not what a {kind} reads"))),
        })
    }

    /// The samples of `split`, if there are any.
    ///
    /// # Errors
    ///
    /// Test data are opened here, when they are first asked for.
    pub fn split(&self, split: Split) -> Result<Option<Arc<dyn Samples>>> {
        Ok(match (self, split) {
            (Self::Language(data), Split::Train) => Some(data.train()),
            (Self::Language(data), Split::Val) => data.val(),
            (Self::Language(data), Split::Test) => data.test()?,
            (Self::Classes(data), Split::Train) => Some(data.train()),
            (Self::Classes(data), Split::Val) => data.val(),
            (Self::Classes(data), Split::Test) => data.test()?,
        })
    }

    /// How text became tokens, if it is text.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        match self {
            Self::Language(data) => Some(data.tokenizer()),
            Self::Classes(data) => Some(data.tokenizer()),
        }
    }

    /// Names of the classes, if there are classes.
    pub fn labels(&self) -> Option<&[String]> {
        match self {
            Self::Language(_) => None,
            Self::Classes(data) => Some(data.labels()),
        }
    }

    /// Hash of what is trained and validated on.
    pub fn fingerprint(&self) -> blake3::Hash {
        match self {
            Self::Language(data) => data.fingerprint(),
            Self::Classes(data) => data.fingerprint(),
        }
    }

    /// Sizes that a model may leave to its data.
    pub fn sizes(&self, config: &DataTable) -> DataSizes {
        DataSizes {
            vocab_size: self.tokenizer().map(Tokenizer::vocab_size),
            n_classes: self.labels().map(<[String]>::len),
            seq_len: config.seq_len(),
            ..DataSizes::default()
        }
    }
}

/// The samples of one file that a model is asked about, prepared as `config` says; their
/// targets are not known.
///
/// # Errors
///
/// A file that cannot be read as what the model reads, with its place.
pub fn batch_of_file(config: &RunConfig, path: &Path) -> Result<Batch> {
    match &config.data {
        DataTable::Text(_) => Err(Error::Usage(format!(
            "{}: the model reads texts, not files",
            path.display()
        ))),
    }
}
