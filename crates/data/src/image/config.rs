//! The `[data]` table of a run on images.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::augment::AugmentConfig;
use super::decode::MAX_SIDE;
use super::invalid::ConfigError;
use super::picture::Colour;
use super::source::generated;
use crate::{MAX_SKIPPED, OnError};

/// Where images come from, and how they are made alike.
///
/// Valid by construction: there is a `path`, sizes are 1 to 16,384 pixels, fractions
/// leave something to train on, and rates are what they should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawImageDataConfig", into = "RawImageDataConfig")]
#[schemars(with = "RawImageDataConfig")]
pub struct ImageDataConfig(RawImageDataConfig);

/// Where images come from, and how they are made alike
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImageDataConfig")]
struct RawImageDataConfig {
    /// Training images: a folder with a folder a class, a table that names files, a table of pixels, an IDX or .npz file, or `generated` for digits that the program draws
    path: PathBuf,
    /// Validation images; without them `val_fraction` of `path` is held out
    #[serde(skip_serializing_if = "Option::is_none")]
    val: Option<PathBuf>,
    /// Test images, read only when asked for
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<PathBuf>,
    /// IDX: labels of `path`; by default its name with `labels-idx1` for `images-idx3`
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<PathBuf>,
    /// IDX: labels of `val`
    #[serde(skip_serializing_if = "Option::is_none")]
    val_labels: Option<PathBuf>,
    /// IDX: labels of `test`
    #[serde(skip_serializing_if = "Option::is_none")]
    test_labels: Option<PathBuf>,
    /// What `path`, `val` and `test` are; without it their names say so
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
    /// Column of a table that names the file of an image, `path` by default; array of an .npz file that holds them, `images` by default
    #[serde(skip_serializing_if = "Option::is_none")]
    image_column: Option<String>,
    /// Column that holds the class, `label` by default, in a table of pixels that does not name its columns `first` or `last`, which is the default; array of an .npz file, `labels` by default
    #[serde(skip_serializing_if = "Option::is_none")]
    label_column: Option<String>,
    /// Names of the classes; a label is one of them, or a number that counts them from 0. By default, every label that the training images have
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<String>>,
    /// Table of pixels: rows of an image; square by default
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16384))]
    height: Option<usize>,
    /// Table of pixels: pixels of a row of an image; square by default
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16384))]
    width: Option<usize>,
    /// Table of pixels, .npz of fractions: the brightest value
    #[serde(skip_serializing_if = "Option::is_none")]
    max_value: Option<f64>,
    /// `generated`: how many images to draw
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    samples: Option<usize>,
    /// Colours that every image is brought to; those of the first by default
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Colour>,
    /// Height and width that every image is brought to; by default all must have the same
    #[serde(skip_serializing_if = "Option::is_none")]
    resize: Option<[usize; 2]>,
    /// Part of `path` held out for validation if there is no `val`: images drawn by the seed
    #[serde(default = "default_val_fraction")]
    #[schemars(range(min = 0.0, max = 1.0))]
    val_fraction: f64,
    /// Part of `path` kept for the test if there is no `test`: the last images
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    test_fraction: f64,
    /// What to do about an image that cannot be used
    #[serde(default)]
    on_error: OnError,
    /// Images that may be left out with `on_error = "skip"`
    #[serde(default = "default_max_skipped")]
    max_skipped: u64,
    /// How training images are varied, anew in every epoch
    #[serde(default)]
    augment: AugmentConfig,
}

fn default_val_fraction() -> f64 {
    0.1
}

fn default_max_skipped() -> u64 {
    MAX_SKIPPED
}

/// What a path to images is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A folder with a folder of .png and .jpg files a class
    Folder,
    /// A table, .csv or .tsv, with a path and a label in each row
    Manifest,
    /// A table, .csv or .tsv, with the pixels and the label of an image in each row
    Pixels,
    /// Two files as MNIST has them
    Idx,
    /// Arrays of NumPy
    Npz,
}

impl TryFrom<RawImageDataConfig> for ImageDataConfig {
    type Error = ConfigError;

    fn try_from(raw: RawImageDataConfig) -> Result<Self, ConfigError> {
        for (key, path) in [
            ("path", Some(&raw.path)),
            ("val", raw.val.as_ref()),
            ("test", raw.test.as_ref()),
            ("labels", raw.labels.as_ref()),
            ("val_labels", raw.val_labels.as_ref()),
            ("test_labels", raw.test_labels.as_ref()),
        ] {
            if path.is_some_and(|path| path.as_os_str().is_empty()) {
                return Err(ConfigError::EmptyPath { key });
            }
        }
        let [resize_height, resize_width] = match raw.resize {
            Some(sides) => sides.map(Some),
            None => [None; 2],
        };
        for (key, value, range) in [
            ("height", raw.height, 1..=MAX_SIDE),
            ("width", raw.width, 1..=MAX_SIDE),
            ("resize", resize_height, 1..=MAX_SIDE),
            ("resize", resize_width, 1..=MAX_SIDE),
            ("samples", raw.samples, 1..=1_000_000),
        ] {
            match value {
                Some(value) if !range.contains(&value) => {
                    return Err(ConfigError::OutOfRange { key, value, range });
                }
                _ => {}
            }
        }
        match (raw.height, raw.width) {
            (Some(_), None) => return Err(ConfigError::HalfASize { key: "width" }),
            (None, Some(_)) => return Err(ConfigError::HalfASize { key: "height" }),
            _ => {}
        }
        if let Some(value) = raw.max_value.filter(|v| !(v.is_finite() && *v > 0.0)) {
            return Err(ConfigError::Rate {
                key: "max_value",
                value,
                rule: "more than 0",
            });
        }
        check_fractions(&raw)?;
        if let Some(classes) = &raw.classes {
            check_classes(classes)?;
        }
        raw.augment.check()?;
        Ok(Self(raw))
    }
}

fn check_fractions(raw: &RawImageDataConfig) -> Result<(), ConfigError> {
    let (val_fraction, test_fraction) = (raw.val_fraction, raw.test_fraction);
    for (key, value) in [
        ("val_fraction", val_fraction),
        ("test_fraction", test_fraction),
    ] {
        if !(0.0..1.0).contains(&value) {
            let rule = "0 up to, but not including, 1";
            return Err(ConfigError::Rate { key, value, rule });
        }
    }
    if raw.test.is_some() && test_fraction > 0.0 {
        return Err(ConfigError::NoUse {
            key: "test_fraction",
            other: "test",
        });
    }
    let held_out = if raw.val.is_some() { 0.0 } else { val_fraction };
    match held_out + test_fraction < 1.0 {
        true => Ok(()),
        false => Err(ConfigError::NothingLeft {
            val_fraction,
            test_fraction,
        }),
    }
}

fn check_classes(classes: &[String]) -> Result<(), ConfigError> {
    let twice = classes
        .iter()
        .enumerate()
        .find(|(i, name)| classes[..*i].contains(name));
    match (classes.len(), twice) {
        (2.., None) => Ok(()),
        (2.., Some((_, name))) => Err(ConfigError::Classes {
            problem: format!("`{name}` twice"),
        }),
        (n, _) => Err(ConfigError::Classes {
            problem: format!("{n} names"),
        }),
    }
}

impl From<ImageDataConfig> for RawImageDataConfig {
    fn from(config: ImageDataConfig) -> Self {
        config.0
    }
}

impl ImageDataConfig {
    /// Training images.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Validation images, if they are not a part of [`path`](Self::path).
    pub fn val(&self) -> Option<&Path> {
        self.0.val.as_deref()
    }

    /// Test images, if they are not a part of [`path`](Self::path).
    pub fn test(&self) -> Option<&Path> {
        self.0.test.as_deref()
    }

    /// Labels of the training, the validation and the test images.
    pub fn label_files(&self) -> [Option<&Path>; 3] {
        let Self(raw) = self;
        [&raw.labels, &raw.val_labels, &raw.test_labels].map(|path| path.as_deref())
    }

    /// What is at `path`, as the table says or else its name.
    pub fn format_of(&self, path: &Path) -> Format {
        let name = path.to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let is_table = name.ends_with(".csv") || name.ends_with(".tsv");
        match self.0.format {
            Some(format) => format,
            None if path.is_dir() => Format::Folder,
            None if is_table && self.0.height.is_some() => Format::Pixels,
            None if is_table => Format::Manifest,
            None if name.ends_with(".npz") => Format::Npz,
            None if name.contains("idx") || name.ends_with("ubyte") => Format::Idx,
            None => Format::Folder,
        }
    }

    /// Column of paths, or array of images.
    pub fn image_column(&self) -> Option<&str> {
        self.0.image_column.as_deref()
    }

    /// Column or array of classes.
    pub fn label_column(&self) -> Option<&str> {
        self.0.label_column.as_deref()
    }

    /// Names of the classes, in their order.
    pub fn classes(&self) -> Option<&[String]> {
        self.0.classes.as_deref()
    }

    /// Height and width of the images in a table of pixels.
    pub fn size(&self) -> Option<(usize, usize)> {
        self.0.height.zip(self.0.width)
    }

    /// The brightest value of a table of pixels.
    pub fn max_value(&self) -> Option<f64> {
        self.0.max_value
    }

    /// How many images are drawn if they are to be generated.
    pub fn samples(&self) -> usize {
        self.0.samples.unwrap_or(3000)
    }

    /// Colours that every image is brought to.
    pub fn channels(&self) -> Option<Colour> {
        self.0.channels
    }

    /// Height and width that every image is brought to.
    pub fn resize(&self) -> Option<(usize, usize)> {
        self.0.resize.map(|[height, width]| (height, width))
    }

    /// Part of the training images that is held out.
    pub fn val_fraction(&self) -> f64 {
        self.0.val_fraction
    }

    /// Part of `path`, its end, that is for the test.
    pub fn test_fraction(&self) -> f64 {
        self.0.test_fraction
    }

    /// What to do about an image that cannot be used, and how often.
    pub fn on_error(&self) -> (OnError, u64) {
        (self.0.on_error, self.0.max_skipped)
    }

    /// How training images are varied.
    pub fn augment(&self) -> &AugmentConfig {
        &self.0.augment
    }

    /// Whether the images are drawn by the program.
    pub fn is_generated(&self) -> bool {
        self.path() == Path::new(generated::NAME)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(value: Value) -> Result<ImageDataConfig, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_is_enough_and_the_resolved_table_says_the_same() -> Result<(), String> {
        for table in [
            json!({"path": "a"}),
            json!({
                "path": "a", "val": "b", "test": "c", "labels": "d", "val_labels": "e",
                "test_labels": "f", "format": "npz", "image_column": "x", "label_column": "y",
                "classes": ["cat", "dog"], "height": 8, "width": 9, "max_value": 16.0,
                "samples": 10, "channels": "rgb", "resize": [3, 4], "val_fraction": 0.5,
                "on_error": "skip", "max_skipped": 3,
                "augment": {
                    "flip": true, "crop": 2, "rotate": 9.0, "scale": 0.1, "shear": 5.0,
                    "translate": 0.1, "mixup": 0.2,
                },
            }),
        ] {
            let config = parse(table)?;
            let resolved = serde_json::to_value(&config).map_err(|error| error.to_string())?;
            assert_eq!(parse(resolved)?, config);
        }
        Ok(())
    }

    #[test]
    fn nonsense_is_refused_with_key_and_value() {
        for (table, message) in [
            (json!({}), "missing field `path`"),
            (json!({"path": ""}), "path is empty"),
            (json!({"path": "a", "test": ""}), "test is empty"),
            (json!({"path": "a", "height": 8}), "width is missing"),
            (
                json!({"path": "a", "height": 0, "width": 8}),
                "height = 0 is out of range; use 1 to 16384",
            ),
            (
                json!({"path": "a", "resize": [8, 20_000]}),
                "resize = 20000 is out of range",
            ),
            (
                json!({"path": "a", "max_value": -1.0}),
                "max_value = -1 is out of range; use more than 0",
            ),
            (
                json!({"path": "a", "val_fraction": 1.0}),
                "val_fraction = 1 is out of range",
            ),
            (
                json!({"path": "a", "val_fraction": 0.5, "test_fraction": 0.5}),
                "leave nothing to train on",
            ),
            (
                json!({"path": "a", "test": "b", "test_fraction": 0.5}),
                "test_fraction has no use beside test",
            ),
            (
                json!({"path": "a", "classes": ["x"]}),
                "classes has 1 names",
            ),
            (
                json!({"path": "a", "classes": ["x", "x"]}),
                "classes has `x` twice",
            ),
            (
                json!({"path": "a", "channels": 4}),
                "invalid type: integer `4`",
            ),
            (
                json!({"path": "a", "format": "gif"}),
                "unknown variant `gif`",
            ),
            (
                json!({"path": "a", "augment": {"mixup": 2.0}}),
                "augment.mixup = 2 is out of range",
            ),
            (
                json!({"path": "a", "augment": {"rotate": 181.0}}),
                "augment.rotate = 181 is out of range; use 0 to 180 degrees",
            ),
            (
                json!({"path": "a", "augment": {"scale": 1.0}}),
                "augment.scale = 1 is out of range; use 0 up to, but not including, 1",
            ),
            (
                json!({"path": "a", "augment": {"shear": -1.0}}),
                "augment.shear = -1 is out of range; use 0 to 45 degrees",
            ),
            (
                json!({"path": "a", "augment": {"translate": 1.5}}),
                "augment.translate = 1.5 is out of range; use 0 to 1",
            ),
            (
                json!({"path": "a", "augment": {"flop": true}}),
                "unknown field `flop`",
            ),
        ] {
            let error = parse(table.clone()).expect_err(&table.to_string());
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn names_tell_formats() -> Result<(), String> {
        let plain = parse(json!({"path": "a"}))?;
        let pixels = parse(json!({"path": "a", "height": 8, "width": 8}))?;
        for (path, format) in [
            ("a.csv", Format::Manifest),
            ("a.TSV.gz", Format::Manifest),
            ("a/train-images-idx3-ubyte.gz", Format::Idx),
            ("a.npz", Format::Npz),
            ("photos", Format::Folder),
        ] {
            assert_eq!(plain.format_of(Path::new(path)), format, "{path}");
        }
        assert_eq!(pixels.format_of(Path::new("digits.csv.gz")), Format::Pixels);
        Ok(())
    }
}
