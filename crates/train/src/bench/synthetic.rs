//! Made-up data of the sizes that a configuration names.

use attn_core::input::{Images, Rows};
use data::{Batch, Input, Open, Sample, Targets};
use kernels::rng::{Domain, Key};
use models::{DataSizes, Kind, Modality, ModelConfig};

use crate::config::RunConfig;
use crate::dataset::{Dataset, NO_LOSS};
use crate::error::{Error, Result};
use crate::metrics::Split;

/// Features of a frame and pixels of a side, where `[model]` does not fix them.
const N_FEATURES: usize = 80;
/// Positions of a recogniser of speech for each symbol that it should spell: with fewer than
/// two, symbols that repeat would have no place.
const POSITIONS_A_SYMBOL: usize = 4;

/// The sizes of made-up data: the window that `[data]` names, and those classes, tokens
/// and features that `[model]` does not fix. Graphs are not made up here but by `[data]`,
/// which knows their sizes.
///
/// # Errors
///
/// Graphs that cannot be read.
pub fn sizes(config: &RunConfig) -> Result<DataSizes> {
    let model = &config.model;
    if model.kind().modality() == Modality::Graph {
        return Ok(open(config)?.sizes(&config.data));
    }
    Ok(DataSizes {
        seq_len: config.data.seq_len(),
        vocab_size: model.vocab_size().is_err().then_some(256),
        n_classes: model.n_classes().is_err().then_some(2),
        n_features: Some(N_FEATURES).filter(|_| {
            model
                .speech()
                .is_some_and(|speech| speech.n_features().is_err())
        }),
        ..DataSizes::default()
    })
}

fn open(config: &RunConfig) -> Result<Dataset> {
    let open = Open {
        seed: config.run.seed(),
        ..Open::default()
    };
    Dataset::open(config.model.kind(), &config.data, &open)
}

/// A batch of numbers drawn uniformly.
pub(super) fn batch(config: &RunConfig, index: u32) -> Result<Batch> {
    let model = &config.model;
    let samples = config.train.batch_size();
    let key = Key {
        seed: config.run.seed(),
        domain: Domain::Benchmark,
        step: index,
        site: 0,
    };
    let mut draws = Draws { key, next: 0 };
    let (input, length) = match model.kind().modality() {
        Modality::Text => {
            let length = rows_a_sample(config)?;
            let vocab_size = model.vocab_size().map_err(unresolved)?;
            let tokens: Vec<u32> = draws.below(samples * length, vocab_size);
            (Input::Tokens(tokens.into()), length)
        }
        Modality::Speech => {
            let length = rows_a_sample(config)?;
            let table = model.speech().copied().unwrap_or_default();
            let width = table.n_features().map_err(unresolved)?;
            let values = draws.numbers(samples * length * width);
            (Input::Frames(Rows::new(values, width)?), length)
        }
        Modality::Image => {
            let table = model.image().cloned().unwrap_or_default();
            let shape = table.shape().map_err(unresolved)?;
            let pixels = draws.numbers(samples * shape.n_values());
            (Input::Images(Images::new(pixels, shape)?), shape.n_pixels())
        }
        Modality::Graph => return graphs(config),
    };
    let ends: Vec<usize> = (1..=samples).map(|i| i * length).collect();
    let targets = targets(model, &mut draws, samples, length)?;
    Ok(Batch::pack(input, &ends, targets, &model.mask().into())?)
}

/// The first graphs of `[data]`, which may be a recipe such as `generated:random`.
fn graphs(config: &RunConfig) -> Result<Batch> {
    let train = open(config)?.split(Split::Train)?;
    let train = train.ok_or_else(|| Error::Data("there is nothing to train on".into()))?;
    let n = (config.train.batch_size() as u64).min(train.len());
    let samples: Vec<Sample> = (0..n).map(|index| Sample { epoch: 0, index }).collect();
    Ok(train.pack(&samples, &config.model.mask().into())?)
}

/// Rows of every sample: what `[data]` says, else the most that the model takes.
fn rows_a_sample(config: &RunConfig) -> Result<usize> {
    match config.data.seq_len() {
        Some(length) => Ok(length),
        None => config.model.max_seq_len().map_err(unresolved),
    }
}

/// One target a row or a sample, or a sequence a sample, as the kind needs it.
fn targets(
    model: &ModelConfig,
    draws: &mut Draws,
    samples: usize,
    length: usize,
) -> Result<Targets> {
    let n_classes = || Ok::<_, Error>(model.n_classes().map_err(unresolved)?.unwrap_or(2));
    match model.kind() {
        Kind::TextLm => {
            let vocab_size = model.vocab_size().map_err(unresolved)?;
            Ok(draws.below(samples * length, vocab_size).into())
        }
        Kind::TextClassifier | Kind::SpeechClassifier | Kind::ImageClassifier => {
            Ok(draws.below(samples, n_classes()?).into())
        }
        Kind::SpeechFrames => Ok(draws.below(samples * length, n_classes()?).into()),
        Kind::SpeechCtc => {
            let speech = model.speech().copied().unwrap_or_default();
            let n_symbols = (speech.n_positions(length) / POSITIONS_A_SYMBOL).max(1);
            let labels = draws.below(samples * n_symbols, n_classes()?);
            let ends = (1..=samples).map(|i| (i * n_symbols) as u32);
            Ok(Targets::Sequences {
                labels: labels.into(),
                ends: ends.collect(),
            })
        }
        Kind::TextEncoder => Err(Error::Usage(NO_LOSS.into())),
        kind => Err(Error::Usage(format!(
            "{kind}: targets cannot be made up yet"
        ))),
    }
}

/// Numbers that follow each other in one stream.
struct Draws {
    key: Key,
    next: u64,
}

impl Draws {
    fn word(&mut self) -> u32 {
        self.next += 1;
        self.key.word(self.next - 1)
    }

    /// `n` whole numbers below `bound`.
    fn below(&mut self, n: usize, bound: usize) -> Vec<u32> {
        let draw = |draws: &mut Self| ((u64::from(draws.word()) * bound as u64) >> 32) as u32;
        (0..n).map(|_| draw(self)).collect()
    }

    /// `n` numbers of variance 1 about 0.
    fn numbers(&mut self, n: usize) -> Vec<f32> {
        let half_width = 3f64.sqrt();
        let unit = |word: u32| f64::from(word) / f64::from(u32::MAX) * 2.0 - 1.0;
        (0..n)
            .map(|_| (unit(self.word()) * half_width) as f32)
            .collect()
    }
}

fn unresolved(error: models::ConfigError) -> Error {
    Error::Usage(error.to_string())
}
