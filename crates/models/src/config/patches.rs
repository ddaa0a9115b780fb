//! The keys of `[model.speech]` that only `front = "patches"` has.

use serde::Serialize;

use super::{ConfigError, DataSizes};

/// Most frames of a spectrogram: 20 minutes, a hundred a second.
const MAX_FRAMES: usize = 120_000;
/// Most class tokens: one for the class, one that a teacher had.
const MAX_CLASS_TOKENS: usize = 2;
/// Largest number that frames are filled with.
const MAX_FILL: f64 = 1e6;

/// How a spectrogram is cut into patches, beside their side and the step along time.
///
/// Valid by construction: a patch fits into the frames, steps skip no feature, and there are
/// 0 to 2 class tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PatchConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    n_frames: Option<usize>,
    feature_stride: usize,
    fill: f64,
    class_tokens: usize,
}

/// The keys as they are written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RawPatches {
    pub(super) n_frames: Option<usize>,
    pub(super) feature_stride: Option<usize>,
    pub(super) fill: Option<f64>,
    pub(super) class_tokens: Option<usize>,
}

impl RawPatches {
    /// Refuses the keys of patches where there are none.
    pub(super) fn useless(self) -> Result<(), ConfigError> {
        let number = |value: Option<usize>| value.map(|value| value.to_string());
        let keys = [
            ("speech.n_frames", number(self.n_frames)),
            ("speech.feature_stride", number(self.feature_stride)),
            ("speech.fill", self.fill.map(|fill| fill.to_string())),
            ("speech.class_tokens", number(self.class_tokens)),
        ];
        let written = |(key, value): (&'static str, Option<String>)| Some((key, value?));
        match keys.into_iter().find_map(written) {
            Some((key, value)) => Err(ConfigError::OnlyOfPatches { key, value }),
            None => Ok(()),
        }
    }
}

impl PatchConfig {
    /// Of patches of `side` frames and features, `stride` frames apart.
    pub(super) fn new(raw: RawPatches, side: usize, stride: usize) -> Result<Self, ConfigError> {
        let config = Self {
            n_frames: raw.n_frames,
            feature_stride: raw.feature_stride.unwrap_or(stride),
            fill: raw.fill.unwrap_or(0.0),
            class_tokens: raw.class_tokens.unwrap_or(MAX_CLASS_TOKENS),
        };
        if config.fill.abs() > MAX_FILL || config.fill.is_nan() {
            return Err(ConfigError::FillOutOfRange { fill: config.fill });
        }
        for (key, value, range) in [
            (
                "speech.n_frames",
                config.n_frames.unwrap_or(side),
                side..=MAX_FRAMES,
            ),
            ("speech.feature_stride", config.feature_stride, 1..=side),
            (
                "speech.class_tokens",
                config.class_tokens,
                0..=MAX_CLASS_TOKENS,
            ),
        ] {
            if !range.contains(&value) {
                return Err(ConfigError::SizeOutOfRange { key, value, range });
            }
        }
        Ok(config)
    }

    /// With the frames of the data, if their number was left to them.
    pub(super) fn resolve(self, side: usize, data: &DataSizes) -> Result<Self, ConfigError> {
        let key = "speech.n_frames";
        let found = self.n_frames.or(data.seq_len);
        let value = found.ok_or(ConfigError::Unresolved { key })?;
        let range = side..=MAX_FRAMES;
        match range.contains(&value) {
            true => Ok(Self {
                n_frames: Some(value),
                ..self
            }),
            false => Err(ConfigError::SizeOutOfRange { key, value, range }),
        }
    }

    /// Frames that every recording is cut to or filled up to.
    ///
    /// # Errors
    ///
    /// If the table leaves it to the data and [`ModelConfig::resolve`](super::ModelConfig::resolve)
    /// was not called.
    pub fn n_frames(&self) -> Result<usize, ConfigError> {
        self.n_frames.ok_or(ConfigError::Unresolved {
            key: "speech.n_frames",
        })
    }

    /// Features from one patch to the next.
    pub fn feature_stride(&self) -> usize {
        self.feature_stride
    }

    /// What stands in the frames behind the last of a recording.
    pub fn fill(&self) -> f64 {
        self.fill
    }

    /// Learnt rows before the patches.
    pub fn class_tokens(&self) -> usize {
        self.class_tokens
    }
}
