//! What the text models share: from tokens to the last hidden state.

use std::sync::Arc;

use attn_core::{Context, Dropout, Embedding, Mask, Pass, Pattern, Position, Stack};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use encodings::Sizes;

use super::cache::{Cache, Kept};
use crate::ModelConfig;
use crate::layers::Layers;

/// Token embedding, position encoding, layers.
///
/// Parameters, under the prefix of the builder: `embed.weight`; `position.weight` if
/// positions are learnt; those of [`Layers`].
#[derive(Debug, Clone)]
pub(super) struct Trunk {
    embed: Embedding,
    position: Arc<dyn Position>,
    dropout: Dropout,
    layers: Layers,
    pattern: Pattern,
    max_seq_len: usize,
}

impl Trunk {
    pub(super) fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let vocab_size = config.vocab_size().map_err(Error::wrap)?;
        let max_seq_len = config.max_seq_len().map_err(Error::wrap)?;
        let (d_model, n_heads) = (config.d_model(), config.n_heads());
        let sizes = Sizes {
            d_model,
            n_heads,
            max_seq_len: Some(max_seq_len),
        };
        let init = first_weights(config);
        Ok(Self {
            embed: Embedding::new(vocab_size, d_model, init, vb.pp("embed"))?,
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
    /// - `tokens`: `[n]`
    /// - returns: `[n, d_model]`
    pub(super) fn forward(&self, tokens: Arc<[u32]>, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let context = Context {
            mask,
            position: &*self.position,
            pass,
        };
        let x = self.embed(tokens, context)?;
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
                let context = Context {
                    mask: &mask,
                    position: &*self.position,
                    pass: Pass::eval(),
                };
                stack.decode(&self.embed(tokens, context)?, context, cache)?
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

    fn embed(&self, tokens: Arc<[u32]>, context: Context<'_>) -> Result<Tensor> {
        let Context {
            mask,
            position,
            pass,
        } = context;
        if tokens.len() != mask.n_queries() {
            bail!(
                "{} tokens, but the mask has {} rows",
                tokens.len(),
                mask.n_queries()
            );
        }
        let x = position.embed(&self.embed.lookup(tokens)?, mask)?;
        self.dropout.forward(&x, None, pass)
    }
}

/// First values of embeddings and heads.
pub(crate) fn first_weights(config: &ModelConfig) -> Init {
    Init::Randn {
        mean: 0.0,
        stdev: config.init_std(),
    }
}
