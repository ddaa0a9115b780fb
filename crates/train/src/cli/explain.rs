//! `train explain CONFIG`

use std::path::PathBuf;

use data::text::{ClassData, LanguageData, Open};
use models::{DataSizes, Kind};

use super::console;
use crate::{
    config::{Document, RunConfig},
    embedded,
    error::Result,
    explain::explain,
};

/// Show what a configuration amounts to: every default, the layers with their sizes,
/// arithmetic and memory of a step, and who may read whom
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// Configuration of the run
    #[arg(value_name = "CONFIG")]
    config: PathBuf,

    /// Change one key of the configuration, e.g. `train.lr=3e-4`; no value removes it
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
}

pub(super) fn run(args: ExplainArgs) -> Result<()> {
    let document = Document::read(&args.config, &args.overrides)?;
    let config: RunConfig = document.to()?;
    let seq_len = Some(config.data.seq_len());
    let written = DataSizes {
        seq_len,
        ..DataSizes::default()
    };
    let resolved = match config.resolve(written) {
        // Only data can tell what is missing.
        Err(models::ConfigError::Unresolved { .. }) => config.resolve(data_sizes(&config)?),
        other => other,
    };
    let config = resolved.map_err(|error| document.reject("model", &error.to_string()))?;
    console::print(&explain(&config)?)
}

/// The sizes that the data of `config` decide.
fn data_sizes(config: &RunConfig) -> Result<DataSizes> {
    let open = Open {
        seed: config.run.seed(),
        embedded: Some(embedded::TEXT),
        ..Open::default()
    };
    let (vocab_size, n_classes) = match config.model.kind() {
        Kind::TextLm => (
            LanguageData::open(&config.data, &open)?
                .tokenizer()
                .vocab_size(),
            None,
        ),
        Kind::TextClassifier => {
            let data = ClassData::open(&config.data, &open)?;
            (data.tokenizer().vocab_size(), Some(data.labels().len()))
        }
    };
    Ok(DataSizes {
        seq_len: Some(config.data.seq_len()),
        vocab_size: Some(vocab_size),
        n_classes,
    })
}
