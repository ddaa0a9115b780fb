//! Attention and feed-forward layer, each with its norm and its residual path.

use candle_core::Tensor;
use candle_nn::{Module, VarBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cache::LayerCache;
use crate::config::ConfigError;
use crate::{
    AttentionConfig, Context, Mlp, MlpConfig, MultiHeadAttention, Norm, NormConfig, NormKind,
    WeightInit,
};

/// Where the norms of a block stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NormOrder {
    /// Before each layer: `x + f(norm(x))`. Trains without warm-up; Xiong et al. 2020
    /// <https://arxiv.org/abs/2002.04745>.
    #[default]
    Pre,
    /// After each sum: `norm(x + f(x))`, as in Vaswani et al. 2017.
    Post,
}

/// One block.
///
/// Valid by construction: both layers have the same `d_model`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawBlockConfig")]
pub struct BlockConfig {
    attention: AttentionConfig,
    mlp: MlpConfig,
    norm: NormConfig,
    order: NormOrder,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawBlockConfig {
    /// The attention layer.
    attention: AttentionConfig,
    /// The feed-forward layer.
    mlp: MlpConfig,
    /// Both norms.
    #[serde(default = "layer_norm")]
    norm: NormConfig,
    /// `pre` or `post`.
    #[serde(default)]
    order: NormOrder,
}

fn layer_norm() -> NormConfig {
    NormConfig::new(NormKind::Layer)
}

impl TryFrom<RawBlockConfig> for BlockConfig {
    type Error = ConfigError;

    fn try_from(raw: RawBlockConfig) -> Result<Self, ConfigError> {
        let RawBlockConfig {
            attention,
            mlp,
            norm,
            order,
        } = raw;
        if attention.d_model() != mlp.d_model() {
            let (attention, mlp) = (attention.d_model(), mlp.d_model());
            return Err(ConfigError::WidthsDiffer { attention, mlp });
        }
        Ok(Self {
            attention,
            mlp,
            norm,
            order,
        })
    }
}

impl BlockConfig {
    /// A pre-norm block with layer norms.
    ///
    /// # Errors
    ///
    /// If the two layers differ in `d_model`.
    pub fn new(attention: AttentionConfig, mlp: MlpConfig) -> Result<Self, ConfigError> {
        let order = NormOrder::Pre;
        RawBlockConfig {
            attention,
            mlp,
            norm: layer_norm(),
            order,
        }
        .try_into()
    }

    /// The same block with other norms.
    #[must_use]
    pub fn with_norm(self, norm: NormConfig) -> Self {
        Self { norm, ..self }
    }

    /// The same block with its norms elsewhere.
    #[must_use]
    pub fn with_order(self, order: NormOrder) -> Self {
        Self { order, ..self }
    }

    /// The same block with other first values in both layers.
    #[must_use]
    pub fn with_init(self, init: WeightInit) -> Self {
        let (attention, mlp) = (self.attention.with_init(init), self.mlp.with_init(init));
        Self {
            attention,
            mlp,
            ..self
        }
    }

    /// The attention layer.
    pub fn attention(&self) -> &AttentionConfig {
        &self.attention
    }

    /// The feed-forward layer.
    pub fn mlp(&self) -> &MlpConfig {
        &self.mlp
    }

    /// Both norms.
    pub fn norm(&self) -> &NormConfig {
        &self.norm
    }

    /// Where the norms stand.
    pub fn order(&self) -> NormOrder {
        self.order
    }
}

/// Attention, then the feed-forward layer, each added to the residual stream.
///
/// Parameters, under the prefix of the builder: `attn_norm`, `attn`, `mlp_norm`, `mlp`.
#[derive(Debug, Clone)]
pub struct Block {
    attn_norm: Norm,
    attn: MultiHeadAttention,
    mlp_norm: Norm,
    mlp: Mlp,
    order: NormOrder,
}

impl Block {
    /// Creates the block, taking its parameters from `vb`.
    pub fn new(config: &BlockConfig, vb: VarBuilder) -> candle_core::Result<Self> {
        let norm = |name: &str| Norm::new(&config.norm, config.attention.d_model(), vb.pp(name));
        Ok(Self {
            attn_norm: norm("attn_norm")?,
            attn: MultiHeadAttention::new(&config.attention, vb.pp("attn"))?,
            mlp_norm: norm("mlp_norm")?,
            mlp: Mlp::new(&config.mlp, vb.pp("mlp"))?,
            order: config.order,
        })
    }

    /// # Shapes
    ///
    /// - `x`: `[n, d_model]`
    /// - returns: `[n, d_model]`
    pub fn forward(&self, x: &Tensor, context: Context<'_>) -> candle_core::Result<Tensor> {
        self.run(x, context, None)
    }

    /// The attention layer, to look at its weights.
    pub fn attention(&self) -> &MultiHeadAttention {
        &self.attn
    }

    /// What the attention layer of this block reads when the block is given `x`.
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, d_model]`
    /// - returns: `[n, d_model]`
    pub fn attention_input(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self.order {
            NormOrder::Pre => self.attn_norm.forward(x),
            NormOrder::Post => Ok(x.clone()),
        }
    }

    pub(crate) fn run(
        &self,
        x: &Tensor,
        context: Context<'_>,
        cache: Option<&mut LayerCache>,
    ) -> candle_core::Result<Tensor> {
        match self.order {
            NormOrder::Pre => {
                let x = &self
                    .attn
                    .run(&self.attn_norm.forward(x)?, Some(x), context, cache)?;
                self.mlp
                    .forward_with(&self.mlp_norm.forward(x)?, Some(x), context.pass)
            }
            NormOrder::Post => {
                let y = self.attn.run(x, None, context, cache)?;
                let x = &self.attn_norm.forward_with(&y, Some(x))?;
                let y = self.mlp.forward_with(x, None, context.pass)?;
                self.mlp_norm.forward_with(&y, Some(x))
            }
        }
    }
}
