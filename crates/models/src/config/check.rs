//! From a table as it is written to one that makes sense, and back.

use std::ops::RangeInclusive;

use encodings::{EncodingConfig, SinusoidalConfig};

use super::beside::{beside_patches, beside_window};
use super::raw::RawModel;
use super::{
    Activation, Backbone, BlockMemory, ConfigError, ImageConfig, Kind, MaskConfig, Modality,
    ModelConfig, Particular, Pooling,
};
use crate::layers::LayersConfig;

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
/// Most types of tokens: models have one or two.
const MAX_TOKEN_TYPES: usize = 16;
/// Most classes.
const MAX_CLASSES: usize = 1 << 20;
/// Longest sequence.
const MAX_SEQ_LEN: usize = 1 << 24;
/// Most parameters: 256 GiB of `f32`.
const MAX_PARAMETERS: u64 = 1 << 36;

impl TryFrom<RawModel> for ModelConfig {
    type Error = ConfigError;

    fn try_from(raw: RawModel) -> Result<Self, ConfigError> {
        useless(&raw)?;
        let raw = for_backbone(raw);
        let kind = raw.kind;
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
        let of_image = raw.image.as_ref().is_some_and(ImageConfig::class_token);
        let patches = raw.speech.and_then(|speech| speech.patches().copied());
        let pooling = match of_image || patches.is_some_and(|patches| patches.class_tokens() > 0) {
            true => Pooling::First,
            false => Pooling::default(),
        };
        let has_patches = patches.is_some();
        let config = Self {
            kind,
            backbone: raw.backbone,
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
            mask: mask(raw.mask, kind)?,
            position: position(
                raw.position
                    .or(has_patches.then_some(EncodingConfig::Learnt)),
                (kind, raw.backbone),
                d_model,
                n_heads,
            )?,
            norm: raw.norm,
            norm_placement: raw.norm_placement,
            norm_eps: positive("norm_eps", raw.norm_eps, 1.0)?,
            activation: raw.activation,
            bias: raw.bias,
            qk_norm: raw.qk_norm,
            memory: raw.memory,
            init_std: positive("init_std", raw.init_std, 10.0)?,
            max_seq_len: optional("max_seq_len", raw.max_seq_len, 1..=MAX_SEQ_LEN)?,
            vocab_size: optional("vocab_size", raw.vocab_size, 1..=MAX_VOCAB)?,
            tied: kind == Kind::TextLm && raw.tied.unwrap_or(true),
            embed_norm: raw.embed_norm.unwrap_or(false),
            token_types: optional("token_types", raw.token_types, 1..=MAX_TOKEN_TYPES)?,
            pooling: kind.pools().then(|| raw.pooling.unwrap_or(pooling)),
            pooler: raw.pooler.unwrap_or(false),
            n_classes: optional("n_classes", raw.n_classes, 2..=MAX_CLASSES)?,
            particular: match kind.modality() {
                Modality::Text => Particular::Text,
                Modality::Speech => Particular::Speech(raw.speech.unwrap_or_default()),
                Modality::Image => Particular::Image(raw.image.unwrap_or_default()),
                Modality::Graph => Particular::Graph(raw.graph.unwrap_or_default().check()?),
            },
        };
        if let Modality::Text | Modality::Speech = kind.modality() {
            LayersConfig::of(&config)?;
        }
        if let Some(window) = config.image().and_then(|image| image.window()) {
            beside_window(window, &config)?;
        }
        if has_patches {
            beside_patches(&config)?;
        }
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

/// What the keys of attention mean to a backbone without it, so that `backbone` is the one
/// key that swaps them. Of a mask it follows whether rows ahead may be read; a position
/// that only attention tells, a class token and a window, and blocks computed again, it
/// does without.
fn for_backbone(mut raw: RawModel) -> RawModel {
    let modality = raw.kind.modality();
    if raw.backbone == Backbone::Transformer {
        return raw;
    }
    raw.memory = BlockMemory::Keep;
    if modality == Modality::Graph {
        return raw;
    }
    let ahead = modality == Modality::Image || raw.mask.is_none_or(MaskConfig::reads_ahead);
    raw.mask = raw.mask.map(|_| match ahead {
        true => MaskConfig::Full,
        false => MaskConfig::Causal,
    });
    raw.position = raw.position.map(|position| match (modality, position) {
        // Convolutions over images read pixels, to which nothing is added.
        (Modality::Image, _) => EncodingConfig::None,
        (_, EncodingConfig::Sinusoidal(_) | EncodingConfig::Learnt) => position,
        _ => EncodingConfig::None,
    });
    raw.image = raw.image.map(ImageConfig::without_attention);
    raw
}

/// Refuses a key that the kind of model has no use for.
fn useless(raw: &RawModel) -> Result<(), ConfigError> {
    let kind = raw.kind;
    let modality = kind.modality();
    let table = |table: bool| table.then(|| "{ … }".to_owned());
    let keys = [
        (
            "tied",
            raw.tied.map(|tied| tied.to_string()),
            kind == Kind::TextLm,
        ),
        (
            "embed_norm",
            raw.embed_norm.map(|norm| norm.to_string()),
            modality == Modality::Text,
        ),
        (
            "token_types",
            raw.token_types.map(|n| n.to_string()),
            modality == Modality::Text,
        ),
        (
            "pooler",
            raw.pooler.map(|pooler| pooler.to_string()),
            kind.may_have_pooler(),
        ),
        (
            "pooling",
            raw.pooling.map(|pooling| format!("\"{pooling}\"")),
            kind.pools(),
        ),
        (
            "n_classes",
            raw.n_classes.map(|n| n.to_string()),
            kind.has_classes(),
        ),
        (
            "vocab_size",
            raw.vocab_size.map(|n| n.to_string()),
            modality == Modality::Text,
        ),
        (
            "speech",
            table(raw.speech.is_some()),
            modality == Modality::Speech,
        ),
        (
            "speech.word_separator",
            (raw.speech.and_then(|speech| speech.word_separator())).map(|n| n.to_string()),
            kind == Kind::SpeechCtc,
        ),
        (
            "speech.head_norm",
            (raw.speech.filter(|speech| speech.head_norm())).map(|_| "true".to_owned()),
            kind == Kind::SpeechClassifier,
        ),
        (
            "image",
            table(raw.image.is_some()),
            modality == Modality::Image,
        ),
        (
            "graph",
            table(raw.graph.is_some()),
            modality == Modality::Graph,
        ),
    ];
    let separator = raw.speech.and_then(|speech| speech.word_separator());
    if let (Some(symbol), Some(n_classes)) = (separator, raw.n_classes)
        && symbol >= n_classes
    {
        return Err(ConfigError::SizeOutOfRange {
            key: "speech.word_separator",
            value: symbol,
            range: 0..=n_classes.saturating_sub(1),
        });
    }
    for (key, value, used) in keys {
        if let (Some(value), false) = (value, used) {
            return Err(ConfigError::NoUse { key, value, kind });
        }
    }
    match raw.backbone.reads(modality) {
        true => Ok(()),
        false => Err(ConfigError::ForeignBackbone {
            backbone: raw.backbone,
            kind,
        }),
    }
}

impl From<ModelConfig> for RawModel {
    fn from(config: ModelConfig) -> Self {
        let (mut speech, mut image, mut graph) = (None, None, None);
        match config.particular {
            Particular::Text => {}
            Particular::Speech(table) => speech = Some(table),
            Particular::Image(table) => image = Some(table),
            Particular::Graph(table) => graph = Some(table),
        }
        Self {
            kind: config.kind,
            backbone: config.backbone,
            d_model: config.d_model,
            n_heads: config.n_heads,
            n_kv_heads: Some(config.n_kv_heads),
            n_layers: config.n_layers,
            d_ff: Some(config.d_ff),
            dropout: config.dropout,
            attention_dropout: Some(config.attention_dropout),
            mask: Some(config.mask),
            position: Some(config.position),
            norm: config.norm,
            norm_placement: config.norm_placement,
            norm_eps: config.norm_eps,
            activation: config.activation,
            bias: config.bias,
            qk_norm: config.qk_norm,
            memory: config.memory,
            init_std: config.init_std,
            max_seq_len: config.max_seq_len,
            vocab_size: config.vocab_size,
            tied: (config.kind == Kind::TextLm).then_some(config.tied),
            // Not written where they are not: older runs, which know of none, go on.
            embed_norm: config.embed_norm.then_some(true),
            token_types: config.token_types,
            pooling: config.pooling,
            pooler: config.pooler.then_some(true),
            n_classes: config.n_classes,
            speech,
            image,
            graph,
        }
    }
}

fn mask(mask: Option<MaskConfig>, kind: Kind) -> Result<MaskConfig, ConfigError> {
    let mask = mask.unwrap_or(match kind {
        Kind::TextLm => MaskConfig::Causal,
        _ if kind.modality() == Modality::Graph => MaskConfig::Edges,
        _ => MaskConfig::Full,
    });
    if let MaskConfig::Chunk {
        size: positions, ..
    } = mask
    {
        size("mask.chunk.size", positions, 1..=MAX_SEQ_LEN)?;
    }
    match kind {
        Kind::TextLm if mask.reads_ahead() => Err(ConfigError::ReadsItsTargets { mask }),
        _ if !mask.applies_to(kind.modality()) => Err(ConfigError::ForeignMask { mask, kind }),
        _ => Ok(mask),
    }
}

fn position(
    position: Option<EncodingConfig>,
    (kind, backbone): (Kind, Backbone),
    d_model: usize,
    n_heads: usize,
) -> Result<EncodingConfig, ConfigError> {
    let position = position.unwrap_or(match kind.modality() {
        // Recurrences and convolutions know the order of what they read.
        _ if backbone != Backbone::Transformer => EncodingConfig::None,
        Modality::Text | Modality::Image => EncodingConfig::Learnt,
        Modality::Speech => EncodingConfig::Sinusoidal(SinusoidalConfig::default()),
        Modality::Graph => EncodingConfig::None,
    });
    let head_dim = d_model / n_heads;
    if position.needs_grid() {
        let name = position.name();
        if kind.modality() != Modality::Image {
            return Err(ConfigError::NoGrid { name, kind });
        }
        let (of, channels, least) = match position {
            EncodingConfig::Sinusoidal2d(_) => ("channels (d_model)", d_model, 8),
            EncodingConfig::Rotary2d(_) => ("channels a head", head_dim, 4),
            _ => return Ok(position),
        };
        if !channels.is_multiple_of(4) || channels < least {
            return Err(ConfigError::Quarters {
                name,
                of,
                channels,
                least,
            });
        }
    }
    match position {
        // The nodes of a graph have no order.
        other if kind.modality() == Modality::Graph && other != EncodingConfig::None => {
            let (key, value) = ("position", format!("\"{}\"", other.name()));
            Err(ConfigError::NoUse { key, value, kind })
        }
        EncodingConfig::Rotary(_) if !head_dim.is_multiple_of(2) => Err(ConfigError::OddHeads {
            d_model,
            n_heads,
            head_dim,
        }),
        position => Ok(position),
    }
}

pub(super) fn filled(
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

pub(super) fn size(
    key: &'static str,
    value: usize,
    range: RangeInclusive<usize>,
) -> Result<usize, ConfigError> {
    match range.contains(&value) {
        true => Ok(value),
        false => Err(ConfigError::SizeOutOfRange { key, value, range }),
    }
}

pub(super) fn rate(key: &'static str, value: f64) -> Result<f64, ConfigError> {
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
