//! `train embed MODEL INPUT…`

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use models::{Modality, Pooling};

use super::{console, inputs};
use crate::embed::{self, Embedder, Embedding, Format, Options};
use crate::error::{Error, Result};
use crate::model_folder;

/// Print the vectors of texts or files, one JSON object a line
///
/// A vector is what the head of a classifier reads, or all that a text encoder says. It is
/// divided by its length, so that the product of two is the cosine of the angle between them.
#[derive(Debug, clap::Args)]
pub(super) struct EmbedArgs {
    /// The model: a model folder, a run folder or a .safetensors file
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Texts, where a file is read line by line, and so is standard input, `-`; or files
    /// of sound, images or graphs
    #[arg(value_name = "INPUT", default_value = "-")]
    inputs: Vec<String>,

    /// Write to this file instead: `.npy`, one array [inputs, d_model], or `.jsonl`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// What of a sample becomes its vector; what the model was made with if absent
    #[arg(long, value_enum)]
    pooling: Option<PoolingArg>,

    /// Leave vectors as long as the model makes them
    #[arg(long)]
    no_normalize: bool,

    /// Texts that are read at a time
    #[arg(long, value_name = "N", default_value = "32")]
    batch_size: NonZeroUsize,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PoolingArg {
    /// The mean of its positions
    Mean,
    /// Its first position
    First,
    /// Its last position
    Last,
}

impl From<PoolingArg> for Pooling {
    fn from(pooling: PoolingArg) -> Self {
        match pooling {
            PoolingArg::Mean => Self::Mean,
            PoolingArg::First => Self::First,
            PoolingArg::Last => Self::Last,
        }
    }
}

pub(super) fn run(args: EmbedArgs) -> Result<()> {
    let format = args.out.as_deref().map(Format::of).transpose()?;
    let loaded = model_folder::load(&args.model)?;
    let model = &loaded.description.config.model;
    let embedder = Embedder::new(
        &loaded,
        Options {
            pooling: args.pooling.map(Into::into),
            normalize: !args.no_normalize,
            batch_size: args.batch_size,
        },
    )?;
    let reads_text = model.kind().modality() == Modality::Text;
    let (Some(path), Some(format)) = (&args.out, format) else {
        return each(embedder, reads_text, &args.inputs, print);
    };
    let mut all = Vec::new();
    each(embedder, reads_text, &args.inputs, |embedding| {
        all.push(embedding);
        Ok(())
    })?;
    embed::write(path, format, &all, model.d_model())
}

/// Gives `emit` the vectors of everything that `inputs` name, in their order.
fn each(
    mut embedder: Embedder<'_>,
    reads_text: bool,
    inputs: &[String],
    mut emit: impl FnMut(Embedding) -> Result<()>,
) -> Result<()> {
    if reads_text {
        inputs::each(inputs, |text| embedder.push(text, &mut emit))?;
        return embedder.flush(emit);
    }
    for input in inputs {
        if input == "-" {
            return Err(Error::Usage(
                "the model reads files, not standard input; name one".into(),
            ));
        }
        embedder
            .file(Path::new(input))?
            .into_iter()
            .try_for_each(&mut emit)?;
    }
    Ok(())
}

fn print(embedding: Embedding) -> Result<()> {
    let line = serde_json::to_string(&embedding).map_err(|error| Error::Stdout(error.into()))?;
    console::print(&format!("{line}\n"))
}
