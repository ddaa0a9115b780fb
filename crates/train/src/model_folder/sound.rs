//! How models of Hugging Face's make frames of samples, as `[data]`, and back.

use data::audio::{FeatureConfig, Normalize};
use interop::SoundFeatures;
use models::ModelConfig;
use toml::Table;

use crate::config::{DataTable, RunConfig};
use crate::error::{Error, Result};

/// Milliseconds of a frame, and from one to the next.
const WINDOW_MS: f64 = 25.0;
const HOP_MS: f64 = 10.0;

/// The keys of `[data]` that make frames for `model` as `sound` does; what is longer than the
/// model reads is cut.
///
/// # Errors
///
/// Sizes that are left to the data.
pub(super) fn data_keys(sound: &SoundFeatures, model: &ModelConfig) -> Result<Table> {
    let unresolved = |error: models::ConfigError| Error::Data(error.to_string());
    let mut keys = Table::new();
    keys.insert("sample_rate".into(), i64::from(sound.sample_rate).into());
    let Some(speech) = model.speech() else {
        return Ok(keys);
    };
    if let Some(patches) = speech.patches() {
        let n_frames = patches.n_frames().map_err(unresolved)?;
        let seconds = (n_frames as f64 * HOP_MS + WINDOW_MS) / 1000.0;
        keys.insert("max_seconds".into(), seconds.into());
    }
    let n_mels = speech.n_features().map_err(unresolved)?;
    keys.insert("features".into(), features(n_mels, sound).into());
    Ok(keys)
}

/// `[data.features]` of a filter bank that `sound` normalises.
fn features(n_mels: usize, sound: &SoundFeatures) -> Table {
    let mut fixed = Table::new();
    fixed.insert("mean".into(), sound.mean.into());
    fixed.insert("deviation".into(), sound.deviation.into());
    let normalize = Table::from_iter([("fixed".to_owned(), fixed.into())]);
    let mut features = Table::new();
    features.insert("kind".into(), "fbank".into());
    let n_mels = i64::try_from(n_mels).unwrap_or(i64::MAX);
    features.insert("n_mels".into(), n_mels.into());
    features.insert("window_ms".into(), WINDOW_MS.into());
    features.insert("hop_ms".into(), HOP_MS.into());
    features.insert("normalize".into(), normalize.into());
    features
}

/// How the data of `config` make frames, in the words of a feature extractor.
///
/// # Errors
///
/// One line with what the extractor does not do.
pub(super) fn of_data(config: &RunConfig) -> Result<SoundFeatures> {
    let DataTable::Audio(data) = &config.data else {
        return Err(Error::Data("the model reads no sound".into()));
    };
    let refused = |what: &str| {
        Error::Data(format!(
            "{what}, which AST's feature extractor does not do: train with \
             features = {{ kind = \"fbank\", normalize = {{ fixed = {{ mean = …, deviation = … }} }} }}, \
             or export in our own form"
        ))
    };
    let (mean, deviation) = match data.features().normalize() {
        Normalize::Fixed { mean, deviation } => (mean, deviation),
        Normalize::None => (0.0, 1.0),
        Normalize::Clip | Normalize::Mean | Normalize::Training => {
            return Err(refused(
                "data.features.normalize goes by the clips themselves",
            ));
        }
    };
    let sound = SoundFeatures {
        sample_rate: data.sample_rate(),
        mean,
        deviation,
    };
    let mut wanted = features(data.features().width(), &sound);
    if data.features().normalize() == Normalize::None {
        wanted.insert("normalize".into(), "none".into());
    }
    let wanted: FeatureConfig = wanted
        .try_into()
        .map_err(|error: toml::de::Error| Error::Data(error.to_string()))?;
    match *data.features() == wanted {
        true => Ok(sound),
        false => Err(refused(
            "data.features are not Kaldi's filter bank of 25 ms every 10 ms from 20 Hz upwards",
        )),
    }
}
