//! Texts in, predictions out.

use std::sync::Arc;

use attn_core::{Mask, Pass};
use candle_core::DType;
use models::Model;
use models::text::{CausalLm, TextClassifier, TextEncoder};

use super::{Choice, Prediction, choices, damaged};
use crate::error::{Error, Result};
use crate::model_folder::LoadedModel;

/// Tokens that are read at a time, as long as one text does not have more.
const BATCH_TOKENS: usize = 4096;

/// Takes texts, hands out predictions in the same order, a batch at a time.
///
/// A classifier reads the first `max_seq_len` tokens of a text, as in training, and so does an
/// encoder. A language model is asked for every token of a text but the first, which it is
/// only asked for behind the end-of-text token of a tokenizer that has one; it reads a long
/// text in windows of `max_seq_len` tokens, each on its own.
#[derive(Debug)]
pub struct Predictor<'a> {
    loaded: &'a LoadedModel,
    waiting: Vec<(String, Vec<u32>)>,
    n_waiting: usize,
}

impl<'a> Predictor<'a> {
    /// Creates a predictor without texts.
    pub fn new(loaded: &'a LoadedModel) -> Self {
        Self {
            loaded,
            waiting: Vec::new(),
            n_waiting: 0,
        }
    }

    /// Adds a text; gives `emit` what has been predicted, if a batch is full.
    ///
    /// # Errors
    ///
    /// A text that the tokenizer cannot encode or that has no tokens, unless it is a language
    /// model that is asked,
    /// and what `emit` returns.
    pub fn push(&mut self, text: &str, emit: impl FnMut(Prediction) -> Result<()>) -> Result<()> {
        let ids = self.encode(text)?;
        self.n_waiting += ids.len();
        self.waiting.push((text.to_owned(), ids));
        match self.n_waiting >= BATCH_TOKENS || self.waiting.len() >= BATCH_TOKENS {
            true => self.flush(emit),
            false => Ok(()),
        }
    }

    /// Gives `emit` what is still to be predicted.
    ///
    /// # Errors
    ///
    /// What `emit` returns.
    pub fn flush(&mut self, mut emit: impl FnMut(Prediction) -> Result<()>) -> Result<()> {
        self.n_waiting = 0;
        let texts = std::mem::take(&mut self.waiting);
        if texts.is_empty() {
            return Ok(());
        }
        let predictions = match &self.loaded.model {
            Model::CausalLm(model) => score(model, texts)?,
            Model::TextClassifier(model) => {
                classify(model, &self.loaded.description.labels, texts)?
            }
            Model::TextEncoder(model) => encode(model, texts)?,
            other => {
                return Err(Error::Usage(format!(
                    "{other:?} does not read text; use another model"
                )));
            }
        };
        predictions.into_iter().try_for_each(&mut emit)
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let Some(tokenizer) = &self.loaded.description.tokenizer else {
            return Err(Error::Usage(
                "the model does not read text; name the files that it should read".into(),
            ));
        };
        match &self.loaded.model {
            model @ (Model::TextClassifier(_) | Model::TextEncoder(_)) => {
                let ids = tokenizer.encode_sequence(text, model.max_seq_len())?;
                match ids.is_empty() {
                    true => Err(Error::Data(format!(
                        "the text {text:?} has no tokens; leave it out"
                    ))),
                    false => Ok(ids),
                }
            }
            _ => {
                let ids = tokenizer.encode(text)?;
                Ok(tokenizer.end_of_text().into_iter().chain(ids).collect())
            }
        }
    }
}

fn classify(
    model: &TextClassifier,
    labels: &[String],
    texts: Vec<(String, Vec<u32>)>,
) -> Result<Vec<Prediction>> {
    let (tokens, walls) = packed(texts.iter().map(|(_, ids)| ids.as_slice()));
    let mask = Mask::new(model.pattern().clone(), walls).map_err(candle_core::Error::wrap)?;
    let logits = model.logits(tokens, &mask, Pass::eval())?;
    let choices = choices(&logits, labels)?;
    let prediction = |(
        (text, _),
        Choice {
            label,
            probabilities,
        },
    )| Prediction::Class {
        text,
        label,
        probabilities,
    };
    Ok(texts.into_iter().zip(choices).map(prediction).collect())
}

fn encode(model: &TextEncoder, texts: Vec<(String, Vec<u32>)>) -> Result<Vec<Prediction>> {
    let (tokens, walls) = packed(texts.iter().map(|(_, ids)| ids.as_slice()));
    let mask = Mask::new(model.pattern().clone(), walls).map_err(candle_core::Error::wrap)?;
    let vectors = model.vectors(tokens, &mask, Pass::eval())?;
    let vectors = vectors.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    let prediction = |((text, _), vector): ((String, Vec<u32>), Vec<f32>)| match vector
        .iter()
        .find(|x| !x.is_finite())
    {
        Some(&x) => Err(damaged(f64::from(x))),
        None => Ok(Prediction::Vector { text, vector }),
    };
    texts.into_iter().zip(vectors).map(prediction).collect()
}

fn score(model: &CausalLm, texts: Vec<(String, Vec<u32>)>) -> Result<Vec<Prediction>> {
    // Every token but the last is read, every token but the first is foreseen.
    let windows: Vec<(usize, &[u32], &[u32])> = texts
        .iter()
        .enumerate()
        .filter(|(_, (_, ids))| ids.len() > 1)
        .flat_map(|(text, (_, ids))| {
            let read = ids[..ids.len() - 1].chunks(model.max_seq_len());
            let foreseen = ids[1..].chunks(model.max_seq_len());
            read.zip(foreseen)
                .map(move |(read, foreseen)| (text, read, foreseen))
        })
        .collect();
    let mut sums = vec![models::Evaluation::default(); texts.len()];
    let mut rest = windows.as_slice();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(n_in_batch(rest));
        rest = later;
        let (tokens, walls) = packed(batch.iter().map(|(_, read, _)| *read));
        let targets: Vec<u32> = batch
            .iter()
            .flat_map(|(_, _, foreseen)| *foreseen)
            .copied()
            .collect();
        let mask = Mask::new(model.pattern().clone(), walls).map_err(candle_core::Error::wrap)?;
        let each = model.evaluate_each(tokens, &mask, &targets)?;
        for ((text, ..), evaluation) in batch.iter().zip(each) {
            sums[*text] += evaluation;
        }
    }
    let prediction = |((text, _), sum): ((String, Vec<u32>), models::Evaluation)| {
        let loss = sum.loss();
        match loss.filter(|loss| !loss.is_finite()) {
            Some(loss) => Err(damaged(loss)),
            None => Ok(Prediction::Score {
                text,
                n_tokens: sum.n_targets,
                loss,
                perplexity: loss.map(f64::exp),
            }),
        }
    };
    texts.into_iter().zip(sums).map(prediction).collect()
}

/// How many of `windows`, at least one, are read at a time.
fn n_in_batch(windows: &[(usize, &[u32], &[u32])]) -> usize {
    let mut n_tokens = 0;
    let full = windows.iter().position(|(_, read, _)| {
        n_tokens += read.len();
        n_tokens > BATCH_TOKENS
    });
    full.unwrap_or(windows.len()).max(1)
}

/// The sequences one after the other, and the walls between them.
pub(crate) fn packed<'a>(sequences: impl Iterator<Item = &'a [u32]>) -> (Arc<[u32]>, Vec<u32>) {
    let (mut tokens, mut walls) = (Vec::new(), vec![0]);
    for sequence in sequences {
        tokens.extend_from_slice(sequence);
        walls.push(tokens.len() as u32);
    }
    (tokens.into(), walls)
}
