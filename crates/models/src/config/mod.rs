//! The `[model]` table.

mod choices;
mod error;
mod mask;
mod raw;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use encodings::EncodingConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use attn_core::{NormKind, NormOrder};
pub use choices::{Activation, Kind, Pooling};
pub use error::ConfigError;
pub use mask::MaskConfig;
use raw::RawModel;

/// Widest residual stream.
const MAX_D_MODEL: usize = 1 << 16;
/// Most heads.
const MAX_HEADS: usize = 1 << 10;
/// Deepest stack.
const MAX_LAYERS: usize = 1 << 10;
/// Widest feed-forward layer.
const MAX_D_FF: usize = 1 << 18;
/// Largest vocabulary, which is also the largest a tokenizer file may have.
const MAX_VOCAB: usize = 1 << 24;
/// Most classes.
const MAX_CLASSES: usize = 1 << 20;
/// Longest sequence.
const MAX_SEQ_LEN: usize = 1 << 24;
/// Most parameters: 256 GiB of `f32`.
const MAX_PARAMETERS: u64 = 1 << 36;

/// What a model is: its kind, sizes and layers.
///
/// Valid by construction: `n_heads` divides `d_model`, `n_kv_heads` divides `n_heads`,
/// sizes are positive and within reason, rates are in `[0, 1)`, a language model does not
/// read ahead, and no key is set that the kind has no use for. Defaults are filled in,
/// but for the sizes that the data decide: see [`ModelConfig::resolve`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawModel", into = "RawModel")]
pub struct ModelConfig {
    d_model: usize,
    n_heads: usize,
    n_kv_heads: usize,
    n_layers: usize,
    d_ff: usize,
    dropout: f64,
    attention_dropout: f64,
    mask: MaskConfig,
    position: EncodingConfig,
    norm: NormKind,
    norm_placement: NormOrder,
    norm_eps: f64,
    activation: Activation,
    bias: bool,
    qk_norm: bool,
    init_std: f64,
    max_seq_len: Option<usize>,
    vocab_size: Option<usize>,
    task: Task,
}

/// What is particular to a kind.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Task {
    Lm {
        tied: bool,
    },
    Classifier {
        pooling: Pooling,
        n_classes: Option<usize>,
    },
}

/// The sizes that data decide, as far as they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataSizes {
    /// Most tokens of one sequence.
    pub seq_len: Option<usize>,
    /// Tokens that the tokenizer knows.
    pub vocab_size: Option<usize>,
    /// Classes; `None` where there are none.
    pub n_classes: Option<usize>,
}

impl ModelConfig {
    /// Fills in the sizes that the table leaves to the data.
    ///
    /// A model loaded from a file has them all, and needs no data: pass
    /// `DataSizes::default()`.
    ///
    /// # Errors
    ///
    /// A size that is neither in the table nor in `data`, or too small for the data.
    pub fn resolve(&self, data: DataSizes) -> Result<Self, ConfigError> {
        let max_seq_len = filled("max_seq_len", self.max_seq_len, data.seq_len)?;
        let vocab_size = filled("vocab_size", self.vocab_size, data.vocab_size)?;
        let n_classes = match self.task {
            Task::Lm { .. } => None,
            Task::Classifier { n_classes, .. } => {
                Some(filled("n_classes", n_classes, data.n_classes)?)
            }
        };
        Self::try_from(RawModel {
            max_seq_len: Some(max_seq_len),
            vocab_size: Some(vocab_size),
            n_classes,
            ..RawModel::from(self.clone())
        })
    }

    /// What the model is for.
    pub fn kind(&self) -> Kind {
        match self.task {
            Task::Lm { .. } => Kind::TextLm,
            Task::Classifier { .. } => Kind::TextClassifier,
        }
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

    /// Channels of one head.
    pub fn head_dim(&self) -> usize {
        self.d_model / self.n_heads
    }

    /// Blocks.
    pub fn n_layers(&self) -> usize {
        self.n_layers
    }

    /// Inner width of the feed-forward layer.
    pub fn d_ff(&self) -> usize {
        self.d_ff
    }

    /// Share of elements dropped after the embedding and after each layer.
    pub fn dropout(&self) -> f64 {
        self.dropout
    }

    /// Share of attention weights dropped.
    pub fn attention_dropout(&self) -> f64 {
        self.attention_dropout
    }

    /// What a position may read.
    pub fn mask(&self) -> MaskConfig {
        self.mask
    }

    /// How the model is told where in its sequence a token stands.
    pub fn position(&self) -> EncodingConfig {
        self.position
    }

    /// Which statistics a norm removes.
    pub fn norm(&self) -> NormKind {
        self.norm
    }

    /// Where the norms of a block stand.
    pub fn norm_placement(&self) -> NormOrder {
        self.norm_placement
    }

    /// Added to the variance or mean square of a norm.
    pub fn norm_eps(&self) -> f64 {
        self.norm_eps
    }

    /// What bends the feed-forward layer.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Whether linear maps and layer norms add a bias.
    pub fn bias(&self) -> bool {
        self.bias
    }

    /// Whether queries and keys are normalised, head by head.
    pub fn qk_norm(&self) -> bool {
        self.qk_norm
    }

    /// Standard deviation of the first weights.
    pub fn init_std(&self) -> f64 {
        self.init_std
    }

    /// Longest sequence, in tokens.
    ///
    /// # Errors
    ///
    /// If the table leaves it to the data and [`ModelConfig::resolve`] was not called.
    pub fn max_seq_len(&self) -> Result<usize, ConfigError> {
        self.max_seq_len
            .ok_or(ConfigError::Unresolved { key: "max_seq_len" })
    }

    /// Tokens there are.
    ///
    /// # Errors
    ///
    /// As [`ModelConfig::max_seq_len`].
    pub fn vocab_size(&self) -> Result<usize, ConfigError> {
        self.vocab_size
            .ok_or(ConfigError::Unresolved { key: "vocab_size" })
    }

    /// Classes there are; `None` for a language model.
    ///
    /// # Errors
    ///
    /// As [`ModelConfig::max_seq_len`].
    pub fn n_classes(&self) -> Result<Option<usize>, ConfigError> {
        match self.task {
            Task::Lm { .. } => Ok(None),
            Task::Classifier {
                n_classes: None, ..
            } => Err(ConfigError::Unresolved { key: "n_classes" }),
            Task::Classifier { n_classes, .. } => Ok(n_classes),
        }
    }

    /// Whether the head of a language model is its embedding table.
    pub fn tied(&self) -> bool {
        matches!(self.task, Task::Lm { tied: true })
    }

    /// What of a text a classifier reads; `None` for a language model.
    pub fn pooling(&self) -> Option<Pooling> {
        match self.task {
            Task::Lm { .. } => None,
            Task::Classifier { pooling, .. } => Some(pooling),
        }
    }
}

impl TryFrom<RawModel> for ModelConfig {
    type Error = ConfigError;

    fn try_from(raw: RawModel) -> Result<Self, ConfigError> {
        let task = Task::try_from(&raw)?;
        let d_model = size("d_model", raw.d_model, 1..=MAX_D_MODEL)?;
        let n_heads = size("n_heads", raw.n_heads, 1..=MAX_HEADS)?;
        let n_kv_heads = size(
            "n_kv_heads",
            raw.n_kv_heads.unwrap_or(n_heads),
            1..=MAX_HEADS,
        )?;
        if d_model % n_heads != 0 {
            return Err(ConfigError::HeadsDoNotDivide { d_model, n_heads });
        }
        if n_heads % n_kv_heads != 0 {
            return Err(ConfigError::KvHeadsDoNotDivide {
                n_heads,
                n_kv_heads,
            });
        }
        let default_d_ff = match raw.activation {
            Activation::Swiglu => (8 * d_model).div_ceil(3).next_multiple_of(8),
            _ => 4 * d_model,
        };
        let optional = |key, value: Option<usize>, range| {
            value.map(|value| size(key, value, range)).transpose()
        };
        let config = Self {
            d_model,
            n_heads,
            n_kv_heads,
            n_layers: size("n_layers", raw.n_layers, 1..=MAX_LAYERS)?,
            d_ff: size("d_ff", raw.d_ff.unwrap_or(default_d_ff), 1..=MAX_D_FF)?,
            dropout: rate("dropout", raw.dropout)?,
            attention_dropout: rate(
                "attention_dropout",
                raw.attention_dropout.unwrap_or(raw.dropout),
            )?,
            mask: mask(raw.mask, task)?,
            position: position(raw.position, d_model, n_heads)?,
            norm: raw.norm,
            norm_placement: raw.norm_placement,
            norm_eps: positive("norm_eps", raw.norm_eps, 1.0)?,
            activation: raw.activation,
            bias: raw.bias,
            qk_norm: raw.qk_norm,
            init_std: positive("init_std", raw.init_std, 10.0)?,
            max_seq_len: optional("max_seq_len", raw.max_seq_len, 1..=MAX_SEQ_LEN)?,
            vocab_size: optional("vocab_size", raw.vocab_size, 1..=MAX_VOCAB)?,
            task,
        };
        if crate::cost::n_params(&config) > MAX_PARAMETERS {
            let Self {
                d_model,
                d_ff,
                n_layers,
                ..
            } = config;
            return Err(ConfigError::TooManyParameters {
                d_model,
                d_ff,
                n_layers,
            });
        }
        Ok(config)
    }
}

impl TryFrom<&RawModel> for Task {
    type Error = ConfigError;

    fn try_from(raw: &RawModel) -> Result<Self, ConfigError> {
        let kind = raw.kind;
        let unused = |key, value: Option<String>| match value {
            None => Ok(()),
            Some(value) => Err(ConfigError::NoUse { key, value, kind }),
        };
        match kind {
            Kind::TextLm => {
                unused(
                    "pooling",
                    raw.pooling.map(|pooling| format!("\"{pooling}\"")),
                )?;
                unused("n_classes", raw.n_classes.map(|n| n.to_string()))?;
                Ok(Self::Lm {
                    tied: raw.tied.unwrap_or(true),
                })
            }
            Kind::TextClassifier => {
                unused("tied", raw.tied.map(|tied| tied.to_string()))?;
                let n_classes = raw.n_classes;
                let n_classes = n_classes
                    .map(|n| size("n_classes", n, 2..=MAX_CLASSES))
                    .transpose()?;
                Ok(Self::Classifier {
                    pooling: raw.pooling.unwrap_or_default(),
                    n_classes,
                })
            }
        }
    }
}

impl From<ModelConfig> for RawModel {
    fn from(config: ModelConfig) -> Self {
        let (tied, pooling, n_classes) = match config.task {
            Task::Lm { tied } => (Some(tied), None, None),
            Task::Classifier { pooling, n_classes } => (None, Some(pooling), n_classes),
        };
        Self {
            kind: config.kind(),
            d_model: config.d_model,
            n_heads: config.n_heads,
            n_kv_heads: Some(config.n_kv_heads),
            n_layers: config.n_layers,
            d_ff: Some(config.d_ff),
            dropout: config.dropout,
            attention_dropout: Some(config.attention_dropout),
            mask: Some(config.mask),
            position: config.position,
            norm: config.norm,
            norm_placement: config.norm_placement,
            norm_eps: config.norm_eps,
            activation: config.activation,
            bias: config.bias,
            qk_norm: config.qk_norm,
            init_std: config.init_std,
            max_seq_len: config.max_seq_len,
            vocab_size: config.vocab_size,
            tied,
            pooling,
            n_classes,
        }
    }
}

fn mask(mask: Option<MaskConfig>, task: Task) -> Result<MaskConfig, ConfigError> {
    let mask = mask.unwrap_or(match task {
        Task::Lm { .. } => MaskConfig::Causal,
        Task::Classifier { .. } => MaskConfig::Full,
    });
    if let MaskConfig::Chunk {
        size: positions, ..
    } = mask
    {
        size("mask.chunk.size", positions, 1..=MAX_SEQ_LEN)?;
    }
    match task {
        Task::Lm { .. } if mask.reads_ahead() => Err(ConfigError::ReadsItsTargets { mask }),
        _ => Ok(mask),
    }
}

fn position(
    position: EncodingConfig,
    d_model: usize,
    n_heads: usize,
) -> Result<EncodingConfig, ConfigError> {
    let head_dim = d_model / n_heads;
    match position {
        EncodingConfig::Rotary(_) if !head_dim.is_multiple_of(2) => Err(ConfigError::OddHeads {
            d_model,
            n_heads,
            head_dim,
        }),
        position => Ok(position),
    }
}

fn filled(
    key: &'static str,
    written: Option<usize>,
    needed: Option<usize>,
) -> Result<usize, ConfigError> {
    match (written, needed) {
        (Some(value), Some(needed)) if value < needed => {
            Err(ConfigError::TooSmallForData { key, value, needed })
        }
        (Some(value), _) | (None, Some(value)) => Ok(value),
        (None, None) => Err(ConfigError::Unresolved { key }),
    }
}

fn size(
    key: &'static str,
    value: usize,
    range: RangeInclusive<usize>,
) -> Result<usize, ConfigError> {
    match range.contains(&value) {
        true => Ok(value),
        false => Err(ConfigError::SizeOutOfRange { key, value, range }),
    }
}

fn rate(key: &'static str, value: f64) -> Result<f64, ConfigError> {
    match (0.0..1.0).contains(&value) {
        true => Ok(value),
        false => Err(ConfigError::DropoutOutOfRange { key, value }),
    }
}

fn positive(key: &'static str, value: f64, most: f64) -> Result<f64, ConfigError> {
    match value > 0.0 && value <= most {
        true => Ok(value),
        false => Err(ConfigError::NotPositive { key, value, most }),
    }
}
