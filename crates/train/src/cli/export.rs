//! `train export MODEL --out DIR`

use std::path::PathBuf;

use crate::error::Result;
use crate::model_folder;

/// Copy a model into a folder of its own: weights, configuration, tokenizer, model card
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The model: a model folder, a run folder or a .safetensors file
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(args: ExportArgs) -> Result<()> {
    model_folder::export(&args.model, &args.out)
}
