//! Which class does this recording belong to?

use attn_core::input::Rows;
use attn_core::{Linear, Mask, Pass, Pattern, Stack, Targets};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::VarBuilder;
use kernels::Pool;

use super::trunk::{Trunk, head_weights};
use crate::ModelConfig;
use crate::evaluation::Evaluation;
use crate::objective::{self, LossOptions};

/// A classifier of recordings: blocks, one vector a recording, one linear map.
///
/// Parameters, under the prefix of the builder: those of the front end, the positions and
/// the blocks, see [the crate](crate#names-of-parameters); `head.weight`,
/// `[n_classes, d_model]`, and, with biases, `head.bias`, `[n_classes]`.
#[derive(Debug, Clone)]
pub struct SpeechClassifier {
    trunk: Trunk,
    pool: Pool,
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
        let head = (config.d_model(), n_classes);
        Ok(Self {
            trunk: Trunk::new(config, vb.clone())?,
            pool: pooling.into(),
            head: Linear::new(
                head.0,
                head.1,
                config.bias(),
                head_weights(config),
                vb.pp("head"),
            )?,
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
        let x = self.pooled(frames, mask, pass)?;
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
        let x = self.pooled(frames, mask, pass)?;
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

    /// One vector a recording, `[batch, d_model]`: what the head reads.
    pub(crate) fn pooled(&self, frames: &Rows, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let (x, mask) = self.trunk.forward(frames, mask, pass)?;
        kernels::segment_pool(&x, mask.cu_seqlens().clone(), self.pool)
    }
}
