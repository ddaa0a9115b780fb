//! `[model.image]`: what only models of images have.

use attn_core::input::ImageShape;
use encodings::Grid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, DataSizes};

/// Longest side of a patch, in pixels.
const MAX_PATCH: usize = 1 << 10;
/// Farthest that a window reaches, in patches.
const MAX_WINDOW: usize = 1 << 10;

/// What a model of images reads, and how it is cut into rows.
///
/// Valid by construction: a patch has 1 to 1,024 pixels a side, and divides the image as
/// soon as its sizes are known; a window reaches 1 to 1,024 patches; deviations are
/// positive; there is a mean and a deviation for each channel or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawImage", into = "RawImage")]
#[schemars(with = "RawImage")]
pub struct ImageConfig(RawImage);

/// What a model of images reads, and how it is cut into rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImageConfig")]
struct RawImage {
    /// Pixels from top to bottom; those of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<usize>,
    /// Pixels from left to right; those of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    /// Numbers a pixel; those of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<usize>,
    /// Pixels of a side of the square patches that attend to each other; 1 for pixels.
    #[serde(default = "default_patch")]
    #[schemars(range(min = 1, max = 1024))]
    patch: usize,
    /// Whether a learnt row comes before the patches, which the head reads if `pooling`
    /// does not say otherwise.
    #[serde(default)]
    class_token: bool,
    /// Patches up, down, left and right that a patch reads, beside itself and a class token,
    /// with a learnt bias by step, head by head (arXiv 2103.14030); all of them if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    window: Option<usize>,
    /// What is taken from each channel, before it is divided by `std`; the mean of the
    /// training images if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<Vec<f64>>,
    /// What each channel is divided by; the deviation of the training images if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    std: Option<Vec<f64>>,
}

fn default_patch() -> usize {
    4
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self(RawImage {
            height: None,
            width: None,
            channels: None,
            patch: default_patch(),
            class_token: false,
            window: None,
            mean: None,
            std: None,
        })
    }
}

impl TryFrom<RawImage> for ImageConfig {
    type Error = ConfigError;

    fn try_from(raw: RawImage) -> Result<Self, ConfigError> {
        let positive = [
            ("image.height", raw.height, usize::MAX >> 32),
            ("image.width", raw.width, usize::MAX >> 32),
            ("image.channels", raw.channels, 1 << 16),
            ("image.patch", Some(raw.patch), MAX_PATCH),
            ("image.window", raw.window, MAX_WINDOW),
        ];
        for (key, value, most) in positive {
            match value {
                Some(value) if !(1..=most).contains(&value) => {
                    let range = 1..=most;
                    return Err(ConfigError::SizeOutOfRange { key, value, range });
                }
                _ => {}
            }
        }
        let patch = raw.patch;
        for (key, side) in [("image.height", raw.height), ("image.width", raw.width)] {
            if let Some(side) = side.filter(|side| !side.is_multiple_of(patch)) {
                return Err(ConfigError::PatchesDoNotDivide { key, side, patch });
            }
        }
        for (key, values) in [("image.mean", &raw.mean), ("image.std", &raw.std)] {
            let (Some(values), Some(channels)) = (values, raw.channels) else {
                continue;
            };
            if values.len() != channels {
                return Err(ConfigError::NotOneAChannel {
                    key,
                    found: values.len(),
                    channels,
                });
            }
        }
        let std = raw.std.iter().flatten().copied();
        if let Some(value) = std
            .into_iter()
            .find(|&value| !(value > 0.0 && value <= 1e6))
        {
            return Err(ConfigError::NotPositive {
                key: "image.std",
                value,
                most: 1e6,
            });
        }
        if let Some(&value) = raw.mean.iter().flatten().find(|mean| !mean.is_finite()) {
            return Err(ConfigError::NotPositive {
                key: "image.mean",
                value,
                most: 1e6,
            });
        }
        Ok(Self(raw))
    }
}

impl From<ImageConfig> for RawImage {
    fn from(config: ImageConfig) -> Self {
        config.0
    }
}

impl ImageConfig {
    /// Sizes of one image.
    ///
    /// # Errors
    ///
    /// If the table leaves one to the data and [`ModelConfig::resolve`](super::ModelConfig::resolve)
    /// was not called.
    pub fn shape(&self) -> Result<ImageShape, ConfigError> {
        let known = |key, size: Option<usize>| size.ok_or(ConfigError::Unresolved { key });
        let Self(raw) = self;
        Ok(ImageShape {
            height: known("image.height", raw.height)?,
            width: known("image.width", raw.width)?,
            channels: known("image.channels", raw.channels)?,
        })
    }

    /// Pixels of a side of a patch.
    pub fn patch(&self) -> usize {
        self.0.patch
    }

    /// Whether a learnt row comes before the patches.
    pub fn class_token(&self) -> bool {
        self.0.class_token
    }

    /// The same without a class token and without a window.
    pub(super) fn without_attention(mut self) -> Self {
        self.0.class_token = false;
        self.0.window = None;
        self
    }

    /// How far a patch reads, in patches; everywhere if `None`.
    pub fn window(&self) -> Option<usize> {
        self.0.window
    }

    /// The patches of one image, and the class token before them.
    ///
    /// # Errors
    ///
    /// As [`ImageConfig::shape`].
    pub fn grid(&self) -> Result<Grid, ConfigError> {
        let ImageShape { height, width, .. } = self.shape()?;
        Ok(Grid {
            height: height / self.patch(),
            width: width / self.patch(),
            class_token: self.class_token(),
        })
    }

    /// Numbers of one patch.
    ///
    /// # Errors
    ///
    /// As [`ImageConfig::shape`].
    pub fn patch_values(&self) -> Result<usize, ConfigError> {
        Ok(self.patch() * self.patch() * self.shape()?.channels)
    }

    /// What is taken from each channel; nothing if `None`.
    pub fn mean(&self) -> Option<&[f64]> {
        self.0.mean.as_deref()
    }

    /// What each channel is then divided by; nothing if `None`.
    pub fn std(&self) -> Option<&[f64]> {
        self.0.std.as_deref()
    }

    pub(crate) fn resolve(&self, data: &DataSizes) -> Result<Self, ConfigError> {
        let Self(raw) = self.clone();
        let of = |size: fn(ImageShape) -> usize| data.image.map(size);
        Self::try_from(RawImage {
            height: Some(equal("image.height", raw.height, of(|s| s.height))?),
            width: Some(equal("image.width", raw.width, of(|s| s.width))?),
            channels: Some(equal("image.channels", raw.channels, of(|s| s.channels))?),
            mean: raw.mean.or_else(|| data.pixel_mean.clone()),
            std: raw.std.or_else(|| data.pixel_std.clone()),
            ..raw
        })
    }
}

/// A size that must be that of the data: patches of another image mean something else.
fn equal(
    key: &'static str,
    written: Option<usize>,
    data: Option<usize>,
) -> Result<usize, ConfigError> {
    match (written, data) {
        (Some(value), Some(found)) if value != found => {
            Err(ConfigError::NotThatOfData { key, value, found })
        }
        (Some(value), _) | (None, Some(value)) => Ok(value),
        (None, None) => Err(ConfigError::Unresolved { key }),
    }
}
