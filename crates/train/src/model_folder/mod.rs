//! A trained model on disk, with all that is needed to use it.
//!
//! ```text
//! model/
//!   model.safetensors   the weights; configuration, tokenizer, labels, the schema of
//!                       graphs and the means of features in the header
//!   config.json         the configuration, for other programs
//!   tokenizer.json      how text becomes tokens, as Hugging Face's tools read it; of a
//!                       model that reads text
//!   README.md           what the model is, for people
//! ```
//!
//! The weight file alone is enough: what is in its header counts, the files beside it are
//! copies. Only a tokenizer of more than 4 MiB, which would make the header too long for
//! some readers, is in `tokenizer.json` alone.

mod adapter;
mod card;
mod export;
mod foreign;
mod hugging_face;
mod load;
mod peft;
mod sound;
mod stored;
mod write;

use std::collections::BTreeMap;

use candle_core::Tensor;
use data::audio::Statistics;
use data::graph::Schema;
use data::text::Tokenizer;
use models::Model;

use crate::config::RunConfig;
use crate::model_file::NamedTensor;

pub use export::{ExportOptions, Format, export};
pub use load::{base_of, load, open};
pub use stored::Stored;
pub use write::{write, write_adapters};

/// The weights, and the one file that is enough.
pub const WEIGHTS: &str = "model.safetensors";
/// Adapters in place of the weights, as PEFT calls the file.
pub const ADAPTERS: &str = "adapter_model.safetensors";
/// What PEFT must know of the adapters.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
/// The configuration, for other programs.
pub const CONFIG: &str = "config.json";
/// How text becomes tokens.
pub const TOKENIZER: &str = "tokenizer.json";
/// What the model is, for people.
pub const CARD: &str = "README.md";

/// Everything that a model is but its weights.
#[derive(Debug, Clone)]
pub struct Description {
    /// The resolved configuration of the run it comes from.
    pub config: RunConfig,
    /// How text becomes tokens, if the model reads text.
    pub tokenizer: Option<Tokenizer>,
    /// Names of the classes in the order of the model; none for a language model.
    pub labels: Vec<String>,
    /// What the values of its graphs mean, if the model reads graphs.
    pub graphs: Option<Schema>,
    /// By what features of sound are normalised, where its training part decided it.
    pub features: Option<Statistics>,
    /// What is known of it, by name: `step`, `val_loss`, ….
    pub results: BTreeMap<String, String>,
    /// Hash of the weights that its adapters belong to, if only adapters are stored.
    pub base: Option<blake3::Hash>,
}

/// A model that can be used.
#[derive(Debug)]
pub struct LoadedModel {
    /// Everything but the weights.
    pub description: Description,
    /// The model, for evaluation: it records no graph.
    pub model: Model,
    /// Its parameters by name.
    pub tensors: BTreeMap<String, Tensor>,
}

impl LoadedModel {
    /// Its parameters, ready to be written.
    pub fn named_tensors(&self) -> Vec<NamedTensor<'_>> {
        self.tensors
            .iter()
            .map(|(name, tensor)| NamedTensor::tensor(name.as_str(), tensor))
            .collect()
    }
}

/// Names in the header of the weight file.
mod key {
    pub(super) const CONFIG: &str = "config";
    pub(super) const TOKENIZER: &str = "tokenizer";
    pub(super) const LABELS: &str = "labels";
    pub(super) const GRAPHS: &str = "graphs";
    pub(super) const FEATURES: &str = "features";
    pub(super) const RESULTS: &str = "results";
    /// Hash of the weights that adapters belong to.
    pub(super) const BASE: &str = "base";
}

/// Longest tokenizer put into a header, in bytes.
const MAX_EMBEDDED_TOKENIZER: usize = 4 << 20;

impl Description {
    /// The header of a weight file from which the model can be used: `config` is TOML,
    /// `tokenizer` a `tokenizer.json`, `labels`, `graphs`, `features` and `results` are JSON.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let json = |value: serde_json::Value| value.to_string();
        let mut metadata = BTreeMap::from([
            (key::CONFIG.to_owned(), self.config.to_toml()),
            (key::LABELS.to_owned(), json(self.labels.clone().into())),
            (
                key::RESULTS.to_owned(),
                json(serde_json::json!(self.results)),
            ),
        ]);
        if let Some(schema) = &self.graphs {
            metadata.insert(key::GRAPHS.to_owned(), json(serde_json::json!(schema)));
        }
        if let Some(statistics) = &self.features {
            metadata.insert(
                key::FEATURES.to_owned(),
                json(serde_json::json!(statistics)),
            );
        }
        if let Some(base) = &self.base {
            metadata.insert(key::BASE.to_owned(), base.to_hex().to_string());
        }
        let tokenizer = self.tokenizer.as_ref().map(Tokenizer::to_json);
        if let Some(json) = tokenizer.filter(|json| json.len() <= MAX_EMBEDDED_TOKENIZER) {
            metadata.insert(key::TOKENIZER.to_owned(), json.to_owned());
        }
        metadata
    }
}

#[cfg(test)]
mod tests;
