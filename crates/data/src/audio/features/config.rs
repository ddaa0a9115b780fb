//! The `[data.features]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fbank;
use crate::audio::mel::MelScale;

/// What a frame of sound is described by.
///
/// Valid by construction: sizes are at least 1, and no more cepstra than filters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawFeatureConfig")]
#[schemars(with = "RawFeatureConfig")]
pub struct FeatureConfig {
    kind: FeatureKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<usize>,
    window_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    hop: Option<usize>,
    hop_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_fft: Option<usize>,
    n_mels: usize,
    n_mfcc: usize,
    mel: MelScale,
    f_min: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    f_max: Option<f64>,
    scale: Scale,
    top_db: f64,
    deltas: usize,
    normalize: Normalize,
}

/// What a frame of sound is described by
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "FeatureConfig")]
struct RawFeatureConfig {
    /// Log-mel energies, cepstra, or Kaldi's filter bank
    kind: FeatureKind,
    /// Samples of a frame, instead of `window_ms`
    window: Option<usize>,
    /// Length of a frame, in milliseconds
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    window_ms: f64,
    /// Samples from one frame to the next, instead of `hop_ms`
    hop: Option<usize>,
    /// From one frame to the next, in milliseconds
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    hop_ms: f64,
    /// Samples of the Fourier transform; without it the next power of two
    n_fft: Option<usize>,
    /// Bands of energy
    #[schemars(range(min = 1))]
    n_mels: usize,
    /// Cepstra, with `kind = "mfcc"`
    #[schemars(range(min = 1))]
    n_mfcc: usize,
    /// The formula of the mel scale; "fbank" has Kaldi's
    mel: MelScale,
    /// Lowest frequency, in Hz; 0 without it, or 20 of "fbank"
    #[schemars(range(min = 0.0))]
    f_min: Option<f64>,
    /// Highest frequency, in Hz; half of the sample rate without it
    f_max: Option<f64>,
    /// Unit of the logarithm; cepstra are made of decibels, "fbank" has the natural one
    scale: Scale,
    /// Decibels below the loudest at which energies end; 0 for no end
    #[schemars(range(min = 0.0))]
    top_db: f64,
    /// How often to add the slope of what there is over time: 0, 1 or 2
    #[schemars(range(max = 2))]
    deltas: usize,
    /// What is made alike in all clips, column by column
    normalize: Normalize,
}

impl Default for RawFeatureConfig {
    fn default() -> Self {
        Self {
            kind: FeatureKind::default(),
            window: None,
            window_ms: 25.0,
            hop: None,
            hop_ms: 10.0,
            n_fft: None,
            n_mels: 40,
            n_mfcc: 13,
            mel: MelScale::default(),
            f_min: None,
            f_max: None,
            scale: Scale::default(),
            top_db: 80.0,
            deltas: 0,
            normalize: Normalize::default(),
        }
    }
}

/// A description of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureKind {
    /// The logarithm of the energy in bands of the mel scale
    #[default]
    LogMel,
    /// Mel-frequency cepstral coefficients: a cosine transform of those
    Mfcc,
    /// Log-mel energies as Kaldi makes them, of frames that lie within the clip, without their
    /// mean and with high frequencies raised; what AST reads
    Fbank,
}

/// A unit of a logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Decibels, `10 log₁₀`
    #[default]
    Db,
    /// The natural logarithm
    Ln,
}

/// What is made alike in all clips.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Normalize {
    /// Mean 0 and variance 1 of every column of a clip
    #[default]
    Clip,
    /// Mean 0 of every column of a clip
    Mean,
    /// Mean 0 and variance 1 of every column of the training clips together, as they are
    /// before augmentation; of at most 500 of them, evenly spaced
    Training,
    /// `(x − mean) / deviation` of every number, as models of others want it
    Fixed {
        /// What is taken from each number
        mean: f64,
        /// What it is then divided by
        deviation: f64,
    },
    /// Nothing
    None,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self::try_from(RawFeatureConfig::default()).expect("the defaults are valid")
    }
}

impl TryFrom<RawFeatureConfig> for FeatureConfig {
    type Error = String;

    fn try_from(raw: RawFeatureConfig) -> Result<Self, String> {
        let RawFeatureConfig {
            kind,
            window,
            window_ms,
            hop,
            hop_ms,
            n_fft,
            n_mels,
            n_mfcc,
            mel,
            f_min,
            f_max,
            scale,
            top_db,
            deltas,
            normalize,
        } = raw;
        let f_min = f_min.unwrap_or(match kind {
            FeatureKind::Fbank => fbank::F_MIN,
            FeatureKind::LogMel | FeatureKind::Mfcc => 0.0,
        });
        if let Normalize::Fixed { mean, deviation } = normalize
            && !(mean.is_finite() && deviation > 0.0 && deviation.is_finite())
        {
            return Err(format!(
                "normalize.fixed = {{ mean = {mean}, deviation = {deviation} }} is no scale; use \
                 finite numbers, the deviation above 0"
            ));
        }
        for (key, value, most) in [
            ("window", window, Self::MAX_WINDOW),
            ("hop", hop, Self::MAX_WINDOW),
            ("n_fft", n_fft, 2 * Self::MAX_WINDOW),
            ("n_mels", Some(n_mels), 1024),
            ("n_mfcc", Some(n_mfcc), n_mels),
        ] {
            if let Some(value) = value.filter(|value| !(1..=most).contains(value)) {
                // Cepstra have a use only with cepstra.
                if key != "n_mfcc" || kind == FeatureKind::Mfcc {
                    return Err(format!("{key} = {value} is out of range; use 1 to {most}"));
                }
            }
        }
        for (key, value) in [("window_ms", window_ms), ("hop_ms", hop_ms)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(format!("{key} = {value} is out of range; use more than 0"));
            }
        }
        for (key, value) in [("f_min", f_min), ("top_db", top_db)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("{key} = {value} is out of range; use 0 or more"));
            }
        }
        if f_max.is_some_and(|f_max| !(f_max > f_min && f_max.is_finite())) {
            let f_max = f_max.unwrap_or_default();
            return Err(format!(
                "f_max = {f_max} is not above f_min = {f_min}; make it larger"
            ));
        }
        if deltas > 2 {
            return Err(format!("deltas = {deltas} is out of range; use 0 to 2"));
        }
        Ok(Self {
            kind,
            window,
            window_ms,
            hop,
            hop_ms,
            n_fft,
            n_mels,
            n_mfcc,
            mel,
            f_min,
            f_max,
            scale,
            top_db,
            deltas,
            normalize,
        })
    }
}

impl FeatureConfig {
    /// Samples of a frame at most.
    pub const MAX_WINDOW: usize = 1 << 16;

    /// Numbers in a frame.
    pub fn width(&self) -> usize {
        let base = match self.kind {
            FeatureKind::LogMel | FeatureKind::Fbank => self.n_mels,
            FeatureKind::Mfcc => self.n_mfcc,
        };
        base * (1 + self.deltas)
    }

    /// Samples of the window, from one frame to the next, and of the transform.
    ///
    /// # Errors
    ///
    /// `key = value …; remedy`, if a length is out of range at this sample rate.
    pub(super) fn lengths(&self, rate: u32) -> Result<(usize, usize, usize), String> {
        let samples = |ms: f64| (ms / 1000.0 * f64::from(rate)).round() as usize;
        let window = self.window.unwrap_or_else(|| samples(self.window_ms));
        let hop = self.hop.unwrap_or_else(|| samples(self.hop_ms));
        for (key, ms, value) in [
            ("window", self.window_ms, window),
            ("hop", self.hop_ms, hop),
        ] {
            if !(1..=Self::MAX_WINDOW).contains(&value) {
                return Err(format!(
                    "{key}_ms = {ms} is {value} samples at sample_rate = {rate}; use 1 to {}",
                    Self::MAX_WINDOW
                ));
            }
        }
        let n_fft = self.n_fft.unwrap_or_else(|| window.next_power_of_two());
        if n_fft < window {
            return Err(format!(
                "n_fft = {n_fft} is less than window = {window} samples; make it larger"
            ));
        }
        Ok((window, hop, n_fft))
    }

    /// What a frame is described by.
    pub fn kind(&self) -> FeatureKind {
        self.kind
    }

    pub(super) fn n_mels(&self) -> usize {
        self.n_mels
    }

    pub(super) fn n_mfcc(&self) -> usize {
        self.n_mfcc
    }

    pub(super) fn mel(&self) -> MelScale {
        self.mel
    }

    pub(super) fn f_min(&self) -> f64 {
        self.f_min
    }

    pub(super) fn f_max(&self) -> Option<f64> {
        self.f_max
    }

    /// The unit of energies.
    pub(super) fn scale(&self) -> Scale {
        match self.kind {
            FeatureKind::LogMel => self.scale,
            FeatureKind::Mfcc => Scale::Db,
            FeatureKind::Fbank => Scale::Ln,
        }
    }

    pub(super) fn top_db(&self) -> Option<f64> {
        (self.top_db > 0.0).then_some(self.top_db)
    }

    pub(super) fn deltas(&self) -> usize {
        self.deltas
    }

    /// What is made alike.
    pub fn normalize(&self) -> Normalize {
        self.normalize
    }
}
