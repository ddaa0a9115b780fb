//! How fast a language model writes, one token after the other.

use std::path::Path;
use std::time::Instant;

use attn_core::ParamStore;
use candle_core::{DType, Device};
use models::text::CausalLm;
use models::{Kind, cost};
use serde::Serialize;

use super::{first_step, peak_rss_bytes};
use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::generate::{Reader, Sampler, SamplerOptions};
use crate::model_file::NamedTensor;

/// The token that every text begins behind.
const PROMPT: u32 = 0;

/// What writing measured; the last line of `train bench --generate`, as JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Generation {
    /// Tokens written in a second, in the median text.
    pub tokens_per_s: f64,
    /// Milliseconds of the median text.
    pub median_ms: f64,
    /// The fastest text.
    pub min_ms: f64,
    /// The slowest text.
    pub max_ms: f64,
    /// Tokens of a text.
    pub n_tokens: usize,
    /// Texts measured; all are the same.
    pub steps: usize,
    /// Largest resident memory of the process, in 2²⁰ bytes.
    pub peak_rss_mb: f64,
    /// Parameters of the model.
    pub n_params: u64,
    /// Threads that computed.
    pub threads: usize,
    /// Instruction set that our kernels ran on.
    pub isa: &'static str,
    /// Mean surprise at the tokens that were written, in nats.
    pub first_loss: f64,
}

/// Times how the model of `config`, with first weights, writes `n_tokens` behind token 0,
/// always the likeliest, with its keys and values cached. Before the `steps` texts that are
/// timed, `warmup` of them are not, at least one.
///
/// Into the file `first_step`, if there is one, go the weights, the first token as
/// `batch.inputs` and what was written as `batch.targets`; see
/// [`write_first_step`](super::write_first_step).
///
/// # Errors
///
/// A model that does not write, a size that only data could tell, or a file that cannot be
/// written.
pub fn bench_generation(
    config: &RunConfig,
    device: &Device,
    n_tokens: usize,
    warmup: usize,
    steps: usize,
    first_step: Option<&Path>,
) -> Result<Generation> {
    if config.model.kind() != Kind::TextLm {
        return Err(Error::Usage(format!(
            "--generate: a model of kind {} does not write; use one of kind text-lm",
            config.model.kind()
        )));
    }
    let store = ParamStore::new(config.run.seed(), DType::F32, device);
    CausalLm::new(&config.model, store.var_builder())?;
    let model = CausalLm::new(&config.model, store.detached())?;

    let mut surprises = 0.0;
    let text = write(&model, n_tokens, |logits, token| {
        surprises += surprise(logits, token);
    })?;
    if let Some(path) = first_step {
        let weights = store.named_vars();
        let named = |(name, var)| NamedTensor::tensor(name, candle_core::Var::as_tensor(var));
        let mut tensors: Vec<_> = weights
            .iter()
            .map(|(n, v)| named((n.as_str(), v)))
            .collect();
        tensors.push(NamedTensor::ids("batch.inputs", &text[..1]));
        tensors.push(NamedTensor::ids("batch.targets", &text[1..]));
        first_step::write(path, config, &tensors)?;
    }
    for _ in 1..warmup {
        write(&model, n_tokens, |_, _| ())?;
    }
    let mut times = Vec::with_capacity(steps.max(1));
    for _ in 0..steps.max(1) {
        let start = Instant::now();
        write(&model, n_tokens, |_, _| ())?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    Ok(Generation {
        tokens_per_s: n_tokens as f64 / median,
        median_ms: median * 1e3,
        min_ms: times[0] * 1e3,
        max_ms: times[times.len() - 1] * 1e3,
        n_tokens,
        steps: times.len(),
        peak_rss_mb: peak_rss_bytes() as f64 / f64::from(1 << 20),
        n_params: cost::n_params(&config.model),
        threads: rayon::current_num_threads(),
        isa: kernels::instruction_set(),
        first_loss: surprises / n_tokens as f64,
    })
}

/// The prompt and `n_tokens` behind it; `see` gets the logits and the choice of each.
fn write(model: &CausalLm, n_tokens: usize, mut see: impl FnMut(&[f32], u32)) -> Result<Vec<u32>> {
    let likeliest = Sampler::new(SamplerOptions {
        temperature: 0.0,
        ..SamplerOptions::default()
    })?;
    let mut reader = Reader::new(model);
    let mut text = vec![PROMPT];
    for _ in 0..n_tokens {
        let logits = reader.read(&text)?;
        let token = likeliest.choose(&logits, text.len() as u64)?;
        see(&logits, token);
        text.push(token);
    }
    Ok(text)
}

/// `-ln softmax(logits)[token]`
fn surprise(logits: &[f32], token: u32) -> f64 {
    let chosen = f64::from(logits[token as usize]);
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - chosen).exp()).sum();
    sum.ln()
}
