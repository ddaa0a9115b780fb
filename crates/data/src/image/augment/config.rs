//! The `[data.augment]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::image::ConfigError;

/// Largest border that a crop may reach into, in pixels.
const MAX_BORDER: usize = 64;

/// How training images are varied; nothing is by default.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Whether half of the images are mirrored, left and right
    pub(super) flip: bool,
    /// Pixels of black border around an image, of which a window as large as the image is cut out at random
    #[schemars(range(max = 64))]
    pub(super) crop: usize,
    /// Degrees by which an image is turned about its centre, at most, either way
    #[schemars(range(min = 0.0, max = 180.0))]
    pub(super) rotate: f64,
    /// An image is made 1 − this to 1 + this times as large, about its centre
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) scale: f64,
    /// Degrees by which an image is slanted along its rows, at most, either way
    #[schemars(range(min = 0.0, max = 45.0))]
    pub(super) shear: f64,
    /// Share of its height and of its width by which an image is moved, at most, either way, in parts of pixels too
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) translate: f64,
    /// Brightness is multiplied by 1 − this to 1 + this
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) brightness: f64,
    /// Distance from the mean brightness is multiplied by 1 − this to 1 + this
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) contrast: f64,
    /// Share of the images in which a rectangle is replaced by noise (arXiv 1708.04896)
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) erase: f64,
    /// Whole images are mixed in pairs, shares drawn from Beta(this, this) (arXiv 1710.09412); 0 for none
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) mixup: f64,
    /// A rectangle of another image is put in, its share drawn from Beta(this, this) (arXiv 1905.04899); 0 for none. Beside `mixup`, each image gets one of the two
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) cutmix: f64,
}

impl AugmentConfig {
    /// # Errors
    ///
    /// A number outside its range.
    pub(in crate::image) fn check(&self) -> Result<(), ConfigError> {
        if self.crop > MAX_BORDER {
            return Err(ConfigError::OutOfRange {
                key: "augment.crop",
                value: self.crop,
                range: 0..=MAX_BORDER,
            });
        }
        if !(0.0..1.0).contains(&self.scale) {
            return Err(ConfigError::Rate {
                key: "augment.scale",
                value: self.scale,
                rule: "0 up to, but not including, 1",
            });
        }
        for (key, value, most, rule) in [
            ("augment.rotate", self.rotate, 180.0, "0 to 180 degrees"),
            ("augment.shear", self.shear, 45.0, "0 to 45 degrees"),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(ConfigError::Rate { key, value, rule });
            }
        }
        for (key, value) in [
            ("augment.translate", self.translate),
            ("augment.brightness", self.brightness),
            ("augment.contrast", self.contrast),
            ("augment.erase", self.erase),
            ("augment.mixup", self.mixup),
            ("augment.cutmix", self.cutmix),
        ] {
            if !(0.0..=1.0).contains(&value) {
                let rule = "0 to 1";
                return Err(ConfigError::Rate { key, value, rule });
            }
        }
        Ok(())
    }

    /// Whether targets are mixed.
    pub fn mixes(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0
    }
}
