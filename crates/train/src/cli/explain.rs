//! `train explain CONFIG`

use std::path::PathBuf;

use data::Open;
use models::DataSizes;

use super::console;
use crate::{
    config::{Document, RunConfig},
    dataset::Dataset,
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
    let config = RunConfig::of(&document)?;
    let written = DataSizes {
        seq_len: config.data.seq_len(),
        ..DataSizes::default()
    };
    let resolved = match config.resolve(written) {
        // Only data can tell what is missing.
        Err(models::ConfigError::Unresolved { .. }) if config.model.kind().has_loss() => {
            config.resolve(data_sizes(&config)?)
        }
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
    Ok(Dataset::open(config.model.kind(), &config.data, &open)?.sizes(&config.data))
}
