//! What a text means, as a vector.

use std::sync::Arc;

use attn_core::{Mask, Pass, Pattern, Stack};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::pooled::Pooled;
use crate::ModelConfig;

/// A text encoder: blocks, one vector a text, no head.
///
/// Such vectors are compared by their angle, to find texts that mean alike (Reimers &
/// Gurevych 2019 <https://arxiv.org/abs/1908.10084>). There is no loss, so the model is not
/// trained as it is: it is the body of a [`TextClassifier`](super::TextClassifier), or comes
/// from elsewhere.
///
/// Parameters, under the prefix of the builder: those of a
/// [`TextClassifier`](super::TextClassifier) without its head.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    body: Pooled,
}

impl TextEncoder {
    /// Creates the model, taking its parameters from `vb`.
    ///
    /// # Errors
    ///
    /// If `config` is of a kind that does not pool, a size is still left to the data, or
    /// `vb` lacks a parameter or has it in another shape.
    pub fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            body: Pooled::new(config, vb)?,
        })
    }

    /// One vector of every text.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[n]`, the packed texts of `mask`, none of them empty
    /// - returns: `[batch, d_model]`
    ///
    /// # Errors
    ///
    /// A token that is not below `vocab_size`, a text longer than `max_seq_len` where
    /// positions are learnt, or a mask over another number of rows.
    pub fn vectors(&self, tokens: Arc<[u32]>, mask: &Mask, pass: Pass) -> Result<Tensor> {
        self.body.forward(tokens, mask, pass)
    }

    /// What a position may read of its own text.
    pub fn pattern(&self) -> &Pattern {
        self.body.pattern()
    }

    /// Longest text, in tokens.
    pub fn max_seq_len(&self) -> usize {
        self.body.max_seq_len()
    }

    /// The blocks of attention, if the model has any, to look at.
    pub fn stack(&self) -> Option<&Stack> {
        self.body.stack()
    }
}
