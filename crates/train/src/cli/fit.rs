//! `train fit CONFIG`

use std::path::PathBuf;

use serde::Deserialize;

use super::console::{self, Console};
use crate::config::{Document, RunTable};
use crate::error::Result;
use crate::fit::{Options, fit};

/// Train a model, and keep what is needed to go on, to look back and to use it
#[derive(Debug, clap::Args)]
pub(super) struct FitArgs {
    /// Configuration of the run
    #[arg(value_name = "CONFIG")]
    config: PathBuf,

    /// Folder of the run: checkpoints, metrics and the model [default: runs/<run.name>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Go on with the run in the folder
    #[arg(long)]
    resume: bool,

    /// Change one key of the configuration, e.g. `train.lr=3e-4`; no value removes it
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
}

/// The table that names the run, and with it its folder.
#[derive(Deserialize)]
struct RunOnly {
    run: RunTable,
}

pub(super) fn run(args: FitArgs, console: Console) -> Result<()> {
    let document = Document::read(&args.config, &args.overrides)?;
    let RunOnly { run } = document.to()?;
    let out = args
        .out
        .unwrap_or_else(|| PathBuf::from("runs").join(run.name()));
    let options = Options {
        out,
        resume: args.resume,
        quiet: console.quiet(),
    };
    let model = fit(&document, &options)?;
    console::print(&format!("{}\n", model.display()))
}
