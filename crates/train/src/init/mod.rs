//! What a run starts from: another model, or a part of one.
//!
//! [`Init::open`] reads `[init]` and opens the model that it names; [`Init::inherit`] puts
//! what the configuration leaves out in terms of that model; [`Init::first`] says, parameter
//! by parameter, where its first values come from, which are trained, and which get an
//! adapter beside them. Nothing is half-loaded: what does not fit is refused before any
//! parameter is made.

mod first;
mod inherit;
mod plan;
mod rates;
mod report;
mod vocabulary;

use std::path::Path;

use data::Open;
use data::text::TokenizerConfig;
use serde::Deserialize;

use crate::config::{DataTable, Document, Head, InitTable};
use crate::error::Result;
use crate::model_folder::{self, Stored};

pub use first::First;
pub use rates::lr_scale;
pub use report::Report;

/// The model that a run starts from, and how.
#[derive(Debug)]
pub struct Init {
    table: InitTable,
    source: Stored,
}

/// `document` with what it takes over from the model that it starts from, and that model.
///
/// # Errors
///
/// Those of [`Init::open`] and [`Init::inherit`].
pub fn complete(document: &Document) -> Result<(Document, Option<Init>)> {
    match Init::open(document)? {
        Some(init) => Ok((init.inherit(document)?, Some(init))),
        None => Ok((document.clone(), None)),
    }
}

/// The one table that must be read before all others.
#[derive(Deserialize)]
struct InitOnly {
    #[serde(default)]
    init: Option<InitTable>,
}

impl Init {
    /// Opens the model that `document` says to start from, if it does.
    ///
    /// # Errors
    ///
    /// A wrong `[init]` table, and what [`model_folder::open`] refuses.
    pub fn open(document: &Document) -> Result<Option<Self>> {
        let InitOnly { init } = document.to()?;
        let Some(table) = init else {
            return Ok(None);
        };
        let source = model_folder::open(table.from())?;
        Ok(Some(Self { table, source }))
    }

    /// `document` with the keys of the model to start from where it has none.
    ///
    /// # Errors
    ///
    /// A model of another modality.
    pub fn inherit(&self, document: &Document) -> Result<Document> {
        let keys = inherit::keys(&self.table, &self.source, document)?;
        Ok(document.inherit(&keys))
    }

    /// What data are told of the model: its tokenizer if `data` asks for it, its classes if
    /// its head is kept, and by what it normalises sound.
    pub fn tell<'a>(&self, data: &DataTable, open: Open<'a>) -> Open<'a> {
        let description = &self.source.description;
        let inherits = match data {
            DataTable::Text(text) => *text.tokenizer() == TokenizerConfig::Init,
            _ => false,
        };
        let keeps = self.table.head() == Head::Keep;
        let labels = Some(&description.labels).filter(|labels| keeps && !labels.is_empty());
        Open {
            tokenizer: description.tokenizer.clone().filter(|_| inherits),
            labels: labels.cloned(),
            graphs: description.graphs.clone().filter(|_| keeps),
            features: open.features.or_else(|| description.features.clone()),
            ..open
        }
    }

    /// Where the model is.
    pub fn path(&self) -> &Path {
        self.source.path()
    }
}
