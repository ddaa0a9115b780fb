//! `train generate MODEL`

use std::path::PathBuf;

use models::Model;

use super::console;
use crate::error::{Error, Result};
use crate::generate::{Request, Sampler, SamplerOptions, generate};
use crate::model_folder;

/// Let a language model write, token by token
///
/// The same model, prompt, options and seed always give the same text.
#[derive(Debug, clap::Args)]
pub(super) struct GenerateArgs {
    /// The model: a model folder, a run folder or a .safetensors file
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Text to go on from
    #[arg(long, value_name = "TEXT", default_value = "")]
    prompt: String,

    /// Most tokens to write
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_tokens: usize,

    /// Below 1 safer, above 1 wilder; 0 always takes the likeliest token
    #[arg(
        long,
        value_name = "T",
        default_value_t = 0.8,
        allow_negative_numbers = true
    )]
    temperature: f64,

    /// Draw from the K likeliest tokens only
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,

    /// Draw from the likeliest tokens only that together have probability P
    #[arg(
        long,
        value_name = "P",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    top_p: f64,

    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// End before this string; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,

    /// Print what is written without the prompt before it
    #[arg(long)]
    no_prompt: bool,
}

pub(super) fn run(args: GenerateArgs) -> Result<()> {
    let sampler = Sampler::new(SamplerOptions {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        seed: args.seed,
    })?;
    let loaded = model_folder::load(&args.model)?;
    let (Model::CausalLm(model), Some(tokenizer)) = (&loaded.model, &loaded.description.tokenizer)
    else {
        return Err(Error::Usage(format!(
            "{}: is a {}, which does not write; use `train predict`",
            args.model.display(),
            loaded.description.config.model.kind()
        )));
    };
    let request = Request {
        prompt: args.prompt,
        max_tokens: args.max_tokens,
        stop: args.stop,
        sampler,
    };
    let mut ends_line = false;
    let mut show = |piece: &str| -> Result<()> {
        if !piece.is_empty() {
            ends_line = piece.ends_with('\n');
            console::print(piece)?;
        }
        Ok(())
    };
    if !args.no_prompt {
        show(&request.prompt)?;
    }
    let written = generate(model, tokenizer, &request, &mut show)?;
    tracing::info!("{} tokens, ended by {}", written.tokens.len(), written.end);
    match ends_line {
        true => Ok(()),
        false => console::print("\n"),
    }
}
