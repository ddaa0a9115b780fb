//! Which token comes next?

use std::sync::Arc;

use attn_core::{Linear, Mask, Pass, Pattern, Stack, Targets};
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::cache::Cache;
use super::trunk::Trunk;
use crate::ModelConfig;
use crate::evaluation::Evaluation;
use crate::first_weights::first_weights;
use crate::objective::{self, LossOptions};

/// A causal language model: GPT and its relatives.
///
/// Parameters, under the prefix of the builder: `embed.weight`, `[vocab_size, d_model]`,
/// which a tied head is too; `position.weight`, `[max_seq_len, d_model]`, if positions are
/// learnt; `blocks.0`, `blocks.1`, …; `norm` in a pre-norm model; `head.weight`,
/// `[vocab_size, d_model]`, if the head is not tied.
#[derive(Debug, Clone)]
pub struct CausalLm {
    trunk: Trunk,
    head: Linear,
}

impl CausalLm {
    /// Creates the model, taking its parameters from `vb`.
    ///
    /// # Errors
    ///
    /// If a size of `config` is still left to the data, or `vb` lacks a parameter or has
    /// it in another shape.
    pub fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let trunk = Trunk::new(config, vb.clone())?;
        let head = match config.tied() {
            true => Linear::from_tensors(trunk.embedding().clone(), None),
            false => {
                let (vocab_size, d_model) = trunk.embedding().dims2()?;
                Linear::new(
                    d_model,
                    vocab_size,
                    false,
                    first_weights(config),
                    vb.pp("head"),
                )?
            }
        };
        Ok(Self { trunk, head })
    }

    /// Scores of every token to come next, behind every position.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[n]`, the packed sequences of `mask`
    /// - returns: `[n, vocab_size]`
    ///
    /// # Errors
    ///
    /// A token that is not below `vocab_size`, a sequence longer than `max_seq_len` where
    /// positions are learnt, or a mask over another number of rows.
    pub fn logits(&self, tokens: Arc<[u32]>, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let x = self.trunk.forward(tokens, mask, pass)?;
        self.head.forward_with(&x, None, None)
    }

    /// Mean surprise at `targets`, in nats; the `[n, vocab_size]` logits are never held.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[n]`, the packed sequences of `mask`
    /// - `targets`: `[n]`, the token behind each; `u32::MAX` for none
    /// - returns: a scalar
    ///
    /// # Errors
    ///
    /// As [`CausalLm::logits`], and a target that is neither a token nor `u32::MAX`.
    pub fn loss(
        &self,
        tokens: Arc<[u32]>,
        mask: &Mask,
        targets: &Targets,
        options: LossOptions,
        pass: Pass,
    ) -> Result<Tensor> {
        let x = self.trunk.forward(tokens, mask, pass)?;
        objective::loss(&self.head, &x, targets, options)
    }

    /// Summed surprise at `targets`, in nats, without dropout and label smoothing, and how
    /// often the likeliest token was right.
    ///
    /// # Errors
    ///
    /// As [`CausalLm::loss`].
    pub fn evaluate(
        &self,
        tokens: Arc<[u32]>,
        mask: &Mask,
        targets: &Targets,
    ) -> Result<Evaluation> {
        let Targets::Classes(targets) = targets else {
            bail!("tokens are foreseen, not {targets:?}");
        };
        let x = self.trunk.forward(tokens, mask, Pass::eval())?;
        objective::evaluate_tokens(&self.head, &x, targets)
    }

    /// As [`CausalLm::evaluate`], one result for each sequence.
    ///
    /// # Errors
    ///
    /// As [`CausalLm::loss`].
    pub fn evaluate_each(
        &self,
        tokens: Arc<[u32]>,
        mask: &Mask,
        targets: &[u32],
    ) -> Result<Vec<Evaluation>> {
        if targets.len() != tokens.len() {
            bail!("{} tokens, but {} targets", tokens.len(), targets.len());
        }
        let x = self.trunk.forward(tokens, mask, Pass::eval())?;
        let of_sequence = |walls: &[u32]| {
            let (start, end) = (walls[0] as usize, walls[1] as usize);
            let x = x.narrow(0, start, end - start)?;
            objective::evaluate_tokens(&self.head, &x, &targets[start..end])
        };
        mask.cu_seqlens().windows(2).map(of_sequence).collect()
    }

    /// Scores of every token to come behind the last of `tokens`, which follow those that
    /// are in `cache` and are added to it. One sequence, in evaluation.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[n]`, at least one
    /// - returns: `[vocab_size]`
    ///
    /// # Errors
    ///
    /// As [`CausalLm::logits`]; the cache then holds what it held before.
    pub fn decode(&self, tokens: Arc<[u32]>, cache: &mut Cache) -> Result<Tensor> {
        if tokens.is_empty() {
            bail!("no tokens to decode");
        }
        let x = self.trunk.decode(tokens, cache)?;
        self.head.forward_with(&x, None, None)?.squeeze(0)
    }

    /// An empty cache for [`CausalLm::decode`].
    pub fn cache(&self) -> Cache {
        self.trunk.cache()
    }

    /// What a position may read of its own sequence.
    pub fn pattern(&self) -> &Pattern {
        self.trunk.pattern()
    }

    /// Longest sequence, in tokens.
    pub fn max_seq_len(&self) -> usize {
        self.trunk.max_seq_len()
    }

    /// The blocks of attention, if the model has any, to look at.
    pub fn stack(&self) -> Option<&Stack> {
        self.trunk.stack()
    }
}
