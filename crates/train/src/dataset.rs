//! The data of a run, of whatever kind its model needs.

use std::sync::Arc;

use data::text::{ClassData, LanguageData, Open, TextDataConfig, Tokenizer};
use data::{Batch, Features, Samples};
use models::{DataSizes, Input, Kind};

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
    pub fn open(kind: Kind, config: &TextDataConfig, open: &Open<'_>) -> Result<Self> {
        Ok(match kind {
            Kind::TextLm => Self::Language(LanguageData::open(config, open)?),
            Kind::TextClassifier => Self::Classes(ClassData::open(config, open)?),
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

    /// How text became tokens.
    pub fn tokenizer(&self) -> &Tokenizer {
        match self {
            Self::Language(data) => data.tokenizer(),
            Self::Classes(data) => data.tokenizer(),
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
    pub fn sizes(&self, config: &TextDataConfig) -> DataSizes {
        DataSizes {
            vocab_size: Some(self.tokenizer().vocab_size()),
            n_classes: self.labels().map(<[String]>::len),
            seq_len: Some(config.seq_len()),
        }
    }
}

/// What a model reads of `batch`.
///
/// # Errors
///
/// Features of a modality that no model reads yet.
pub(crate) fn input_of(batch: &Batch) -> Result<Input> {
    match &batch.features {
        Features::Tokens(tokens) => Ok(Input::Tokens(tokens.clone())),
        other => Err(Error::Data(format!("no model reads {other:?}"))),
    }
}
