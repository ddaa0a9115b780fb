//! `[model.speech]`: what only models of sound have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, DataSizes, filled};

/// What a model of sound reads, and how many frames at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawSpeechConfig")]
#[schemars(with = "RawSpeechConfig")]
pub struct SpeechConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    n_features: Option<usize>,
    front: Front,
    window: usize,
    stride: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    word_separator: Option<usize>,
}

/// What a model of sound reads, and how many frames at a time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SpeechConfig")]
struct RawSpeechConfig {
    /// Numbers a frame; those of the data if absent.
    #[serde(default)]
    n_features: Option<usize>,
    /// How frames become positions.
    #[serde(default)]
    front: Front,
    /// Frames that are put side by side at each position; `stride` if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 64))]
    window: Option<usize>,
    /// Frames from one position to the next: what sequences get shorter by.
    /// Absent, 1, or 4 of convolutions.
    #[serde(default)]
    #[schemars(range(min = 1, max = 64))]
    stride: Option<usize>,
    /// speech-ctc: number of the symbol that stands between words, which are then counted too (`wer`); that of the space of the data, if it has one, if absent.
    #[serde(default)]
    word_separator: Option<usize>,
}

/// How frames become positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Front {
    /// One map of `window` frames, every `stride`
    #[default]
    Windows,
    /// Two convolutions over time, three wide with a stride of two, a GELU behind each: a
    /// position for every four frames
    Convolutions,
}

impl Front {
    /// Frames that a position reads, if that is not a choice, and from one to the next.
    fn fixed(self) -> Option<(usize, usize)> {
        match self {
            Self::Windows => None,
            Self::Convolutions => Some((7, 4)),
        }
    }
}

impl Default for SpeechConfig {
    fn default() -> Self {
        Self {
            n_features: None,
            front: Front::Windows,
            window: 1,
            stride: 1,
            word_separator: None,
        }
    }
}

impl TryFrom<RawSpeechConfig> for SpeechConfig {
    type Error = ConfigError;

    fn try_from(raw: RawSpeechConfig) -> Result<Self, ConfigError> {
        let RawSpeechConfig {
            n_features,
            front,
            window,
            stride,
            word_separator,
        } = raw;
        let fixed = front.fixed();
        let stride = stride.unwrap_or(fixed.map_or(1, |(_, stride)| stride));
        let window = window.unwrap_or(fixed.map_or(stride, |(window, _)| window));
        let (windows, strides) = match fixed {
            Some((window, stride)) => (window..=window, stride..=stride),
            // A frame between two windows would never be read.
            None => (stride..=64, 1..=64),
        };
        for (key, value, range) in [
            ("speech.n_features", n_features.unwrap_or(1), 1..=1 << 16),
            ("speech.stride", stride, strides),
            ("speech.window", window, windows),
            (
                "speech.word_separator",
                word_separator.unwrap_or(0),
                0..=1 << 24,
            ),
        ] {
            if !range.contains(&value) {
                return Err(ConfigError::SizeOutOfRange { key, value, range });
            }
        }
        Ok(Self {
            n_features,
            front,
            window,
            stride,
            word_separator,
        })
    }
}

impl SpeechConfig {
    /// Numbers a frame.
    ///
    /// # Errors
    ///
    /// If the table leaves it to the data and [`ModelConfig::resolve`](super::ModelConfig::resolve)
    /// was not called.
    pub fn n_features(&self) -> Result<usize, ConfigError> {
        self.n_features.ok_or(ConfigError::Unresolved {
            key: "speech.n_features",
        })
    }

    /// How frames become positions.
    pub fn front(&self) -> Front {
        self.front
    }

    /// Frames that each position reads.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Frames from one position to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Positions of a recording of `n` frames.
    pub fn n_positions(&self, n: usize) -> usize {
        n.div_ceil(self.stride)
    }

    /// Number of the symbol that stands between words, if any does.
    pub fn word_separator(&self) -> Option<usize> {
        self.word_separator
    }

    pub(super) fn resolve(self, data: &DataSizes) -> Result<Self, ConfigError> {
        let n_features = filled("speech.n_features", self.n_features, data.n_features)?;
        Ok(Self {
            n_features: Some(n_features),
            word_separator: self.word_separator.or(data.word_separator),
            ..self
        })
    }
}
