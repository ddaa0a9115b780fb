//! Which class does this text belong to?

use std::sync::Arc;

use attn_core::{Linear, Mask, Pass, Pattern, Stack, Targets};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::pooled::Pooled;
use crate::ModelConfig;
use crate::evaluation::Evaluation;
use crate::first_weights::first_weights;
use crate::objective::{self, LossOptions};

/// A text classifier: blocks, one vector a text, one linear map.
///
/// Parameters, under the prefix of the builder: those of
/// [`CausalLm`](super::CausalLm) without its head; with a pooler, `pooler.weight`,
/// `[d_model, d_model]`, and `pooler.bias`; `head.weight`, `[n_classes, d_model]`, and, with
/// biases, `head.bias`, `[n_classes]`.
#[derive(Debug, Clone)]
pub struct TextClassifier {
    body: Pooled,
    head: Linear,
}

impl TextClassifier {
    /// Creates the model, taking its parameters from `vb`.
    ///
    /// # Errors
    ///
    /// If `config` is of a language model, a size is still left to the data, or `vb`
    /// lacks a parameter or has it in another shape.
    pub fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let n_classes = config.n_classes().map_err(Error::wrap)?;
        let Some(n_classes) = n_classes else {
            bail!("kind = \"{}\" has no classes", config.kind());
        };
        let (d_model, bias) = (config.d_model(), config.bias());
        let init = first_weights(config);
        Ok(Self {
            body: Pooled::new(config, vb.clone())?,
            head: Linear::new(d_model, n_classes, bias, init, vb.pp("head"))?,
        })
    }

    /// Scores of every class, for every text.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[n]`, the packed texts of `mask`, none of them empty
    /// - returns: `[batch, n_classes]`
    ///
    /// # Errors
    ///
    /// A token that is not below `vocab_size`, a text longer than `max_seq_len` where
    /// positions are learnt, or a mask over another number of rows.
    pub fn logits(&self, tokens: Arc<[u32]>, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let x = self.pooled(tokens, mask, pass)?;
        self.head.forward_with(&x, None, None)
    }

    /// Mean surprise at the classes, in nats.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[n]`, the packed texts of `mask`
    /// - `targets`: `[batch]`, the class of each text; `u32::MAX` for none
    /// - returns: a scalar
    ///
    /// # Errors
    ///
    /// As [`TextClassifier::logits`], and a target that is no class.
    pub fn loss(
        &self,
        tokens: Arc<[u32]>,
        mask: &Mask,
        targets: &Targets,
        options: LossOptions,
        pass: Pass,
    ) -> Result<Tensor> {
        let x = self.pooled(tokens, mask, pass)?;
        objective::loss(&self.head, &x, targets, options)
    }

    /// Summed surprise at the classes, in nats, and how often the likeliest was right.
    ///
    /// # Errors
    ///
    /// As [`TextClassifier::loss`].
    pub fn evaluate(
        &self,
        tokens: Arc<[u32]>,
        mask: &Mask,
        targets: &Targets,
    ) -> Result<Evaluation> {
        objective::evaluate_classes(&self.logits(tokens, mask, Pass::eval())?, targets)
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

    /// One vector a text, `[batch, d_model]`: what the head reads.
    pub(crate) fn pooled(&self, tokens: Arc<[u32]>, mask: &Mask, pass: Pass) -> Result<Tensor> {
        self.body.forward(tokens, mask, pass)
    }
}
