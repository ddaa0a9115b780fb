//! Which class does this recording belong to?

use std::sync::Arc;

use attn_core::input::Rows;
use attn_core::{Linear, Mask, Norm, Pass, Pattern, Stack, Targets};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::VarBuilder;
use kernels::Pool;

use super::trunk::Trunk;
use crate::evaluation::Evaluation;
use crate::first_weights::first_weights;
use crate::objective::{self, LossOptions};
use crate::stack::norm_config;
use crate::{ModelConfig, Pooling};

/// A classifier of recordings: blocks, one vector a recording, one linear map.
///
/// Parameters, under the prefix of the builder: those of the front end, the positions and
/// the blocks, see [the crate](crate#names-of-parameters); `head.norm`, if the head has a
/// norm before its map; `head.weight`, `[n_classes, d_model]`, and, with biases, `head.bias`,
/// `[n_classes]`.
#[derive(Debug, Clone)]
pub struct SpeechClassifier {
    trunk: Trunk,
    pool: Pool,
    /// Whether the mean of the first two rows of a recording is what is pooled.
    pools_two: bool,
    head_norm: Option<Norm>,
    head: Linear,
}

impl SpeechClassifier {
    /// Creates the model, taking its parameters from `vb`.
    ///
    /// # Errors
    ///
    /// If `config` is of another kind, a size is still left to the data, or `vb` lacks a
    /// parameter or has it in another shape.
    pub fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let n_classes = config.n_classes().map_err(Error::wrap)?;
        let (Some(n_classes), Some(pooling)) = (n_classes, config.pooling()) else {
            bail!("kind = \"{}\" has no class for a recording", config.kind());
        };
        let (d_model, bias) = (config.d_model(), config.bias());
        let n_tokens = config.speech().and_then(|speech| speech.patches());
        let n_tokens = n_tokens.map_or(0, |patches| patches.class_tokens());
        let head_norm = match config.speech().is_some_and(|speech| speech.head_norm()) {
            true => {
                let vb = vb.pp("head").pp("norm");
                Some(Norm::new(&norm_config(config)?, d_model, vb)?)
            }
            false => None,
        };
        let init = first_weights(config);
        Ok(Self {
            trunk: Trunk::new(config, vb.clone())?,
            pool: pooling.into(),
            pools_two: pooling == Pooling::First && n_tokens == 2,
            head_norm,
            head: Linear::new(d_model, n_classes, bias, init, vb.pp("head"))?,
        })
    }

    /// Scores of every class, for every recording.
    ///
    /// # Shapes
    ///
    /// - `frames`: `[n, n_features]`, the packed recordings of `mask`, none of them empty
    /// - returns: `[batch, n_classes]`
    ///
    /// # Errors
    ///
    /// Frames of another width, a recording longer than `max_seq_len` where positions are
    /// learnt, or a mask over another number of rows.
    pub fn logits(&self, frames: &Rows, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let x = self.normed(&self.pooled(frames, mask, pass)?)?;
        self.head.forward_with(&x, None, None)
    }

    /// Mean surprise at the classes, in nats.
    ///
    /// # Shapes
    ///
    /// - `frames`: `[n, n_features]`, the packed recordings of `mask`
    /// - `targets`: classes, `[batch]`
    /// - returns: a scalar
    ///
    /// # Errors
    ///
    /// As [`SpeechClassifier::logits`], and a target that is no class.
    pub fn loss(
        &self,
        frames: &Rows,
        mask: &Mask,
        targets: &Targets,
        options: LossOptions,
        pass: Pass,
    ) -> Result<Tensor> {
        let x = self.normed(&self.pooled(frames, mask, pass)?)?;
        objective::loss(&self.head, &x, targets, options)
    }

    /// How often each class was taken for each, and the surprise.
    ///
    /// # Errors
    ///
    /// As [`SpeechClassifier::loss`].
    pub fn evaluate(&self, frames: &Rows, mask: &Mask, targets: &Targets) -> Result<Evaluation> {
        objective::evaluate_classes(&self.logits(frames, mask, Pass::eval())?, targets)
    }

    /// What a position may read of its own recording.
    pub fn pattern(&self) -> &Pattern {
        self.trunk.pattern()
    }

    /// Longest recording, in positions.
    pub fn max_seq_len(&self) -> usize {
        self.trunk.max_seq_len()
    }

    /// The blocks of attention, if the model has any, to look at.
    pub fn stack(&self) -> Option<&Stack> {
        self.trunk.stack()
    }

    /// One vector a recording, `[batch, d_model]`: what the head, its norm first, reads.
    pub(crate) fn pooled(&self, frames: &Rows, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let (x, mask) = self.trunk.forward(frames, mask, pass)?;
        let walls = mask.cu_seqlens();
        if !self.pools_two {
            return kernels::segment_pool(&x, walls.clone(), self.pool);
        }
        let starts = walls.iter().take(mask.n_sequences());
        let ids: Arc<[u32]> = starts.flat_map(|&start| [start, start + 1]).collect();
        let tokens = kernels::embedding(ids, &x)?; // [2 · batch, d_model]
        let walls: Vec<u32> = (0..=mask.n_sequences() as u32).map(|i| 2 * i).collect();
        kernels::segment_pool(&tokens, walls.into(), Pool::Mean)
    }

    /// What the map of the head reads of `x`, `[batch, d_model]`.
    fn normed(&self, x: &Tensor) -> Result<Tensor> {
        match &self.head_norm {
            Some(norm) => norm.forward_with(x, None),
            None => Ok(x.clone()),
        }
    }
}
