//! How fast a configuration trains, on made-up data: no file needed, nothing kept.

mod first_step;
mod generation;
mod profile;
mod synthetic;

use std::time::Instant;

use candle_core::Device;
use data::{Batch, Input};
use models::{MaskConfig, cost};
use serde::Serialize;

use crate::config::RunConfig;
use crate::error::Result;
use crate::init::First;
use crate::trainer::Trainer;

pub use first_step::write_first_step;
pub use generation::{Generation, bench_generation};
pub use profile::{Operation, Product, Profile};
pub use synthetic::sizes as synthetic_sizes;

/// What a benchmark measured; the last line of `train bench`, as JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Measurement {
    /// Milliseconds of an update: forward, backward, clip and optimiser.
    pub median_ms: f64,
    /// The fastest update.
    pub min_ms: f64,
    /// The slowest update.
    pub max_ms: f64,
    /// Tokens learnt from in a second, at the median.
    pub tokens_per_s: f64,
    /// Useful arithmetic in 10⁹ operations a second, at the median; see [`models::cost`].
    pub gflops: f64,
    /// Largest resident memory of the process, in 2²⁰ bytes.
    pub peak_rss_mb: f64,
    /// Updates measured.
    pub steps: usize,
    /// Parameters of the model.
    pub n_params: u64,
    /// Threads that computed.
    pub threads: usize,
    /// Instruction set that our kernels ran on.
    pub isa: &'static str,
    /// Loss of the first update.
    pub first_loss: f64,
    /// Where the time went, if that was asked.
    #[serde(flatten)]
    pub profile: Option<Profile>,
}

/// Times `steps` updates of `config`, whose model starts with `first`, on `device` after
/// `warmup` that are not counted; `profiled` tells where the time went, too.
///
/// # Errors
///
/// A size that only data could tell is missing from the configuration.
pub fn bench(
    config: &RunConfig,
    device: &Device,
    first: &First,
    warmup: usize,
    steps: usize,
    profiled: bool,
) -> Result<Measurement> {
    let steps = steps.max(1);
    let mut trainer = Trainer::new(config, (warmup + steps) as u64, device, first)?;
    let batches: Vec<Batch> = (0..config.train.accumulate())
        .map(|i| synthetic::batch(config, i as u32))
        .collect::<Result<_>>()?;
    let (mut first_loss, mut times) = (None, Vec::with_capacity(steps));
    for step in 0..warmup + steps {
        if profiled && step == warmup {
            kernels::profile::start();
        }
        let start = Instant::now();
        let update = trainer.update(step as u64, &batches)?;
        let elapsed = start.elapsed().as_secs_f64();
        first_loss.get_or_insert(update.loss);
        if step >= warmup {
            times.push(elapsed);
        }
    }
    let measured = kernels::profile::finish();
    let peak_rss_mb = peak_rss_bytes() as f64 / f64::from(1 << 20);
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let n_tokens: usize = batches.iter().map(Batch::n_positions).sum();
    let mut flops = 0.0;
    for batch in &batches {
        let mask = cost::attention_mask(&config.model, &batch.mask)?;
        let n_rows = mask.n_queries() as u64;
        let n_pairs = match (&batch.input, config.model.mask()) {
            (Input::Graphs(graphs), MaskConfig::Edges) => graphs.edges.n_edges() as u64,
            _ => cost::n_pairs(&mask),
        };
        flops += cost::step_flops(&config.model, n_rows, n_pairs);
    }
    Ok(Measurement {
        median_ms: median * 1e3,
        min_ms: times[0] * 1e3,
        max_ms: times[times.len() - 1] * 1e3,
        tokens_per_s: n_tokens as f64 / median,
        gflops: flops / median / 1e9,
        peak_rss_mb,
        steps,
        n_params: cost::n_params(&config.model),
        threads: rayon::current_num_threads(),
        isa: kernels::instruction_set(),
        first_loss: first_loss.unwrap_or(f64::NAN),
        profile: profiled.then(|| Profile::new(&measured, steps, kernels::profile::ceiling())),
    })
}

/// The largest resident set that this process has had.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| {
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<u64>()
            .ok()
    });
    kib.unwrap_or(0) * 1024
}
