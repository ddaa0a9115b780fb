//! What the text models share: from tokens to the last hidden state.

use std::sync::Arc;

use attn_core::{Context, Mask, Pass, Pattern, Stack};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::cache::{Cache, Kept};
use super::embedding::TextEmbedding;
use crate::ModelConfig;
use crate::layers::Layers;

/// Embedding, layers.
///
/// Parameters, under the prefix of the builder: those of [`TextEmbedding`] and [`Layers`].
#[derive(Debug, Clone)]
pub(super) struct Trunk {
    embed: TextEmbedding,
    layers: Layers,
    pattern: Pattern,
    max_seq_len: usize,
}

impl Trunk {
    pub(super) fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            embed: TextEmbedding::new(config, vb.clone())?,
            layers: Layers::new(config, vb)?,
            pattern: config.mask().into(),
            max_seq_len: config.max_seq_len().map_err(Error::wrap)?,
        })
    }

    /// # Shapes
    ///
    /// - `tokens`: `[n]`
    /// - returns: `[n, d_model]`
    pub(super) fn forward(&self, tokens: Arc<[u32]>, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let context = self.context(mask, pass);
        let x = self.embed.forward(tokens, context)?;
        self.layers.forward(&x, context)
    }

    /// The last of the rows of `tokens`, which follow those in `cache`, one sequence.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[n]`, at least one
    /// - returns: `[1, d_model]`
    pub(super) fn decode(&self, tokens: Arc<[u32]>, cache: &mut Cache) -> Result<Tensor> {
        let rows = match (&self.layers, &mut cache.0) {
            (Layers::Attention(stack), Kept::Attention(cache)) => {
                let n = u32::try_from(tokens.len()).map_err(Error::wrap)?;
                let mask = cache
                    .mask(self.pattern.clone(), &[n])
                    .map_err(Error::wrap)?;
                let context = self.context(&mask, Pass::eval());
                stack.decode(&self.embed.forward(tokens, context)?, context, cache)?
            }
            (Layers::Recurrent(_) | Layers::Convolutional(_), Kept::Tokens(read)) => {
                let all = [read, &tokens[..]].concat();
                let mask = Mask::single(self.pattern.clone(), all.len()).map_err(Error::wrap)?;
                let rows = self.forward(all.clone().into(), &mask, Pass::eval())?;
                *read = all;
                rows
            }
            _ => bail!("the cache is that of another model"),
        };
        rows.narrow(0, rows.dim(0)? - 1, 1)
    }

    pub(super) fn cache(&self) -> Cache {
        Cache(match &self.layers {
            Layers::Attention(stack) => Kept::Attention(stack.cache(1)),
            Layers::Recurrent(_) | Layers::Convolutional(_) => Kept::Tokens(Vec::new()),
        })
    }

    pub(super) fn embedding(&self) -> &Tensor {
        self.embed.weight()
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

    fn context<'a>(&'a self, mask: &'a Mask, pass: Pass) -> Context<'a> {
        Context {
            mask,
            position: self.embed.position(),
            pass,
        }
    }
}
