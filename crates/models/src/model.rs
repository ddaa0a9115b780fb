//! Any model that a `[model]` table can ask for.

use attn_core::{Input, Mask, Pass, Pattern, Stack, Targets};
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

use crate::evaluation::Evaluation;
use crate::graph::GraphModel;
use crate::image::ImageClassifier;
use crate::objective::LossOptions;
use crate::speech::{SpeechClassifier, SpeechCtc, SpeechFrames};
use crate::text::{CausalLm, TextClassifier, TextEncoder};
use crate::{Kind, ModelConfig};

/// A model of any kind: what a trainer holds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Model {
    /// A causal language model.
    CausalLm(CausalLm),
    /// A text classifier.
    TextClassifier(TextClassifier),
    /// A model that makes vectors of texts.
    TextEncoder(TextEncoder),
    /// An image classifier.
    ImageClassifier(ImageClassifier),
    /// A classifier of recordings.
    SpeechClassifier(SpeechClassifier),
    /// A labeller of frames of sound.
    SpeechFrames(SpeechFrames),
    /// A recogniser of speech.
    SpeechCtc(SpeechCtc),
    /// A model of graphs.
    Graph(GraphModel),
}

impl Model {
    /// Makes the model that `config` describes, taking its parameters from `vb`.
    ///
    /// # Errors
    ///
    /// If a size of `config` is still left to the data
    /// ([`ModelConfig::resolve`] first), or `vb` lacks a parameter or has it in another
    /// shape.
    pub fn build(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        match config.kind() {
            Kind::TextLm => CausalLm::new(config, vb).map(Self::CausalLm),
            Kind::TextClassifier => TextClassifier::new(config, vb).map(Self::TextClassifier),
            Kind::TextEncoder => TextEncoder::new(config, vb).map(Self::TextEncoder),
            Kind::ImageClassifier => ImageClassifier::new(config, vb).map(Self::ImageClassifier),
            Kind::SpeechClassifier => SpeechClassifier::new(config, vb).map(Self::SpeechClassifier),
            Kind::SpeechFrames => SpeechFrames::new(config, vb).map(Self::SpeechFrames),
            Kind::SpeechCtc => SpeechCtc::new(config, vb).map(Self::SpeechCtc),
            Kind::GraphNodes | Kind::GraphClassifier | Kind::GraphRegression | Kind::GraphLinks => {
                GraphModel::new(config, vb).map(Self::Graph)
            }
        }
    }

    /// Scores of every token or class.
    ///
    /// # Shapes
    ///
    /// - `input`: `n` packed rows, the sequences of `mask`
    /// - returns: `[n, vocab_size]` of a language model, `[batch, n_classes]` of a
    ///   classifier; see also [`GraphModel::logits`]
    ///
    /// # Errors
    ///
    /// An input that the model cannot read; see the model of the kind.
    pub fn logits(&self, input: &Input, mask: &Mask, pass: Pass) -> Result<Tensor> {
        match (self, input) {
            (Self::CausalLm(model), Input::Tokens(tokens)) => {
                model.logits(tokens.clone(), mask, pass)
            }
            (Self::TextClassifier(model), Input::Tokens(tokens)) => {
                model.logits(tokens.clone(), mask, pass)
            }
            (Self::TextEncoder(_), Input::Tokens(_)) => headless(),
            (Self::ImageClassifier(model), Input::Images(images)) => {
                model.logits(images, mask, pass)
            }
            (Self::SpeechClassifier(model), Input::Frames(frames)) => {
                model.logits(frames, mask, pass)
            }
            (Self::SpeechFrames(model), Input::Frames(frames)) => model.logits(frames, mask, pass),
            (Self::SpeechCtc(model), Input::Frames(frames)) => model.logits(frames, mask, pass),
            (Self::Graph(model), Input::Graphs(graphs)) => model.logits(graphs, mask, pass),
            (_, other) => foreign(other),
        }
    }

    /// One vector of every sample, in evaluation: what the head reads, if there is a head.
    ///
    /// # Shapes
    ///
    /// - `input`: `n` packed rows, the samples of `mask`
    /// - returns: `[batch, d_model]`
    ///
    /// # Errors
    ///
    /// As [`Model::logits`], and a model that answers row by row and does not pool.
    pub fn vectors(&self, input: &Input, mask: &Mask) -> Result<Tensor> {
        let pass = Pass::eval();
        match (self, input) {
            (Self::TextClassifier(model), Input::Tokens(tokens)) => {
                model.pooled(tokens.clone(), mask, pass)
            }
            (Self::TextEncoder(model), Input::Tokens(tokens)) => {
                model.vectors(tokens.clone(), mask, pass)
            }
            (Self::ImageClassifier(model), Input::Images(images)) => {
                model.pooled(images, mask, pass)
            }
            (Self::SpeechClassifier(model), Input::Frames(frames)) => {
                model.pooled(frames, mask, pass)
            }
            (Self::Graph(model), Input::Graphs(graphs)) => model.pooled(graphs, mask, pass),
            (Self::CausalLm(_), Input::Tokens(_))
            | (Self::SpeechFrames(_) | Self::SpeechCtc(_), Input::Frames(_)) => {
                bail!("the model answers row by row and makes no vector of a sample")
            }
            (_, other) => foreign(other),
        }
    }

    /// What training minimises: the mean loss over the targets; of those that choose among
    /// tokens or classes the surprise, in nats.
    ///
    /// # Shapes
    ///
    /// - `input`: `n` packed rows, the sequences of `mask`
    /// - `targets`: one a row for a language model, one a sample for a classifier
    /// - returns: a scalar
    ///
    /// # Errors
    ///
    /// As [`Model::logits`], and targets that the model does not have.
    pub fn loss(
        &self,
        input: &Input,
        mask: &Mask,
        targets: &Targets,
        options: LossOptions,
        pass: Pass,
    ) -> Result<Tensor> {
        match (self, input) {
            (Self::CausalLm(model), Input::Tokens(tokens)) => {
                model.loss(tokens.clone(), mask, targets, options, pass)
            }
            (Self::TextClassifier(model), Input::Tokens(tokens)) => {
                model.loss(tokens.clone(), mask, targets, options, pass)
            }
            (Self::TextEncoder(_), Input::Tokens(_)) => headless(),
            (Self::ImageClassifier(model), Input::Images(images)) => {
                model.loss(images, mask, targets, options, pass)
            }
            (Self::SpeechClassifier(model), Input::Frames(frames)) => {
                model.loss(frames, mask, targets, options, pass)
            }
            (Self::SpeechFrames(model), Input::Frames(frames)) => {
                model.loss(frames, mask, targets, options, pass)
            }
            (Self::SpeechCtc(model), Input::Frames(frames)) => {
                model.loss(frames, mask, targets, options, pass)
            }
            (Self::Graph(model), Input::Graphs(graphs)) => {
                model.loss(graphs, mask, targets, options, pass)
            }
            (_, other) => foreign(other),
        }
    }

    /// How well the model does on a batch, without dropout and label smoothing.
    ///
    /// # Errors
    ///
    /// As [`Model::loss`].
    pub fn evaluate(&self, input: &Input, mask: &Mask, targets: &Targets) -> Result<Evaluation> {
        match (self, input) {
            (Self::CausalLm(model), Input::Tokens(tokens)) => {
                model.evaluate(tokens.clone(), mask, targets)
            }
            (Self::TextClassifier(model), Input::Tokens(tokens)) => {
                model.evaluate(tokens.clone(), mask, targets)
            }
            (Self::TextEncoder(_), Input::Tokens(_)) => headless(),
            (Self::ImageClassifier(model), Input::Images(images)) => {
                model.evaluate(images, mask, targets)
            }
            (Self::SpeechClassifier(model), Input::Frames(frames)) => {
                model.evaluate(frames, mask, targets)
            }
            (Self::SpeechFrames(model), Input::Frames(frames)) => {
                model.evaluate(frames, mask, targets)
            }
            (Self::SpeechCtc(model), Input::Frames(frames)) => {
                model.evaluate(frames, mask, targets)
            }
            (Self::Graph(model), Input::Graphs(graphs)) => model.evaluate(graphs, mask, targets),
            (_, other) => foreign(other),
        }
    }

    /// What a position may read of its own sequence: the pattern of every mask.
    pub fn pattern(&self) -> &Pattern {
        match self {
            Self::CausalLm(model) => model.pattern(),
            Self::TextClassifier(model) => model.pattern(),
            Self::TextEncoder(model) => model.pattern(),
            Self::ImageClassifier(model) => model.pattern(),
            Self::SpeechClassifier(model) => model.pattern(),
            Self::SpeechFrames(model) => model.pattern(),
            Self::SpeechCtc(model) => model.pattern(),
            Self::Graph(model) => model.pattern(),
        }
    }

    /// Longest sequence, in positions; graphs may be of any size.
    pub fn max_seq_len(&self) -> usize {
        match self {
            Self::CausalLm(model) => model.max_seq_len(),
            Self::TextClassifier(model) => model.max_seq_len(),
            Self::TextEncoder(model) => model.max_seq_len(),
            Self::ImageClassifier(model) => model.max_seq_len(),
            Self::SpeechClassifier(model) => model.max_seq_len(),
            Self::SpeechFrames(model) => model.max_seq_len(),
            Self::SpeechCtc(model) => model.max_seq_len(),
            Self::Graph(_) => usize::MAX,
        }
    }

    /// The blocks of attention, if the model has any, to look at.
    pub fn stack(&self) -> Option<&Stack> {
        match self {
            Self::CausalLm(model) => model.stack(),
            Self::TextClassifier(model) => model.stack(),
            Self::TextEncoder(model) => model.stack(),
            Self::ImageClassifier(model) => model.stack(),
            Self::SpeechClassifier(model) => model.stack(),
            Self::SpeechFrames(model) => model.stack(),
            Self::SpeechCtc(model) => model.stack(),
            Self::Graph(model) => model.stack(),
        }
    }
}

fn headless<T>() -> Result<T> {
    bail!("a text-encoder has no head to ask or to train; use kind = \"text-classifier\"")
}

fn foreign<T>(input: &Input) -> Result<T> {
    bail!("the model does not read {}", input.rows_are())
}
