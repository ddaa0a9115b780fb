//! A model says which vector stands for what it is given.
//!
//! The vector is what the head of a classifier reads, or all that a text encoder says.
//! Inputs that are alike have vectors that point in like directions, so they can be
//! compared, searched and grouped by the angle between them.

mod write;

use std::num::NonZeroUsize;
use std::path::Path;

use attn_core::Mask;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use models::{Input, Model, Pooling};
use serde::Serialize;

use crate::config::{Document, RunConfig};
use crate::dataset::batch_of_file;
use crate::error::{Error, Result};
use crate::model_folder::LoadedModel;
use crate::predict::{damaged, packed};

pub use write::{Format, write};

/// Batches of texts that are sorted by length together.
const BATCHES_SORTED: usize = 32;

/// How vectors are made.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What of a sample becomes its vector; what the model was made with if absent.
    pub pooling: Option<Pooling>,
    /// Whether every vector is divided by its length.
    pub normalize: bool,
    /// Texts that are read at a time.
    pub batch_size: NonZeroUsize,
}

/// The vector of one text, or of one sample of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Embedding {
    /// The text, or the file.
    pub input: String,
    /// Which sample of the file, from 0; absent if there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// As many numbers as the model is wide.
    pub vector: Vec<f32>,
}

/// Takes texts and files, hands out their vectors in the same order.
#[derive(Debug)]
pub struct Embedder<'a> {
    loaded: &'a LoadedModel,
    model: Model,
    normalize: bool,
    batch_size: usize,
    waiting: Vec<(String, Vec<u32>)>,
}

impl<'a> Embedder<'a> {
    /// Creates an embedder without texts.
    ///
    /// # Errors
    ///
    /// A model that makes no vector of a sample, but answers row by row.
    pub fn new(loaded: &'a LoadedModel, options: Options) -> Result<Self> {
        let kind = loaded.description.config.model.kind();
        if !kind.pools() {
            return Err(Error::Usage(format!(
                "a {kind} makes no vector of a sample; use a classifier or an encoder of \
                 samples"
            )));
        }
        Ok(Self {
            loaded,
            model: match options.pooling {
                None => loaded.model.clone(),
                Some(pooling) => with_pooling(loaded, pooling)?,
            },
            normalize: options.normalize,
            batch_size: options.batch_size.get(),
            waiting: Vec::new(),
        })
    }

    /// Adds a text, of which the first `max_seq_len` tokens are read; gives `emit` the
    /// vectors that are ready.
    ///
    /// # Errors
    ///
    /// A model that reads no text, a text that the tokenizer cannot encode or that has no
    /// tokens, and what `emit` returns.
    pub fn push(&mut self, text: &str, emit: impl FnMut(Embedding) -> Result<()>) -> Result<()> {
        let Some(tokenizer) = &self.loaded.description.tokenizer else {
            return Err(Error::Usage(
                "the model does not read text; name the files that it should read".into(),
            ));
        };
        let ids = tokenizer.encode_sequence(text, self.model.max_seq_len())?;
        if ids.is_empty() {
            return Err(Error::Data(format!(
                "the text {text:?} has no tokens; leave it out"
            )));
        }
        self.waiting.push((text.to_owned(), ids));
        match self.waiting.len() / BATCHES_SORTED >= self.batch_size {
            true => self.flush(emit),
            false => Ok(()),
        }
    }

    /// Gives `emit` the vectors of the texts that are still waiting.
    ///
    /// # Errors
    ///
    /// What `emit` returns, and weights that are damaged.
    pub fn flush(&mut self, mut emit: impl FnMut(Embedding) -> Result<()>) -> Result<()> {
        let texts = std::mem::take(&mut self.waiting);
        // Texts of like length share a batch: threads that share its sequences then have
        // like work.
        let mut by_length: Vec<usize> = (0..texts.len()).collect();
        by_length.sort_by_key(|&i| texts[i].1.len());
        let mut vectors = vec![Vec::new(); texts.len()];
        for batch in by_length.chunks(self.batch_size) {
            let (tokens, walls) = packed(batch.iter().map(|&i| texts[i].1.as_slice()));
            let pattern = self.model.pattern().clone();
            let mask = Mask::new(pattern, walls).map_err(candle_core::Error::wrap)?;
            let made = self.vectors(&Input::Tokens(tokens), &mask)?;
            for (&i, vector) in batch.iter().zip(made) {
                vectors[i] = vector;
            }
        }
        let embedding = |((input, _), vector)| Embedding {
            input,
            index: None,
            vector,
        };
        let mut embeddings = texts.into_iter().zip(vectors).map(embedding);
        embeddings.try_for_each(&mut emit)
    }

    /// The vectors of the samples of the file at `path`.
    ///
    /// # Errors
    ///
    /// A file that the model cannot read, with its place, and weights that are damaged.
    pub fn file(&self, path: &Path) -> Result<Vec<Embedding>> {
        let batch = batch_of_file(&self.loaded.description, path)?;
        let vectors = self.vectors(&batch.input, &batch.mask)?;
        let only = vectors.len() == 1;
        let embedding = |(i, vector)| Embedding {
            input: path.display().to_string(),
            index: (!only).then_some(i),
            vector,
        };
        Ok(vectors.into_iter().enumerate().map(embedding).collect())
    }

    /// One vector of every sample of a batch.
    fn vectors(&self, input: &Input, mask: &Mask) -> Result<Vec<Vec<f32>>> {
        let rows = self.model.vectors(input, mask)?;
        let mut rows = rows.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        for row in &mut rows {
            if let Some(&x) = row.iter().find(|x| !x.is_finite()) {
                return Err(damaged(f64::from(x)));
            }
            if self.normalize {
                normalize(row);
            }
        }
        Ok(rows)
    }
}

/// Divides a vector by its length; one of zeros has no direction and stays what it is.
fn normalize(vector: &mut [f32]) {
    let squares: f64 = vector.iter().map(|&x| f64::from(x).powi(2)).sum();
    if squares > 0.0 {
        let length = squares.sqrt();
        for x in vector {
            *x = (f64::from(*x) / length) as f32;
        }
    }
}

/// The same weights, of which another pooling makes vectors.
fn with_pooling(loaded: &LoadedModel, pooling: Pooling) -> Result<Model> {
    let toml = loaded.description.config.to_toml();
    let change = [format!("model.pooling={pooling}")];
    let document = Document::parse(Path::new("--pooling"), &toml, &change)?;
    let config = RunConfig::of(&document)?;
    let tensors = loaded.tensors.iter();
    let shared = tensors.map(|(name, tensor): (&String, &Tensor)| (name.clone(), tensor.clone()));
    let vb = VarBuilder::from_tensors(shared.collect(), DType::F32, &Device::Cpu);
    Ok(Model::build(&config.model, vb)?)
}

#[cfg(test)]
mod tests;
