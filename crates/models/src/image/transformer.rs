//! Patches of images through blocks of attention.

use std::iter::repeat_n;
use std::sync::Arc;

use attn_core::input::Images;
use attn_core::{Context, Dropout, Embedding, Linear, Mask, Pass, Position, Stack};
use candle_core::{Error, Result, Tensor};
use candle_nn::{Init, Module, VarBuilder};
use encodings::Sizes;

use super::patches::Patches;
use super::window::{Window, Windowed};
use crate::stack::stack_config;
use crate::{ImageConfig, ModelConfig};

/// A vision transformer without its head: patches as rows, positions, blocks; Dosovitskiy
/// et al. 2020 <https://arxiv.org/abs/2010.11929>.
///
/// With `patch = 1` every pixel attends to every other, or to those in its window.
///
/// Parameters, under the prefix of the builder: `embed`, a linear map of patches; with a
/// class token, `class_token.weight`, `[1, d_model]`; `position.*` if positions are
/// learnt; with a window, `window.bias`, `[n_heads, kinds of edge]`; `blocks.0`, `blocks.1`, …; `norm` in a pre-norm model.
#[derive(Debug, Clone)]
pub(super) struct Transformer {
    patches: Patches,
    embed: Linear,
    class_token: Option<Embedding>,
    position: Arc<dyn Position>,
    /// The same as `position`, if there is a window.
    window: Option<Arc<Windowed>>,
    dropout: Dropout,
    stack: Stack,
    seq_len: usize,
}

impl Transformer {
    pub(super) fn new(config: &ModelConfig, image: &ImageConfig, vb: VarBuilder) -> Result<Self> {
        let (d_model, n_heads, bias) = (config.d_model(), config.n_heads(), config.bias());
        let grid = image.grid().map_err(Error::wrap)?;
        let sizes = Sizes {
            d_model,
            n_heads,
            max_seq_len: Some(grid.len()),
        };
        let init = |stdev| Init::Randn { mean: 0.0, stdev };
        let d_in = image.patch_values().map_err(Error::wrap)?;
        // Pixels have deviation 1, and so have the rows that they become.
        let embed_init = init(1.0 / (d_in as f64).sqrt());
        let class_token = match image.class_token() {
            true => {
                let init = init(config.init_std());
                Some(Embedding::new(1, d_model, init, vb.pp("class_token"))?)
            }
            false => None,
        };
        let position = config
            .position()
            .build_on_grid(&sizes, grid, vb.pp("position"))
            .map_err(Error::wrap)?;
        let window = match Window::of(image).map_err(Error::wrap)? {
            Some(window) => {
                let beside = position.clone();
                let windowed = Windowed::new(window, n_heads, beside, vb.pp("window"))?;
                Some(Arc::new(windowed))
            }
            None => None,
        };
        Ok(Self {
            patches: Patches::new(image, image.patch(), vb.dtype(), vb.device())?,
            embed: Linear::new(d_in, d_model, bias, embed_init, vb.pp("embed"))?,
            class_token,
            position: match &window {
                Some(windowed) => windowed.clone(),
                None => position,
            },
            window,
            dropout: Dropout::new(config.dropout() as f32, &vb.pp("embed")),
            stack: Stack::new(&stack_config(config)?, vb)?,
            seq_len: grid.len(),
        })
    }

    /// # Shapes
    ///
    /// - `images`: `[batch, height, width, channels]`
    /// - returns: `[batch · seq_len, d_model]`, and the walls between the images
    pub(super) fn forward(
        &self,
        images: &Images,
        mask: &Mask,
        pass: Pass,
    ) -> Result<(Tensor, Arc<[u32]>)> {
        let mask = match &self.window {
            Some(windowed) => windowed.mask(images.len())?,
            None => mask
                .with_lens(repeat_n(self.seq_len, images.len()))
                .map_err(Error::wrap)?,
        };
        let context = Context {
            mask: &mask,
            position: &*self.position,
            pass,
        };
        let x = self.embed.forward(&self.patches.rows(images)?)?;
        let x = self.with_class_tokens(x, images.len())?;
        let x = self.position.embed(&x, &mask)?;
        let x = self.dropout.forward(&x, None, pass)?;
        let x = self.stack.forward(&x, context)?;
        Ok((x, mask.cu_seqlens().clone()))
    }

    pub(super) fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Puts the class token before the patches of each image.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch · patches, d_model]`
    /// - returns: `[batch · seq_len, d_model]`
    fn with_class_tokens(&self, x: Tensor, batch: usize) -> Result<Tensor> {
        let Some(class_token) = &self.class_token else {
            return Ok(x);
        };
        kernels::prepend_rows(&[class_token.weight()], &x, batch)
    }
}
