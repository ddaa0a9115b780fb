//! The `[data]` table of a run on sound.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::augment::AugmentConfig;
use super::features::{Extractor, FeatureConfig};
use super::join::JoinConfig;
use crate::{MAX_SKIPPED, OnError};

/// Where sound comes from and how it becomes frames.
///
/// Valid by construction: there is a `path`, the sample rate is believable, the features
/// fit it, and `val_fraction` is in `[0, 1)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawAudioDataConfig")]
#[schemars(with = "RawAudioDataConfig")]
pub struct AudioDataConfig {
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    val: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<PathBuf>,
    val_fraction: f64,
    path_column: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_out: Option<HoldOut>,
    sample_rate: u32,
    max_seconds: f64,
    on_error: OnError,
    max_skipped: u64,
    features: FeatureConfig,
    augment: AugmentConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    join: Option<JoinConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generated: Option<GeneratedConfig>,
}

/// Where sound comes from and how it becomes frames
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AudioDataConfig")]
struct RawAudioDataConfig {
    /// Training sound: a folder with a folder for each class, a manifest (.csv, .tsv, .jsonl) whose rows name files beside it, or `generated`
    path: PathBuf,
    /// Validation sound; without it what the manifest or `hold_out` says, else `val_fraction` of `path`
    #[serde(default)]
    val: Option<PathBuf>,
    /// Test sound; without it what the manifest or `hold_out` says
    #[serde(default)]
    test: Option<PathBuf>,
    /// Part of the training clips held out for validation, drawn by the seed, if nothing else says which
    #[serde(default = "default_val_fraction")]
    #[schemars(range(min = 0.0, max = 1.0))]
    val_fraction: f64,
    /// Column of a manifest that names the file; `FILE.npz#NAME` is an array of an archive
    #[serde(default = "default_path_column")]
    path_column: String,
    /// Column of a manifest that holds the class, or the text: `label` by default, `text` for `speech-ctc`
    #[serde(default)]
    label_column: Option<String>,
    /// Rows of a manifest that are not trained on, chosen by a column, instead of its column `split`
    #[serde(default)]
    hold_out: Option<HoldOut>,
    /// Samples a second, in Hz, to which everything is resampled
    #[serde(default = "default_sample_rate")]
    #[schemars(range(min = 100, max = 768000))]
    sample_rate: u32,
    /// What is longer is cut there; with `speech-ctc` an error
    #[serde(default = "default_max_seconds")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    max_seconds: f64,
    /// What to do about a clip that cannot be read
    #[serde(default)]
    on_error: OnError,
    /// Clips of a split that may be left out, with `on_error = "skip"`
    #[serde(default = "default_max_skipped")]
    max_skipped: u64,
    /// What a frame is described by
    #[serde(default)]
    features: FeatureConfig,
    /// How training sound is changed
    #[serde(default)]
    augment: AugmentConfig,
    /// Clips are joined to strings, whose label is theirs one after the other
    #[serde(default)]
    join: Option<JoinConfig>,
    /// What is generated, with `path = "generated"`
    #[serde(default)]
    generated: Option<GeneratedConfig>,
}

fn default_val_fraction() -> f64 {
    0.1
}

fn default_path_column() -> String {
    "path".into()
}

fn default_sample_rate() -> u32 {
    16_000
}

fn default_max_seconds() -> f64 {
    20.0
}

fn default_max_skipped() -> u64 {
    MAX_SKIPPED
}

/// Rows of a manifest that are not trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldOut {
    /// Column of the manifest that decides
    pub column: String,
    /// Its values in rows for validation
    #[serde(default)]
    pub val: Vec<String>,
    /// Its values in rows for the test
    #[serde(default)]
    pub test: Vec<String>,
}

/// Sounds that the program makes: tones that stay, rise, fall, warble or beat, and noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeneratedConfig {
    /// Clips to train and validate on
    #[schemars(range(min = 12, max = 1000000))]
    pub clips: u32,
    /// Clips to test on
    #[schemars(range(min = 1, max = 1000000))]
    pub test_clips: u32,
}

impl Default for GeneratedConfig {
    fn default() -> Self {
        Self {
            clips: 600,
            test_clips: 300,
        }
    }
}

impl TryFrom<RawAudioDataConfig> for AudioDataConfig {
    type Error = String;

    fn try_from(raw: RawAudioDataConfig) -> Result<Self, String> {
        let RawAudioDataConfig {
            path,
            val,
            test,
            val_fraction,
            path_column,
            label_column,
            hold_out,
            sample_rate,
            max_seconds,
            on_error,
            max_skipped,
            features,
            augment,
            join,
            generated,
        } = raw;
        if [Some(&path), val.as_ref(), test.as_ref()]
            .into_iter()
            .flatten()
            .any(|path| path.as_os_str().is_empty())
        {
            return Err("path is empty; name a folder or a manifest, or `generated`".into());
        }
        if !(0.0..1.0).contains(&val_fraction) {
            return Err(format!("val_fraction = {val_fraction} is not in [0, 1)"));
        }
        if !(100..=768_000).contains(&sample_rate) {
            return Err(format!(
                "sample_rate = {sample_rate} is out of range; use 100 to 768000"
            ));
        }
        if !(max_seconds > 0.0 && max_seconds <= 86_400.0) {
            return Err(format!(
                "max_seconds = {max_seconds} is out of range; use more than 0, at most 86400"
            ));
        }
        let is_generated = path == Path::new(Self::GENERATED);
        if let (Some(_), false) = (&generated, is_generated) {
            return Err(
                "generated = { … } has no use without path = \"generated\"; remove it".into(),
            );
        }
        if let Some(GeneratedConfig { clips, test_clips }) = generated
            && (!(12..=1_000_000).contains(&clips) || !(1..=1_000_000).contains(&test_clips))
        {
            return Err(format!(
                "generated.clips = {clips} and test_clips = {test_clips} are out of range; use 12 to 1000000"
            ));
        }
        if let Some(HoldOut { column, val, test }) = &hold_out
            && (val.is_empty() && test.is_empty() || column.is_empty())
        {
            return Err(
                "hold_out.column = … holds out nothing; list values in `test` or `val`".into(),
            );
        }
        Extractor::new(&features, sample_rate)?;
        Ok(Self {
            path,
            val,
            test,
            val_fraction,
            path_column,
            label_column,
            hold_out,
            sample_rate,
            max_seconds,
            on_error,
            max_skipped,
            features,
            augment,
            join,
            generated: is_generated.then(|| generated.unwrap_or_default()),
        })
    }
}

impl AudioDataConfig {
    /// The `path` that stands for sounds that the program makes.
    pub const GENERATED: &str = "generated";

    /// Training sound.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Validation sound, if it has a place of its own.
    pub fn val(&self) -> Option<&Path> {
        self.val.as_deref()
    }

    /// Test sound, if it has a place of its own.
    pub fn test(&self) -> Option<&Path> {
        self.test.as_deref()
    }

    /// Part of the training clips that is held out if nothing else says which.
    pub fn val_fraction(&self) -> f64 {
        self.val_fraction
    }

    /// Column that names the file.
    pub fn path_column(&self) -> &str {
        &self.path_column
    }

    /// Column that holds the class or the text.
    pub fn label_column(&self) -> Option<&str> {
        self.label_column.as_deref()
    }

    /// Rows that are not trained on.
    pub fn hold_out(&self) -> Option<&HoldOut> {
        self.hold_out.as_ref()
    }

    /// Samples a second, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Length of the longest clip, in seconds.
    pub fn max_seconds(&self) -> f64 {
        self.max_seconds
    }

    /// Samples of the longest clip.
    pub fn max_samples(&self) -> usize {
        (self.max_seconds * f64::from(self.sample_rate)) as usize
    }

    /// What to do about a clip that cannot be read.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Clips of a split that may be left out.
    pub fn max_skipped(&self) -> u64 {
        self.max_skipped
    }

    /// What a frame is described by.
    pub fn features(&self) -> &FeatureConfig {
        &self.features
    }

    /// How training sound is changed.
    pub fn augment(&self) -> &AugmentConfig {
        &self.augment
    }

    /// How clips are joined, if they are.
    pub fn join(&self) -> Option<&JoinConfig> {
        self.join.as_ref()
    }

    /// What is generated, if it is.
    pub fn generated(&self) -> Option<GeneratedConfig> {
        self.generated
    }

    /// What makes frames of samples.
    pub fn extractor(&self) -> Extractor {
        Extractor::new(&self.features, self.sample_rate)
            .expect("the features were checked against the sample rate")
    }

    /// Frames of the longest clip that is read.
    pub fn seq_len(&self) -> usize {
        let extractor = self.extractor();
        match &self.join {
            // A string of the longest clips.
            Some(join) => extractor.n_frames(join.max_samples(self)),
            None => extractor.n_frames(self.max_samples()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(value: Value) -> Result<AudioDataConfig, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_is_enough_and_the_resolved_table_says_the_same() -> Result<(), String> {
        for table in [
            json!({"path": "clips"}),
            json!({"path": "generated", "sample_rate": 8000}),
            json!({
                "path": "a.csv", "val": "b.csv", "test": "c.jsonl", "val_fraction": 0.0,
                "path_column": "file", "label_column": "word", "sample_rate": 8000,
                "hold_out": {"column": "speaker", "test": ["x"]}, "max_seconds": 2.5,
                "on_error": "skip", "max_skipped": 3,
                "features": {"kind": "mfcc", "deltas": 2, "hop": 80},
                "augment": {"speed": 0.1, "time_masks": 2},
                "join": {"clips": [3, 7], "strings": 100},
            }),
        ] {
            let config = parse(table)?;
            let resolved = serde_json::to_value(&config).map_err(|error| error.to_string())?;
            assert_eq!(parse(resolved)?, config);
        }
        let config = parse(json!({"path": "clips", "max_seconds": 1.0}))?;
        assert_eq!((config.max_samples(), config.seq_len()), (16_000, 101));
        Ok(())
    }

    #[test]
    fn nonsense_is_refused_with_key_and_value() {
        for (table, message) in [
            (json!({}), "missing field `path`"),
            (json!({"path": ""}), "path is empty"),
            (
                json!({"path": "a", "val_fraction": 1.0}),
                "val_fraction = 1 ",
            ),
            (json!({"path": "a", "sample_rate": 0}), "sample_rate = 0 "),
            (json!({"path": "a", "max_seconds": 0}), "max_seconds = 0 "),
            (
                json!({"path": "a", "generated": {"clips": 9, "test_clips": 9}}),
                "has no use",
            ),
            (
                json!({"path": "generated", "generated": {"clips": 9, "test_clips": 9}}),
                "generated.clips = 9",
            ),
            (
                json!({"path": "a", "hold_out": {"column": "speaker"}}),
                "holds out nothing",
            ),
            (
                json!({"path": "a", "features": {"n_mels": 400}}),
                "n_mels = 400",
            ),
            (
                json!({"path": "a", "on_error": "ignore"}),
                "unknown variant `ignore`",
            ),
            (json!({"path": "a", "rate": 8000}), "unknown field `rate`"),
            (
                json!({"path": "a", "join": {"clips": [0, 2], "strings": 1}}),
                "join.clips",
            ),
        ] {
            let error = parse(table).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
