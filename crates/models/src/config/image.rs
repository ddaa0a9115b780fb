//! `[model.image]`: what only models of images have.

use attn_core::input::ImageShape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, DataSizes, filled};

/// Sizes of what a model of images reads.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// Pixels from top to bottom; those of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<usize>,
    /// Pixels from left to right; those of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    /// Numbers a pixel; those of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<usize>,
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
        Ok(ImageShape {
            height: known("image.height", self.height)?,
            width: known("image.width", self.width)?,
            channels: known("image.channels", self.channels)?,
        })
    }

    pub(super) fn resolve(self, data: &DataSizes) -> Result<Self, ConfigError> {
        let of = |size: fn(ImageShape) -> usize| data.image.map(size);
        Ok(Self {
            height: Some(filled("image.height", self.height, of(|s| s.height))?),
            width: Some(filled("image.width", self.width, of(|s| s.width))?),
            channels: Some(filled("image.channels", self.channels, of(|s| s.channels))?),
        })
    }
}
