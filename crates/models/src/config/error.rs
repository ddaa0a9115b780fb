//! Why a `[model]` table cannot be used.

use std::ops::RangeInclusive;

use super::{Backbone, Kind, MaskConfig};

/// A `[model]` table that describes no model.
///
/// Displays as `key = value …; remedy`, or without a remedy where changing a named key
/// is the only one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A size of 0, or beyond what any machine holds.
    #[error("{key} = {value} is out of range; use {} to {}", range.start(), range.end())]
    SizeOutOfRange {
        /// The key.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The values allowed.
        range: RangeInclusive<usize>,
    },

    /// A share of dropped elements that is none.
    #[error("{key} = {value} is out of range; use 0 up to, but not including, 1")]
    DropoutOutOfRange {
        /// The key.
        key: &'static str,
        /// Its value.
        value: f64,
    },

    /// A number that must be positive.
    #[error("{key} = {value} is out of range; use more than 0, at most {most}")]
    NotPositive {
        /// The key.
        key: &'static str,
        /// Its value.
        value: f64,
        /// The greatest value allowed.
        most: f64,
    },

    /// Heads of unequal width.
    #[error("d_model = {d_model} is not a multiple of n_heads = {n_heads}")]
    HeadsDoNotDivide {
        /// Width of the residual stream.
        d_model: usize,
        /// Query heads.
        n_heads: usize,
    },

    /// Groups of query heads of unequal size.
    #[error("n_heads = {n_heads} is not a multiple of n_kv_heads = {n_kv_heads}")]
    KvHeadsDoNotDivide {
        /// Query heads.
        n_heads: usize,
        /// Key and value heads.
        n_kv_heads: usize,
    },

    /// An encoding that turns pairs of channels, and heads with an odd one.
    #[error(
        "position = \"rotary\" turns pairs of channels, but d_model = {d_model} and \
         n_heads = {n_heads} make heads of {head_dim}; use a multiple of {} for d_model",
        2 * n_heads
    )]
    OddHeads {
        /// Width of the residual stream.
        d_model: usize,
        /// Query heads.
        n_heads: usize,
        /// Channels of a head.
        head_dim: usize,
    },

    /// A language model that is shown the answer.
    #[error(
        "mask = {mask} lets a text-lm read the tokens it is to predict; use mask = \"causal\", \
         or a band with right = 0"
    )]
    ReadsItsTargets {
        /// The mask.
        mask: MaskConfig,
    },

    /// A key of another kind of model.
    #[error("{key} = {value} has no use with kind = \"{kind}\"; remove it")]
    NoUse {
        /// The key.
        key: &'static str,
        /// Its value, as in TOML.
        value: String,
        /// The kind of model that lacks it.
        kind: Kind,
    },

    /// A backbone for other rows.
    #[error(
        "backbone = \"{backbone}\" cannot read what kind = \"{kind}\" is given; use \"transformer\""
    )]
    ForeignBackbone {
        /// The backbone.
        backbone: Backbone,
        /// The kind of model.
        kind: Kind,
    },

    /// States of which half run backward, and an odd number of them.
    #[error(
        "d_model = {d_model} is odd, but half of the states run backward; use an even d_model, or \
         mask = \"causal\""
    )]
    OddStates {
        /// Width of the residual stream.
        d_model: usize,
    },

    /// A mask for other rows.
    #[error("mask = {mask} is not for what kind = \"{kind}\" is given; use mask = \"full\"")]
    ForeignMask {
        /// The mask.
        mask: MaskConfig,
        /// The kind of model.
        kind: Kind,
    },

    /// A scale by which no number can be divided.
    #[error(
        "graph.mean = {mean} and graph.deviation = {deviation} are no scale; use finite numbers, \
         the deviation above 0"
    )]
    BadScale {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },

    /// More parameters than any machine holds.
    #[error(
        "d_model = {d_model}, d_ff = {d_ff} and n_layers = {n_layers} make more than 2^36 \
         parameters; use smaller sizes"
    )]
    TooManyParameters {
        /// Width of the residual stream.
        d_model: usize,
        /// Inner width of the feed-forward layer.
        d_ff: usize,
        /// Blocks.
        n_layers: usize,
    },

    /// An image that is no whole number of patches.
    #[error("{key} = {side} is not a multiple of image.patch = {patch}")]
    PatchesDoNotDivide {
        /// The side.
        key: &'static str,
        /// Its pixels.
        side: usize,
        /// Pixels of a side of a patch.
        patch: usize,
    },

    /// Another number of values than of channels.
    #[error("{key} has {found} numbers, but an image {channels} channels; write one for each")]
    NotOneAChannel {
        /// The key.
        key: &'static str,
        /// Numbers there are.
        found: usize,
        /// Channels there are.
        channels: usize,
    },

    /// A window of patches beside what it cannot go with.
    #[error("image.window = {window} cannot go with {other}; remove one of them")]
    WindowBeside {
        /// How far a patch reads.
        window: usize,
        /// The other key and its value, as in TOML.
        other: String,
    },

    /// A key of patches of a spectrogram, where there are none.
    #[error("{key} = {value} has no use without speech.front = \"patches\"; remove it")]
    OnlyOfPatches {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },

    /// Patches of a spectrogram beside what they cannot go with.
    #[error("speech.front = \"patches\" cannot go with {other}; use {remedy}")]
    PatchesBeside {
        /// The other key and its value, as in TOML.
        other: String,
        /// The value that it can have, or another front.
        remedy: &'static str,
    },

    /// Patches that are wider than a frame.
    #[error(
        "speech.window = {window} features of a patch are more than the {n_features} of a frame; \
         use a smaller window, or more features"
    )]
    PatchBeyondFeatures {
        /// Side of a patch.
        window: usize,
        /// Numbers a frame.
        n_features: usize,
    },

    /// A number that frames cannot be filled with.
    #[error("speech.fill = {fill} is out of range; use -1000000 to 1000000")]
    FillOutOfRange {
        /// The number.
        fill: f64,
    },

    /// A longest sequence where all have the same rows.
    #[error(
        "max_seq_len = {value}, but speech.front = \"patches\" makes {n_rows} rows of every \
         recording; remove it"
    )]
    OtherRows {
        /// What is written.
        value: usize,
        /// Rows there are.
        n_rows: usize,
    },

    /// A size that must be that of the data.
    #[error("{key} = {value}, but the data has {found}; remove it, or resize the data")]
    NotThatOfData {
        /// The key.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The size of the data.
        found: usize,
    },

    /// An encoding of rows that stand on a grid, where they do not.
    #[error("position = \"{name}\" is for the patches of images, not for a {kind}; use \"learnt\"")]
    NoGrid {
        /// The encoding.
        name: &'static str,
        /// The kind of model.
        kind: Kind,
    },

    /// Channels that rows and columns of a grid cannot share.
    #[error(
        "position = \"{name}\" needs {of} that are a multiple of 4, at least {least}, not {channels}"
    )]
    Quarters {
        /// The encoding.
        name: &'static str,
        /// Of what.
        of: &'static str,
        /// Channels there are.
        channels: usize,
        /// Channels needed.
        least: usize,
    },

    /// A size that neither the table nor the data gave.
    #[error("`{key}` is not known; write it, or give the model data to take it from")]
    Unresolved {
        /// The key.
        key: &'static str,
    },

    /// A size that does not hold the data.
    #[error(
        "{key} = {value} is less than the {needed} that the data needs; use {needed} or more, or remove it"
    )]
    TooSmallForData {
        /// The key.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The least value that fits.
        needed: usize,
    },
}

impl ConfigError {
    /// The keys of `[model]` that the error is about, the likeliest to blame first.
    pub fn keys(&self) -> &[&'static str] {
        match self {
            Self::SizeOutOfRange { key, .. }
            | Self::DropoutOutOfRange { key, .. }
            | Self::NotPositive { key, .. }
            | Self::NoUse { key, .. }
            | Self::Unresolved { key }
            | Self::TooSmallForData { key, .. } => std::slice::from_ref(key),
            Self::HeadsDoNotDivide { .. } => &["d_model", "n_heads"],
            Self::KvHeadsDoNotDivide { .. } => &["n_kv_heads", "n_heads"],
            Self::OddHeads { .. } => &["d_model", "n_heads", "position"],
            Self::ReadsItsTargets { .. } | Self::ForeignMask { .. } => &["mask"],
            Self::BadScale { .. } => &["graph"],
            Self::ForeignBackbone { .. } => &["backbone", "kind"],
            Self::OddStates { .. } => &["d_model", "mask"],
            Self::PatchesDoNotDivide { key, .. }
            | Self::NotOneAChannel { key, .. }
            | Self::NotThatOfData { key, .. } => std::slice::from_ref(key),
            Self::NoGrid { .. } => &["position"],
            Self::WindowBeside { .. } => &["image.window"],
            Self::OnlyOfPatches { key, .. } => std::slice::from_ref(key),
            Self::PatchesBeside { .. } => &["speech.front"],
            Self::PatchBeyondFeatures { .. } => &["speech.window", "speech.front"],
            Self::FillOutOfRange { .. } => &["speech.fill"],
            Self::OtherRows { .. } => &["max_seq_len"],
            Self::Quarters { .. } => &["d_model", "n_heads", "position"],
            Self::TooManyParameters { .. } => &["d_model", "d_ff", "n_layers"],
        }
    }
}
