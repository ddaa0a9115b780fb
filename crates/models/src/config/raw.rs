//! `[model]` as it is written.

use encodings::EncodingConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Activation, Backbone, BlockMemory, GraphConfig, ImageConfig, Kind, MaskConfig, NormKind,
    NormOrder, Pooling, SpeechConfig,
};

/// What the model is.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ModelConfig")]
pub(super) struct RawModel {
    /// What the model is for, such as "text-lm" or "image-classifier".
    pub(super) kind: Kind,
    /// What stands between embedding and head; the others are there to be compared with,
    /// and do without what is attention's alone: of `mask` they take whether a row ahead may
    /// be read, `position` they have if it is added to the input.
    #[serde(default)]
    pub(super) backbone: Backbone,
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
    /// What a position may read; "causal" for a text-lm, else "full" if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mask: Option<MaskConfig>,
    /// How the model is told where a row stands; if absent "learnt" for text, images and
    /// patches of sound, "sinusoidal" for other sound, "none" for graphs and behind any backbone but "transformer".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<EncodingConfig>,
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
    /// What training keeps of a block of attention for the backward pass: "keep" all that
    /// is read there, or "recompute" the block from its input, which takes a third more
    /// time and far less memory. Results are the same to the bit.
    #[serde(default)]
    pub(super) memory: BlockMemory,
    /// Standard deviation of the first weights; those that write to the residual stream
    /// get `1/√(2 n_layers)` of it, learnt positions always 0.02.
    #[serde(default = "init_std")]
    pub(super) init_std: f64,
    /// Longest sequence, in rows that attend; that of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_seq_len: Option<usize>,
    /// Text: tokens there are; those of the tokenizer if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vocab_size: Option<usize>,
    /// text-lm: whether the head is the embedding table; true if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tied: Option<bool>,
    /// Text: whether the sum of the embeddings is normalised before it is dropped from and
    /// goes into the first block, as in BERT; false if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) embed_norm: Option<bool>,
    /// Text: rows of a table of which row 0 is added to every position, as BERT does with
    /// the first text of a pair; none if absent. Pairs are not read, so the other rows are
    /// only kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_types: Option<usize>,
    /// Classifiers of whole samples, and text-encoder: what of a sample the head reads;
    /// "mean" if absent, or "first" where a class token is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pooling: Option<Pooling>,
    /// text-classifier and text-encoder: whether a linear map and a tanh stand between
    /// pooling and head, as in BERT; false if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pooler: Option<bool>,
    /// Classifiers: classes there are; those of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) n_classes: Option<usize>,
    /// What only models of sound have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) speech: Option<SpeechConfig>,
    /// What only models of images have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<ImageConfig>,
    /// What only models of graphs have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) graph: Option<GraphConfig>,
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
