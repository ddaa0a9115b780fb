//! Which class does each frame belong to?

use attn_core::input::Rows;
use attn_core::{Linear, Mask, Pass, Pattern, Stack, Targets};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::trunk::Trunk;
use crate::ModelConfig;
use crate::evaluation::Evaluation;
use crate::first_weights::first_weights;
use crate::objective::{self, LossOptions};

/// A labeller of frames: blocks, and one linear map at every position.
///
/// Where the front end has a stride, a position answers for the frame in the middle of
/// what it reads.
///
/// Parameters, under the prefix of the builder: as of
/// [`SpeechClassifier`](super::SpeechClassifier).
#[derive(Debug, Clone)]
pub struct SpeechFrames {
    trunk: Trunk,
    head: Linear,
}

impl SpeechFrames {
    /// Creates the model, taking its parameters from `vb`.
    ///
    /// # Errors
    ///
    /// If `config` is of another modality, a size is still left to the data, or `vb` lacks
    /// a parameter or has it in another shape.
    pub fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let Some(n_classes) = config.n_classes().map_err(Error::wrap)? else {
            bail!("kind = \"{}\" has no classes", config.kind());
        };
        let (d_model, bias) = (config.d_model(), config.bias());
        let init = first_weights(config);
        Ok(Self {
            trunk: Trunk::new(config, vb.clone())?,
            head: Linear::new(d_model, n_classes, bias, init, vb.pp("head"))?,
        })
    }

    /// Scores of every class, at every position.
    ///
    /// # Shapes
    ///
    /// - `frames`: `[n, n_features]`, the packed recordings of `mask`
    /// - returns: `[m, n_classes]`, `⌈n / stride⌉` positions a recording
    ///
    /// # Errors
    ///
    /// As [`SpeechClassifier::logits`](super::SpeechClassifier::logits).
    pub fn logits(&self, frames: &Rows, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let (x, _) = self.trunk.forward(frames, mask, pass)?;
        self.head.forward_with(&x, None, None)
    }

    /// Mean surprise at the classes of the frames, in nats.
    ///
    /// # Shapes
    ///
    /// - `frames`: `[n, n_features]`, the packed recordings of `mask`
    /// - `targets`: classes, `[n]`
    /// - returns: a scalar
    ///
    /// # Errors
    ///
    /// As [`SpeechFrames::logits`], and a target that is no class.
    pub fn loss(
        &self,
        frames: &Rows,
        mask: &Mask,
        targets: &Targets,
        options: LossOptions,
        pass: Pass,
    ) -> Result<Tensor> {
        let (x, _) = self.trunk.forward(frames, mask, pass)?;
        objective::loss(&self.head, &x, &self.at_positions(mask, targets)?, options)
    }

    /// How often each class was taken for each, and the surprise.
    ///
    /// # Errors
    ///
    /// As [`SpeechFrames::loss`].
    pub fn evaluate(&self, frames: &Rows, mask: &Mask, targets: &Targets) -> Result<Evaluation> {
        let logits = self.logits(frames, mask, Pass::eval())?;
        objective::evaluate_classes(&logits, &self.at_positions(mask, targets)?)
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

    /// The class of the frame that each position answers for.
    fn at_positions(&self, mask: &Mask, targets: &Targets) -> Result<Targets> {
        let Targets::Classes(classes) = targets else {
            bail!("frames cannot be labelled with {targets:?}");
        };
        if classes.len() != mask.n_queries() {
            bail!("{} classes for {} frames", classes.len(), mask.n_queries());
        }
        let middles = self.trunk.middles(mask.cu_seqlens())?;
        Ok(Targets::Classes(
            middles.into_iter().map(|frame| classes[frame]).collect(),
        ))
    }
}
