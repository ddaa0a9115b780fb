//! `[model.speech]`: what only models of sound have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patches::{PatchConfig, RawPatches};
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
    #[serde(flatten)]
    patches: Option<PatchConfig>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    head_norm: bool,
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
    /// Frames that are put side by side at each position; `stride` if absent. Of "patches" it
    /// is the side, in frames and in features, 16 if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 64))]
    window: Option<usize>,
    /// Frames from one position to the next: what sequences get shorter by.
    /// Absent, 1, 4 of convolutions, or 10 of patches, which is at most `window`.
    #[serde(default)]
    #[schemars(range(min = 1, max = 64))]
    stride: Option<usize>,
    /// patches: frames that a recording is cut to or filled up to, so that all have the same
    /// patches; those of the longest clip that the data may have if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 120000))]
    n_frames: Option<usize>,
    /// patches: features from one patch to the next; `stride` if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 64))]
    feature_stride: Option<usize>,
    /// patches: what the frames behind the end of a recording are filled with; 0, the mean
    /// of normalised features, if absent.
    #[serde(default)]
    fill: Option<f64>,
    /// patches: learnt rows before them, 0 to 2, which the head reads if `pooling` does not
    /// say otherwise; 2 if absent, as in AST: one for the class, one for what a teacher says.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2))]
    class_tokens: Option<usize>,
    /// speech-classifier: whether a norm stands before the map of the head, as in AST.
    #[serde(default)]
    head_norm: bool,
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
    /// One map of squares of `window` frames and features, which overlap where strides are
    /// smaller, of a spectrogram of fixed length: AST, Gong et al. 2021
    /// <https://arxiv.org/abs/2104.01778>. For a speech-classifier of attention over all
    Patches,
}

impl Front {
    /// Frames that a position reads, if that is not a choice, and from one to the next.
    fn fixed(self) -> Option<(usize, usize)> {
        match self {
            Self::Windows | Self::Patches => None,
            Self::Convolutions => Some((7, 4)),
        }
    }

    /// Frames that a position reads and from one to the next, where nothing is written.
    fn default_sizes(self) -> (Option<usize>, usize) {
        match self {
            Self::Windows => (None, 1),
            Self::Convolutions => (Some(7), 4),
            Self::Patches => (Some(16), 10),
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
            patches: None,
            head_norm: false,
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
            n_frames,
            feature_stride,
            fill,
            class_tokens,
            head_norm,
            word_separator,
        } = raw;
        let fixed = front.fixed();
        let (default_window, default_stride) = front.default_sizes();
        let default_stride = match window {
            Some(window) if front == Front::Patches => window.min(default_stride),
            _ => default_stride,
        };
        let stride = stride.unwrap_or(default_stride);
        let window = window.unwrap_or(default_window.unwrap_or(stride));
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
        let raw = RawPatches {
            n_frames,
            feature_stride,
            fill,
            class_tokens,
        };
        let patches = match front {
            Front::Patches => Some(PatchConfig::new(raw, window, stride)?),
            Front::Windows | Front::Convolutions => {
                raw.useless()?;
                None
            }
        };
        Self {
            n_features,
            front,
            window,
            stride,
            patches,
            head_norm,
            word_separator,
        }
        .with_whole_patches()
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

    /// What patches have beside their side and the step along time; `None` without patches.
    pub fn patches(&self) -> Option<&PatchConfig> {
        self.patches.as_ref()
    }

    /// Patches along the features and along time; `None` without patches.
    ///
    /// # Errors
    ///
    /// If one of both is left to the data and
    /// [`ModelConfig::resolve`](super::ModelConfig::resolve) was not called.
    pub fn patch_grid(&self) -> Result<Option<(usize, usize)>, ConfigError> {
        let Some(patches) = &self.patches else {
            return Ok(None);
        };
        // What is left behind the last patch is not read.
        let along = |n: usize, stride: usize| n.saturating_sub(self.window) / stride + 1;
        let (n_features, n_frames) = (self.n_features()?, patches.n_frames()?);
        Ok(Some((
            along(n_features, patches.feature_stride()),
            along(n_frames, self.stride),
        )))
    }

    /// Rows that attend, patches and class tokens, of every recording; `None` without patches.
    ///
    /// # Errors
    ///
    /// As [`SpeechConfig::patch_grid`].
    pub fn n_rows(&self) -> Result<Option<usize>, ConfigError> {
        let grid = self.patch_grid()?.zip(self.patches);
        Ok(grid.map(|((height, width), patches)| patches.class_tokens() + height * width))
    }

    /// Whether a norm stands before the map of the head.
    pub fn head_norm(&self) -> bool {
        self.head_norm
    }

    /// Positions of a recording of `n` frames.
    pub fn n_positions(&self, n: usize) -> usize {
        match self.n_rows() {
            Ok(Some(n_rows)) => n_rows,
            Ok(None) | Err(_) => n.div_ceil(self.stride),
        }
    }

    /// Number of the symbol that stands between words, if any does.
    pub fn word_separator(&self) -> Option<usize> {
        self.word_separator
    }

    pub(super) fn resolve(self, data: &DataSizes) -> Result<Self, ConfigError> {
        let n_features = filled("speech.n_features", self.n_features, data.n_features)?;
        let patches = self
            .patches
            .map(|patches| patches.resolve(self.window, data));
        Self {
            n_features: Some(n_features),
            patches: patches.transpose()?,
            word_separator: self.word_separator.or(data.word_separator),
            ..self
        }
        .with_whole_patches()
    }

    /// Refuses patches that are wider than a frame.
    fn with_whole_patches(self) -> Result<Self, ConfigError> {
        match (self.patches, self.n_features) {
            (Some(_), Some(n_features)) if n_features < self.window => {
                Err(ConfigError::PatchBeyondFeatures {
                    window: self.window,
                    n_features,
                })
            }
            _ => Ok(self),
        }
    }
}
