//! From tokens to the first rows of the residual stream.

use std::sync::Arc;

use attn_core::{Context, Dropout, Embedding, Norm, Position};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::VarBuilder;
use encodings::Sizes;

use crate::ModelConfig;
use crate::first_weights::first_weights;
use crate::stack::norm_config;

/// The sum of a vector for the token, one for its place and one for the type of its text;
/// a norm of it, if there is one, as in BERT (Devlin et al. 2018, §3 and figure 2
/// <https://arxiv.org/abs/1810.04805>); dropout.
///
/// The type tells the first text of a pair from the second. Pairs are not read here, so
/// every token has type 0; the other rows of the table are only kept.
///
/// Parameters, under the prefix of the builder: `embed.weight`; `position.weight` if
/// positions are learnt; with types, `token_type.weight`, `[token_types, d_model]`;
/// `embed_norm` if there is such a norm.
#[derive(Debug, Clone)]
pub(super) struct TextEmbedding {
    tokens: Embedding,
    position: Arc<dyn Position>,
    types: Option<Embedding>,
    norm: Option<Norm>,
    dropout: Dropout,
}

impl TextEmbedding {
    pub(super) fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let vocab_size = config.vocab_size().map_err(Error::wrap)?;
        let (d_model, n_heads) = (config.d_model(), config.n_heads());
        let sizes = Sizes {
            d_model,
            n_heads,
            max_seq_len: Some(config.max_seq_len().map_err(Error::wrap)?),
        };
        let init = first_weights(config);
        let table = |rows, name| Embedding::new(rows, d_model, init, vb.pp(name));
        Ok(Self {
            tokens: table(vocab_size, "embed")?,
            position: config
                .position()
                .build(&sizes, vb.pp("position"))
                .map_err(Error::wrap)?,
            types: (config.token_types().map(|n| table(n, "token_type"))).transpose()?,
            norm: match config.embed_norm() {
                true => {
                    let norm = norm_config(config)?;
                    Some(Norm::new(&norm, d_model, vb.pp("embed_norm"))?)
                }
                false => None,
            },
            dropout: Dropout::new(config.dropout() as f32, &vb.pp("embed")),
        })
    }

    /// # Shapes
    ///
    /// - `tokens`: `[n]`, the packed texts of the context's mask
    /// - returns: `[n, d_model]`
    pub(super) fn forward(&self, tokens: Arc<[u32]>, context: Context<'_>) -> Result<Tensor> {
        let Context {
            mask,
            position,
            pass,
        } = context;
        let n = tokens.len();
        if n != mask.n_queries() {
            bail!("{n} tokens, but the mask has {} rows", mask.n_queries());
        }
        let x = position.embed(&self.tokens.lookup(tokens)?, mask)?;
        let types = match &self.types {
            Some(types) => Some(types.lookup(vec![0; n].into())?),
            None => None,
        };
        let x = match (&self.norm, types) {
            (Some(norm), types) => norm.forward_with(&x, types.as_ref())?,
            (None, Some(types)) => kernels::add(&x, &types)?,
            (None, None) => x,
        };
        self.dropout.forward(&x, None, pass)
    }

    /// The vectors of the tokens, `[vocab_size, d_model]`.
    pub(super) fn weight(&self) -> &Tensor {
        self.tokens.weight()
    }

    pub(super) fn position(&self) -> &dyn Position {
        &*self.position
    }
}
