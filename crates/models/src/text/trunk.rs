//! What the text models share: from tokens to the last hidden state.

use std::sync::Arc;

use attn_core::{Context, Dropout, Embedding, KvCache, Mask, Pass, Pattern, Position, Stack};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use encodings::Sizes;

use crate::ModelConfig;
use crate::stack::stack_config;

/// Token embedding, position encoding, blocks.
///
/// Parameters, under the prefix of the builder: `embed.weight`; `position.weight` if
/// positions are learnt; `blocks.0`, `blocks.1`, …; `norm` in a pre-norm model.
#[derive(Debug, Clone)]
pub(super) struct Trunk {
    embed: Embedding,
    position: Arc<dyn Position>,
    dropout: Dropout,
    stack: Stack,
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
            stack: Stack::new(&stack_config(config)?, vb)?,
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
        self.stack.forward(&x, context)
    }

    /// The rows of `tokens` that follow those in `cache`, one sequence.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[n]`
    /// - returns: `[n, d_model]`
    pub(super) fn decode(&self, tokens: Arc<[u32]>, cache: &mut KvCache) -> Result<Tensor> {
        let n = u32::try_from(tokens.len()).map_err(Error::wrap)?;
        let mask = cache
            .mask(self.pattern.clone(), &[n])
            .map_err(Error::wrap)?;
        let context = Context {
            mask: &mask,
            position: &*self.position,
            pass: Pass::eval(),
        };
        let x = self.embed(tokens, context)?;
        self.stack.decode(&x, context, cache)
    }

    pub(super) fn cache(&self) -> KvCache {
        self.stack.cache(1)
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

    pub(super) fn stack(&self) -> &Stack {
        &self.stack
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
pub(super) fn first_weights(config: &ModelConfig) -> Init {
    Init::Randn {
        mean: 0.0,
        stdev: config.init_std(),
    }
}
