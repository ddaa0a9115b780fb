//! `preprocessor_config.json` of models of sound: how samples become frames.

use models::ModelConfig;
use serde_json::json;

use crate::keys::Keys;
use crate::{Error, Family};

/// What stands in the file where a key is absent: AudioSet at 16 kHz.
const EXTRACTOR: &str = "ASTFeatureExtractor";
const SAMPLE_RATE: usize = 16_000;
const MEAN: f64 = -4.267_739_3;
const STD: f64 = 4.568_997_4;
/// Largest mean and deviation.
const MOST: f64 = 1e6;
/// How far a filling may be from what the extractor fills with: it computes in `f32`.
const CLOSE: f64 = 1e-5;

/// How the `ASTFeatureExtractor` of transformers makes frames of samples: the energies of
/// Kaldi's filter bank, every 10 ms of 25 ms, their logarithm, and `(x − mean) / deviation`.
///
/// Frames behind the end of a recording are 0 before that, so that a model reads
/// [`SoundFeatures::fill`] there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoundFeatures {
    /// Samples a second, in Hz.
    pub sample_rate: u32,
    /// What is taken from each logarithm.
    pub mean: f64,
    /// What it is then divided by: twice the `std` of the file.
    pub deviation: f64,
}

impl Default for SoundFeatures {
    /// Those of AudioSet.
    fn default() -> Self {
        Self {
            sample_rate: SAMPLE_RATE as u32,
            mean: MEAN,
            deviation: 2.0 * STD,
        }
    }
}

impl SoundFeatures {
    /// Those of a file that makes `n_frames` frames of `n_features` bands.
    ///
    /// # Errors
    ///
    /// Another extractor or sample rate, other sizes, and numbers that make no sense.
    pub(super) fn read(keys: &Keys, n_features: usize, n_frames: usize) -> Result<Self, Error> {
        let key = "feature_extractor_type";
        if keys.text(key)?.is_some_and(|name| name != EXTRACTOR) {
            return Err(keys.unsupported(key, &format!("use a model with \"{EXTRACTOR}\"")));
        }
        let sizes = [
            ("num_mel_bins", 128, n_features),
            ("max_length", 1024, n_frames),
        ];
        for (key, default, wanted) in sizes {
            let found = keys.size_if_any(key, 1..=1 << 24)?.unwrap_or(default);
            if found != wanted {
                let remedy = format!("use the file of the model, which reads {wanted}");
                return Err(keys.unsupported(key, &remedy));
            }
        }
        let key = "sampling_rate";
        let rate = keys.size_if_any(key, 1..=1 << 24)?;
        if rate.is_some_and(|rate| rate != SAMPLE_RATE) {
            // There transformers makes other frames with torchaudio than without.
            let remedy = format!("use a model of {SAMPLE_RATE} samples a second");
            return Err(keys.unsupported(key, &remedy));
        }
        if !keys.flag("do_normalize", true)? {
            return Ok(Self {
                mean: 0.0,
                deviation: 1.0,
                ..Self::default()
            });
        }
        let mean = keys.number("mean")?.unwrap_or(MEAN);
        if mean.abs() > MOST {
            return Err(keys.not("mean", &format!("a number from -{MOST} to {MOST}")));
        }
        let std = keys.positive("std", STD, MOST)?;
        if mean.abs() > MOST * std {
            return Err(keys.not("std", "wide enough for the mean"));
        }
        Ok(Self {
            mean,
            deviation: 2.0 * std,
            ..Self::default()
        })
    }

    /// What the frames behind the end of a recording hold.
    pub fn fill(&self) -> f64 {
        -self.mean / self.deviation
    }

    /// The text of the file for `model`.
    ///
    /// # Errors
    ///
    /// Another sample rate than 16 kHz, a model that is filled up with something else, one
    /// that is no AST, and a size left to the data.
    pub fn preprocessor_json(&self, model: &ModelConfig) -> Result<String, Error> {
        let refusal = |key, value: String, remedy: String| Error::NotExpressible {
            family: Family::Ast,
            key,
            value,
            remedy,
        };
        let speech = model.speech();
        let Some((speech, patches)) = speech.and_then(|speech| Some((speech, speech.patches()?)))
        else {
            return Err(Error::NoFamily { kind: model.kind() });
        };
        if self.sample_rate as usize != SAMPLE_RATE {
            let remedy = format!("use sample_rate = {SAMPLE_RATE}");
            return Err(refusal("sample_rate", self.sample_rate.to_string(), remedy));
        }
        let (fill, wanted) = (patches.fill(), self.fill());
        if (fill - wanted).abs() > CLOSE * wanted.abs().max(1.0) {
            let remedy = format!("use speech.fill = {wanted}, what these features make of 0");
            return Err(refusal("speech.fill", fill.to_string(), remedy));
        }
        let config = json!({
            "do_normalize": true,
            "feature_extractor_type": EXTRACTOR,
            "feature_size": 1,
            "max_length": super::known(patches.n_frames())?,
            "mean": self.mean,
            "num_mel_bins": super::known(speech.n_features())?,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": false,
            "sampling_rate": self.sample_rate,
            "std": self.deviation / 2.0,
        });
        Ok(format!("{config:#}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_other_frames_is_refused_with_its_key() {
        for (text, fault) in [
            (r#"{"num_mel_bins": 40}"#, "max_length"),
            (r#"{"max_length": 100}"#, "num_mel_bins"),
            (
                r#"{"num_mel_bins": 40, "max_length": 100, "sampling_rate": 8000}"#,
                "sampling_rate = 8000 is not supported",
            ),
            (
                r#"{"num_mel_bins": 40, "max_length": 100, "std": 0}"#,
                "std = 0",
            ),
            (
                r#"{"num_mel_bins": 40, "max_length": 100, "mean": "loud"}"#,
                "mean = \"loud\"",
            ),
            (
                r#"{"num_mel_bins": 40, "max_length": 100, "mean": 1e7}"#,
                "mean = 1",
            ),
            (
                r#"{"num_mel_bins": 40, "max_length": 100, "mean": 1, "std": 1e-9}"#,
                "std = 1e-9",
            ),
            (
                r#"{"feature_extractor_type": "WhisperFeatureExtractor"}"#,
                "feature_extractor_type = \"WhisperFeatureExtractor\"",
            ),
        ] {
            let keys = Keys::parse("preprocessor_config.json", text).unwrap();
            let error = SoundFeatures::read(&keys, 40, 100).unwrap_err().to_string();
            assert!(error.contains(fault), "{error}");
        }
    }

    #[test]
    fn what_is_not_normalised_is_filled_with_zeros() {
        let text = r#"{"num_mel_bins": 40, "max_length": 100, "do_normalize": false, "mean": 3}"#;
        let keys = Keys::parse("preprocessor_config.json", text).unwrap();
        let features = SoundFeatures::read(&keys, 40, 100).unwrap();
        assert_eq!((features.fill(), features.deviation), (0.0, 1.0));
        // 4.2677393 / (2 · 4.5689974)
        assert!((SoundFeatures::default().fill() - 0.467_032_6).abs() < 1e-6);
    }
}
