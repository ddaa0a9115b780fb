//! `[data]`: where the data comes from, by what the model reads.

use std::path::Path;

use data::audio::AudioDataConfig;
use data::graph::GraphDataConfig;
use data::image::ImageDataConfig;
use data::text::TextDataConfig;
use schemars::JsonSchema;
use serde::Serialize;

/// Where the data comes from: the `[data]` table.
///
/// Its keys are those of one modality, which `model.kind` decides.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[non_exhaustive]
pub enum DataTable {
    /// Text.
    Text(TextDataConfig),
    /// Images.
    Image(ImageDataConfig),
    /// Sound.
    Audio(AudioDataConfig),
    /// Graphs.
    Graph(GraphDataConfig),
}

impl DataTable {
    /// Training data.
    pub fn path(&self) -> &Path {
        match self {
            Self::Text(config) => config.path(),
            Self::Image(config) => config.path(),
            Self::Audio(config) => config.path(),
            Self::Graph(config) => config.path(),
        }
    }

    /// Validation data, if it is no part of [`path`](Self::path).
    pub fn val(&self) -> Option<&Path> {
        match self {
            Self::Text(config) => config.val(),
            Self::Image(config) => config.val(),
            Self::Audio(config) => config.val(),
            Self::Graph(config) => config.val(),
        }
    }

    /// Rows of a sample, or the most that one may have, where the table says so.
    pub fn seq_len(&self) -> Option<usize> {
        match self {
            Self::Text(config) => Some(config.seq_len()),
            // The model decides how many rows an image is.
            Self::Image(_) => None,
            Self::Audio(config) => Some(config.seq_len()),
            Self::Graph(_) => None,
        }
    }
}

impl From<TextDataConfig> for DataTable {
    fn from(config: TextDataConfig) -> Self {
        Self::Text(config)
    }
}

impl From<ImageDataConfig> for DataTable {
    fn from(config: ImageDataConfig) -> Self {
        Self::Image(config)
    }
}

impl From<AudioDataConfig> for DataTable {
    fn from(config: AudioDataConfig) -> Self {
        Self::Audio(config)
    }
}

impl From<GraphDataConfig> for DataTable {
    fn from(config: GraphDataConfig) -> Self {
        Self::Graph(config)
    }
}
