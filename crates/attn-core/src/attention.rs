//! Multi-head self-attention.

use candle_core::{Tensor, bail};
use candle_nn::{Init, Module, VarBuilder};
use kernels::rng::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attend::{Heads, Settings};
use crate::cache::LayerCache;
use crate::config::{ConfigError, probability, width};
use crate::projection::Projection;
use crate::{Context, Dropout, Linear, Pass, WeightInit};

/// Width and head layout of one attention layer.
///
/// Valid by construction: `n_heads` divides `d_model`, `n_kv_heads` divides `n_heads`,
/// rates of dropout are in `[0, 1)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawAttentionConfig")]
pub struct AttentionConfig {
    d_model: usize,
    n_heads: usize,
    n_kv_heads: usize,
    bias: bool,
    qk_norm: bool,
    d_edge: Option<usize>,
    weights_dropout: f32,
    dropout: f32,
    init: WeightInit,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawAttentionConfig {
    /// Width of the residual stream.
    d_model: usize,
    /// Query heads.
    n_heads: usize,
    /// Key and value heads, each shared by `n_heads / n_kv_heads` query heads; as many
    /// as query heads if not given.
    n_kv_heads: Option<usize>,
    /// Whether the four maps add a bias.
    #[serde(default)]
    bias: bool,
    /// Whether queries and keys are normalised, head by head.
    #[serde(default)]
    qk_norm: bool,
    /// Numbers that are known of each edge, where the mask is made of edges: a fifth map
    /// makes of them what is added to the key and the value of the edge.
    d_edge: Option<usize>,
    /// Rate of dropout on the attention weights.
    #[serde(default)]
    weights_dropout: f32,
    /// Rate of dropout on what the layer returns.
    #[serde(default)]
    dropout: f32,
    /// First values of the weights.
    #[serde(default)]
    init: WeightInit,
}

impl TryFrom<RawAttentionConfig> for AttentionConfig {
    type Error = ConfigError;

    fn try_from(raw: RawAttentionConfig) -> Result<Self, ConfigError> {
        let RawAttentionConfig {
            d_model,
            n_heads,
            bias,
            qk_norm,
            d_edge,
            init,
            ..
        } = raw;
        width("d_model", d_model)?;
        width("n_heads", n_heads)?;
        if d_model % n_heads != 0 {
            return Err(ConfigError::HeadsDoNotDivide { d_model, n_heads });
        }
        let n_kv_heads = width("n_kv_heads", raw.n_kv_heads.unwrap_or(n_heads))?;
        if n_heads % n_kv_heads != 0 {
            return Err(ConfigError::KvHeadsDoNotDivide {
                n_heads,
                n_kv_heads,
            });
        }
        let d_edge = d_edge.map(|d_edge| width("d_edge", d_edge)).transpose()?;
        let weights_dropout = probability("weights_dropout", raw.weights_dropout)?;
        let dropout = probability("dropout", raw.dropout)?;
        Ok(Self {
            d_model,
            n_heads,
            n_kv_heads,
            bias,
            qk_norm,
            d_edge,
            weights_dropout,
            dropout,
            init,
        })
    }
}

impl AttentionConfig {
    /// Plain multi-head attention, without biases and dropout.
    ///
    /// # Errors
    ///
    /// If a size is 0 or beyond reason, or `n_heads` does not divide `d_model`.
    pub fn new(d_model: usize, n_heads: usize) -> Result<Self, ConfigError> {
        RawAttentionConfig {
            d_model,
            n_heads,
            n_kv_heads: None,
            bias: false,
            qk_norm: false,
            d_edge: None,
            weights_dropout: 0.0,
            dropout: 0.0,
            init: WeightInit::default(),
        }
        .try_into()
    }

    /// The same layer with `n_kv_heads` key and value heads.
    ///
    /// # Errors
    ///
    /// If `n_kv_heads` is 0 or does not divide `n_heads`.
    pub fn with_kv_heads(self, n_kv_heads: usize) -> Result<Self, ConfigError> {
        RawAttentionConfig {
            n_kv_heads: Some(n_kv_heads),
            ..self.into()
        }
        .try_into()
    }

    /// The same layer for edges of which `d_edge` numbers are known:
    /// [`Position::edge_features`](crate::Position::edge_features).
    ///
    /// # Errors
    ///
    /// If `d_edge` is 0 or beyond reason.
    pub fn with_edge_features(self, d_edge: usize) -> Result<Self, ConfigError> {
        RawAttentionConfig {
            d_edge: Some(d_edge),
            ..self.into()
        }
        .try_into()
    }

    /// The same layer with dropout on its attention weights and on what it returns.
    ///
    /// # Errors
    ///
    /// If a rate is not in `[0, 1)`.
    pub fn with_dropout(self, weights_dropout: f32, dropout: f32) -> Result<Self, ConfigError> {
        RawAttentionConfig {
            weights_dropout,
            dropout,
            ..self.into()
        }
        .try_into()
    }

    /// The same layer with or without biases.
    #[must_use]
    pub fn with_bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// The same layer with or without norms of queries and keys.
    #[must_use]
    pub fn with_qk_norm(self, qk_norm: bool) -> Self {
        Self { qk_norm, ..self }
    }

    /// The same layer with other first values.
    #[must_use]
    pub fn with_init(self, init: WeightInit) -> Self {
        Self { init, ..self }
    }

    /// Width of the residual stream.
    pub fn d_model(&self) -> usize {
        self.d_model
    }

    /// Query heads.
    pub fn n_heads(&self) -> usize {
        self.n_heads
    }

    /// Key and value heads.
    pub fn n_kv_heads(&self) -> usize {
        self.n_kv_heads
    }

    /// Numbers that are known of each edge, if any.
    pub fn d_edge(&self) -> Option<usize> {
        self.d_edge
    }

    /// Channels of one head.
    pub fn head_dim(&self) -> usize {
        self.d_model / self.n_heads
    }
}

impl From<AttentionConfig> for RawAttentionConfig {
    fn from(config: AttentionConfig) -> Self {
        let AttentionConfig {
            d_model,
            n_heads,
            bias,
            qk_norm,
            d_edge,
            weights_dropout,
            dropout,
            init,
            ..
        } = config;
        let n_kv_heads = Some(config.n_kv_heads);
        Self {
            d_model,
            n_heads,
            n_kv_heads,
            bias,
            qk_norm,
            d_edge,
            weights_dropout,
            dropout,
            init,
        }
    }
}

/// Multi-head self-attention: project, split into heads, attend, merge.
///
/// Parameters, under the prefix of the builder: `wq`, `wk`, `wv`, `wo`; with norms of
/// queries and keys, `q_norm`, `k_norm`, which all heads share; with features of edges,
/// `we`.
#[derive(Debug, Clone)]
pub struct MultiHeadAttention {
    wq: Projection,
    wk: Projection,
    wv: Projection,
    wo: Projection,
    we: Option<Linear>,
    qk_norm: Option<(HeadNorm, HeadNorm)>,
    heads: Heads,
    weights_dropout: Dropout,
    dropout: Dropout,
}

impl MultiHeadAttention {
    /// Creates the layer, taking its parameters from `vb`.
    pub fn new(config: &AttentionConfig, vb: VarBuilder) -> candle_core::Result<Self> {
        let &AttentionConfig {
            d_model,
            n_heads,
            n_kv_heads,
            bias,
            d_edge,
            init,
            ..
        } = config;
        let head_dim = config.head_dim();
        let d_kv = n_kv_heads * head_dim;
        let project =
            |name: &str, d_out| Projection::new(d_model, d_out, bias, init.weight(), vb.pp(name));
        let norm = |name: &str| HeadNorm::new(head_dim, vb.pp(name));
        Ok(Self {
            wq: project("wq", d_model)?,
            wk: project("wk", d_kv)?,
            wv: project("wv", d_kv)?,
            wo: Projection::new(d_model, d_model, bias, init.residual_weight(), vb.pp("wo"))?,
            // Without a bias, which would only repeat those of keys and values.
            we: d_edge
                .map(|d_edge| Linear::new(d_edge, d_kv, false, init.weight(), vb.pp("we")))
                .transpose()?,
            qk_norm: match config.qk_norm {
                true => Some((norm("q_norm")?, norm("k_norm")?)),
                false => None,
            },
            heads: Heads {
                n_heads,
                n_kv_heads,
                head_dim,
            },
            weights_dropout: Dropout::new(config.weights_dropout, &vb.pp("weights")),
            dropout: Dropout::new(config.dropout, &vb),
        })
    }

    /// Lets every row of `x` read the rows that the mask grants it.
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, d_model]`, the packed rows of one batch
    /// - returns: `[n, d_model]`
    pub fn forward(&self, x: &Tensor, context: Context<'_>) -> candle_core::Result<Tensor> {
        self.run(x, None, context, None)
    }

    /// The attention weights of chosen heads and query rows, to look at: see
    /// [`attention_weights`](crate::attention_weights).
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, d_model]`, what the layer is given
    /// - returns: `[heads.len(), rows.len(), n]`
    pub fn weights(
        &self,
        x: &Tensor,
        context: Context<'_>,
        heads: &[usize],
        rows: &[usize],
    ) -> candle_core::Result<Tensor> {
        let (q, k, _) = self.project(x, context.pass)?;
        let Heads {
            n_heads,
            n_kv_heads,
            head_dim,
        } = self.heads;
        let q = q.reshape((q.dim(0)?, n_heads, head_dim))?;
        let k = k.reshape((k.dim(0)?, n_kv_heads, head_dim))?;
        self.settings(context, None)?.weights(&q, &k, heads, rows)
    }

    /// `residual + attention(x)`; with a cache, `x` are the rows behind those in it.
    pub(crate) fn run(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        context: Context<'_>,
        cache: Option<&mut LayerCache>,
    ) -> candle_core::Result<Tensor> {
        let Context { mask, pass, .. } = context;
        if cache.is_none() && !mask.is_square() {
            bail!("the mask counts on cached keys, but there is no cache");
        }
        let settings = self.settings(context, self.weights_dropout.draws(pass))?;
        let y = match (self.as_one_matrix(), cache) {
            // One matrix for all three: no split, no copy.
            (Some(projections), None) => {
                settings.attend_packed(&kernels::linear_concat(x, &projections)?)?
            }
            (_, cache) => {
                let (q, k, v) = self.project(x, pass)?;
                let (k, v) = match cache {
                    Some(cache) => cache.extend(&k, &v, mask)?,
                    None => (k, v),
                };
                settings.attend(&q, &k, &v)?
            }
        };
        self.dropout.after(&self.wo, &y, residual, pass)
    }

    /// What the kernel is told, with the features of edges mapped.
    fn settings(
        &self,
        context: Context<'_>,
        dropout: Option<(f32, Key)>,
    ) -> candle_core::Result<Settings> {
        let Context { mask, position, .. } = context;
        let features = match (&self.we, mask.edges()) {
            (None, _) => None,
            (Some(_), None) => bail!("attention maps features of edges, the mask has no edges"),
            (Some(we), Some(_)) => match position.edge_features(mask)? {
                Some(features) => Some(we.forward(&features)?),
                None => bail!("attention maps features of edges, but no edge has any"),
            },
        };
        self.heads.settings(mask, position, features, dropout)
    }

    /// Queries, keys and values: `[n, h·d]` and twice `[n, h_kv·d]`.
    fn project(&self, x: &Tensor, pass: Pass) -> candle_core::Result<(Tensor, Tensor, Tensor)> {
        let [q, k, v] = [&self.wq, &self.wk, &self.wv]
            .map(|projection| projection.forward_with(x, None, None, pass));
        let (q, k) = (q?, k?);
        let (q, k) = match &self.qk_norm {
            None => (q, k),
            Some((q_norm, k_norm)) => (q_norm.forward(&q)?, k_norm.forward(&k)?),
        };
        Ok((q, k, v?))
    }

    /// Weights and biases of queries, keys and values, if nothing else is done to these.
    fn as_one_matrix(&self) -> Option<[(&Tensor, Option<&Tensor>); 3]> {
        if self.qk_norm.is_some() {
            return None;
        }
        let [q, k, v] = [&self.wq, &self.wk, &self.wv].map(Projection::plain);
        Some([q?, k?, v?].map(|map| (map.weight(), map.bias())))
    }
}

/// RMS norm of every head; all heads share one weight, `[head_dim]`.
#[derive(Debug, Clone)]
struct HeadNorm {
    weight: Tensor,
}

impl HeadNorm {
    const EPS: f64 = 1e-5;

    fn new(head_dim: usize, vb: VarBuilder) -> candle_core::Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints(head_dim, "weight", Init::Const(1.0))?,
        })
    }

    /// `[n, h·d] -> [n, h·d]`
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        kernels::rms_norm_groups(x, &self.weight, Self::EPS)
    }
}
