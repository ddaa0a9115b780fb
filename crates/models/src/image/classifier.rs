//! Which class does this image belong to?

use attn_core::input::Images;
use attn_core::{Linear, Mask, Pass, Pattern, Stack, Targets};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::VarBuilder;
use kernels::Pool;

use super::convolutional::Convolutional;
use super::transformer::Transformer;
use crate::first_weights::first_weights;
use crate::objective::{self, LossOptions};
use crate::{Backbone, Evaluation, ModelConfig};

/// An image classifier: a vision transformer, or convolutions to compare it with; one
/// vector an image, one linear map.
///
/// Parameters, under the prefix of the builder: those of the backbone; `head.weight`,
/// `[n_classes, d_model]`, and, with biases, `head.bias`, `[n_classes]`.
#[derive(Debug, Clone)]
pub struct ImageClassifier {
    body: Body,
    pool: Pool,
    head: Linear,
    pattern: Pattern,
    max_seq_len: usize,
}

/// From images to rows.
#[derive(Debug, Clone)]
enum Body {
    Attention(Transformer),
    Convolutional(Convolutional),
}

impl ImageClassifier {
    /// Creates the model, taking its parameters from `vb`.
    ///
    /// # Errors
    ///
    /// If `config` is of another kind, a size is still left to the data, or `vb` lacks a
    /// parameter or has it in another shape.
    pub fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let n_classes = config.n_classes().map_err(Error::wrap)?;
        let (Some(image), Some(n_classes), Some(pooling)) =
            (config.image(), n_classes, config.pooling())
        else {
            bail!("kind = \"{}\" does not classify images", config.kind());
        };
        let body = match config.backbone() {
            Backbone::Transformer => Body::Attention(Transformer::new(config, image, vb.clone())?),
            Backbone::Cnn => Body::Convolutional(Convolutional::new(config, image, vb.clone())?),
            other => bail!("backbone = \"{other}\" does not read images"),
        };
        let init = first_weights(config);
        let (d_model, bias) = (config.d_model(), config.bias());
        Ok(Self {
            body,
            pool: pooling.into(),
            head: Linear::new(d_model, n_classes, bias, init, vb.pp("head"))?,
            pattern: config.mask().into(),
            max_seq_len: config.max_seq_len().map_err(Error::wrap)?,
        })
    }

    /// Scores of every class, for every image.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, height, width, channels]`, from 0 to 1
    /// - returns: `[batch, n_classes]`
    ///
    /// # Errors
    ///
    /// Images of another shape than the model's, or of another number than the segments
    /// of `mask`.
    pub fn logits(&self, images: &Images, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let x = self.pooled(images, mask, pass)?;
        self.head.forward_with(&x, None, None)
    }

    /// Mean surprise at the classes, in nats.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, height, width, channels]`
    /// - `targets`: `[batch]`, the class of each image, or two with their shares
    /// - returns: a scalar
    ///
    /// # Errors
    ///
    /// As [`ImageClassifier::logits`], and a target that is no class.
    pub fn loss(
        &self,
        images: &Images,
        mask: &Mask,
        targets: &Targets,
        options: LossOptions,
        pass: Pass,
    ) -> Result<Tensor> {
        let x = self.pooled(images, mask, pass)?;
        objective::loss(&self.head, &x, targets, options)
    }

    /// How often each class was taken for each, and the summed surprise, in nats.
    ///
    /// # Errors
    ///
    /// As [`ImageClassifier::loss`].
    pub fn evaluate(&self, images: &Images, mask: &Mask, targets: &Targets) -> Result<Evaluation> {
        let logits = self.logits(images, mask, Pass::eval())?;
        objective::evaluate_classes(&logits, targets)
    }

    /// What a patch may read of its own image.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Rows of an image: its patches and the class token.
    pub fn max_seq_len(&self) -> usize {
        self.max_seq_len
    }

    /// The blocks of attention, if there are any, to look at.
    pub fn stack(&self) -> Option<&Stack> {
        match &self.body {
            Body::Attention(transformer) => Some(transformer.stack()),
            Body::Convolutional(_) => None,
        }
    }

    /// One vector an image, `[batch, d_model]`: what the head reads.
    pub(crate) fn pooled(&self, images: &Images, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let (batch, segments) = (images.len(), mask.cu_seqlens().len() - 1);
        if batch != segments {
            bail!("{batch} images, but the mask has {segments} segments");
        }
        let (rows, walls) = match &self.body {
            Body::Attention(transformer) => transformer.forward(images, mask, pass)?,
            Body::Convolutional(cnn) => cnn.forward(images, pass)?,
        };
        kernels::segment_pool(&rows, walls, self.pool)
    }
}
