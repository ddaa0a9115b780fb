//! `train export MODEL --out DIR`

use std::path::PathBuf;

use crate::error::Result;
use crate::model_file::{ByteSize, Float};
use crate::model_folder::{self, ExportOptions, Format};

/// Write a model into a folder of its own: weights, configuration, tokenizer, model card
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The model: a model folder, a run folder, a .safetensors file, or a folder of Hugging
    /// Face's form
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Names and files: ours, or Hugging Face's
    #[arg(long, value_enum, default_value = "native")]
    format: FormatArg,

    /// How numbers are stored: f32, f16 or bf16
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: Float,

    /// Most bytes of a weight file; larger weights go into several
    #[arg(long, value_name = "SIZE", default_value = "5GB")]
    max_shard_size: ByteSize,

    /// Merge adapters into the weights that they were trained beside
    #[arg(long)]
    merge: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FormatArg {
    Native,
    Hf,
}

pub(super) fn run(args: ExportArgs) -> Result<()> {
    let options = ExportOptions {
        format: match args.format {
            FormatArg::Native => Format::Native,
            FormatArg::Hf => Format::HuggingFace,
        },
        float: args.dtype,
        max_shard: args.max_shard_size,
        merge: args.merge,
    };
    model_folder::export(&args.model, &args.out, &options)
}
