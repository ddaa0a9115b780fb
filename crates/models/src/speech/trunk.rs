//! What the models of sound share: from frames to the last hidden state.

use std::sync::Arc;

use attn_core::input::Rows;
use attn_core::{Context, Dropout, Mask, Pass, Pattern, Position, Stack};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::VarBuilder;
use encodings::Sizes;

use super::front::FrontEnd;
use super::patches::Patches;
use crate::ModelConfig;
use crate::layers::Layers;

/// Front end, position encoding, layers.
///
/// Parameters, under the prefix of the builder: those of [`FrontEnd`], `embed`, or of
/// [`Patches`];
/// `position.weight` if positions are learnt; those of [`Layers`].
#[derive(Debug, Clone)]
pub(super) struct Trunk {
    front: Reader,
    position: Arc<dyn Position>,
    dropout: Dropout,
    layers: Layers,
    pattern: Pattern,
    max_seq_len: usize,
}

/// From frames to rows.
#[derive(Debug, Clone)]
enum Reader {
    Frames(FrontEnd),
    Patches(Patches),
}

impl Trunk {
    pub(super) fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let Some(speech) = config.speech() else {
            bail!("kind = \"{}\" does not read sound", config.kind());
        };
        let max_seq_len = config.max_seq_len().map_err(Error::wrap)?;
        let d_model = config.d_model();
        let sizes = Sizes {
            d_model,
            n_heads: config.n_heads(),
            max_seq_len: Some(max_seq_len),
        };
        let bias = config.bias();
        let front = match speech.patches() {
            Some(_) => {
                let std = config.init_std();
                Reader::Patches(Patches::new(speech, d_model, bias, std, vb.clone())?)
            }
            None => Reader::Frames(FrontEnd::new(speech, d_model, bias, vb.pp("embed"))?),
        };
        Ok(Self {
            front,
            position: config
                .position()
                .build(&sizes, vb.pp("position"))
                .map_err(Error::wrap)?,
            dropout: Dropout::new(config.dropout() as f32, &vb.pp("embed")),
            layers: Layers::new(config, vb)?,
            pattern: config.mask().into(),
            max_seq_len,
        })
    }

    /// # Shapes
    ///
    /// - `frames`: `[n, n_features]`
    /// - returns: `[m, d_model]`, and the mask over `m` positions
    pub(super) fn forward(&self, frames: &Rows, mask: &Mask, pass: Pass) -> Result<(Tensor, Mask)> {
        let (x, mask) = match &self.front {
            Reader::Frames(front) => front.forward(frames, mask)?,
            Reader::Patches(patches) => patches.forward(frames, mask)?,
        };
        let context = Context {
            mask: &mask,
            position: &*self.position,
            pass,
        };
        let x = self.position.embed(&x, &mask)?;
        let x = self.dropout.forward(&x, None, pass)?;
        let x = self.layers.forward(&x, context)?;
        Ok((x, mask))
    }

    /// The frame, among all between `walls`, that each position stands for.
    ///
    /// # Errors
    ///
    /// Patches, which stand for many.
    pub(super) fn middles(&self, walls: &[u32]) -> Result<Vec<usize>> {
        match &self.front {
            Reader::Frames(front) => Ok(front.middles(walls)),
            Reader::Patches(_) => bail!("a patch of a spectrogram stands for no frame"),
        }
    }

    pub(super) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    pub(super) fn max_seq_len(&self) -> usize {
        self.max_seq_len
    }

    pub(super) fn stack(&self) -> Option<&Stack> {
        self.layers.stack()
    }
}
