//! What patches cannot stand beside: keys that make sense alone and not together.

use encodings::EncodingConfig;

use super::{Backbone, ConfigError, Kind, MaskConfig, ModelConfig};

/// Refuses what a window of patches cannot go with: other rules of who reads whom, and a
/// bias by distance beside its own.
pub(super) fn beside_window(window: usize, config: &ModelConfig) -> Result<(), ConfigError> {
    let other = match (config.mask, config.position) {
        (MaskConfig::Full, EncodingConfig::Alibi) => "position = \"alibi\"".to_owned(),
        (MaskConfig::Full, _) => return Ok(()),
        (mask, _) => format!("mask = {mask}"),
    };
    Err(ConfigError::WindowBeside { window, other })
}

/// Refuses what patches of a spectrogram cannot go with: their rows are no time, so nothing
/// that answers frame by frame or reads one row after the other has a meaning.
pub(super) fn beside_patches(config: &ModelConfig) -> Result<(), ConfigError> {
    let (kind, backbone, mask) = (config.kind, config.backbone, config.mask);
    let beside = |other, remedy| Err(ConfigError::PatchesBeside { other, remedy });
    if kind != Kind::SpeechClassifier {
        let remedy = "front = \"windows\" or \"convolutions\"";
        return beside(format!("kind = \"{kind}\""), remedy);
    }
    if backbone != Backbone::Transformer {
        let remedy = "backbone = \"transformer\"";
        return beside(format!("backbone = \"{backbone}\""), remedy);
    }
    if mask != MaskConfig::Full {
        return beside(format!("mask = {mask}"), "mask = \"full\"");
    }
    let n_rows = config.speech().and_then(|speech| speech.n_rows().ok());
    match (config.max_seq_len, n_rows.flatten()) {
        (Some(value), Some(n_rows)) if value != n_rows => {
            Err(ConfigError::OtherRows { value, n_rows })
        }
        _ => Ok(()),
    }
}
