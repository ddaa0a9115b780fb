//! `[model.speech]`: what only models of sound have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, DataSizes, filled};

/// Sizes of what a model of sound reads.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpeechConfig {
    /// Numbers a frame; those of the data if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    n_features: Option<usize>,
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

    pub(super) fn resolve(self, data: &DataSizes) -> Result<Self, ConfigError> {
        let n_features = filled("speech.n_features", self.n_features, data.n_features)?;
        Ok(Self {
            n_features: Some(n_features),
        })
    }
}
