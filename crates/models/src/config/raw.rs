//! `[model]` as it is written.

use encodings::EncodingConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Activation, Kind, MaskConfig, NormKind, NormOrder, Pooling};

/// What the model is.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ModelConfig")]
pub(super) struct RawModel {
    /// What the model is for: "text-lm" or "text-classifier".
    pub(super) kind: Kind,
    /// Width of the residual stream.
    pub(super) d_model: usize,
    /// Query heads; they share `d_model` evenly.
    pub(super) n_heads: usize,
    /// Key and value heads, each read by `n_heads / n_kv_heads` query heads; `n_heads`
    /// if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) n_kv_heads: Option<usize>,
    /// Blocks, one after the other.
    pub(super) n_layers: usize,
    /// Inner width of the feed-forward layer; if absent, four times `d_model`, or with
    /// "swiglu", which has three matrices, 8/3 of it, rounded up to a multiple of 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) d_ff: Option<usize>,
    /// Share of elements dropped after the embedding and after each layer.
    #[serde(default)]
    pub(super) dropout: f64,
    /// Share of attention weights dropped; as `dropout` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attention_dropout: Option<f64>,
    /// What a position may read; "causal" for a text-lm, "full" for a text-classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mask: Option<MaskConfig>,
    /// How the model is told where in its sequence a token stands; "learnt" if absent.
    #[serde(default = "learnt")]
    pub(super) position: EncodingConfig,
    /// Which statistics a norm removes.
    #[serde(default = "layer")]
    pub(super) norm: NormKind,
    /// Where the norms of a block stand.
    #[serde(default)]
    pub(super) norm_placement: NormOrder,
    /// Added to the variance or mean square of a norm.
    #[serde(default = "norm_eps")]
    pub(super) norm_eps: f64,
    /// What bends the feed-forward layer.
    #[serde(default)]
    pub(super) activation: Activation,
    /// Whether linear maps and layer norms add a bias; a language model's head never does.
    #[serde(default = "yes")]
    pub(super) bias: bool,
    /// Whether queries and keys are normalised, head by head.
    #[serde(default)]
    pub(super) qk_norm: bool,
    /// Standard deviation of the first weights; those that write to the residual stream
    /// get `1/√(2 n_layers)` of it, learnt positions always 0.02.
    #[serde(default = "init_std")]
    pub(super) init_std: f64,
    /// Longest sequence, in tokens; `seq_len` of [data] if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_seq_len: Option<usize>,
    /// Tokens there are; those of the tokenizer if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vocab_size: Option<usize>,
    /// text-lm: whether the head is the embedding table; true if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tied: Option<bool>,
    /// text-classifier: what of a text the head reads; "mean" if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pooling: Option<Pooling>,
    /// text-classifier: classes there are; those of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) n_classes: Option<usize>,
}

fn learnt() -> EncodingConfig {
    EncodingConfig::Learnt
}

fn layer() -> NormKind {
    NormKind::Layer
}

fn norm_eps() -> f64 {
    1e-5
}

fn init_std() -> f64 {
    0.02
}

fn yes() -> bool {
    true
}
