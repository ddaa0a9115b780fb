//! `train bench CONFIG`

use std::path::PathBuf;

use serde::Serialize;

use super::console;
use crate::bench::{bench, bench_generation, synthetic_sizes, write_first_step};
use crate::config::{Document, RunConfig};
use crate::device;
use crate::error::{Error, Result};
use crate::init::{self, First};

/// Time training steps on made-up tokens; the last line of output is JSON
#[derive(Debug, clap::Args)]
pub(super) struct BenchArgs {
    /// Configuration to time
    #[arg(value_name = "CONFIG")]
    config: PathBuf,

    /// Steps that are timed
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: u32,

    /// Steps before them, not timed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    warmup: u32,

    /// Tell, by operation, where the milliseconds went, and the least they could be
    #[arg(long)]
    profile: bool,

    /// Write the weights before the first update and its batch to a safetensors file
    #[arg(long, value_name = "FILE")]
    first_step: Option<PathBuf>,

    /// Time how a language model writes N tokens, one by one, instead of training steps;
    /// a step is then a text
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "profile",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    generate: Option<u32>,

    /// Change one key of the configuration, e.g. `data.seq_len=512`; no value removes it
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
}

pub(super) fn run(args: BenchArgs) -> Result<()> {
    let document = Document::read(&args.config, &args.overrides)?;
    let (document, init) = init::complete(&document)?;
    let config = RunConfig::of(&document)?;
    let config = config
        .resolve(synthetic_sizes(&config)?)
        .map_err(|error| document.reject("model", &error.to_string()))?;
    let device = device::open(&config, &document)?;
    let pool = device::pool(config.run.threads())?;
    let (warmup, steps) = (args.warmup as usize, args.steps as usize);
    let first_step = args.first_step.as_deref();
    if let Some(n_tokens) = args.generate {
        let n_tokens = n_tokens as usize;
        return print(&pool.install(|| {
            bench_generation(&config, &device, n_tokens, warmup, steps, first_step)
        })?);
    }
    let first = match init {
        Some(init) => init.first(&config, None)?.0,
        None => First::default(),
    };
    if let Some(path) = first_step {
        pool.install(|| write_first_step(&config, &device, &first, path))?;
    }
    let measured = pool.install(|| bench(&config, &device, &first, warmup, steps, args.profile))?;
    if let Some(profile) = &measured.profile {
        console::print(&profile.table())?;
    }
    print(&measured)
}

fn print(measured: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(measured).map_err(|error| Error::Usage(error.to_string()))?;
    console::print(&format!("{line}\n"))
}
