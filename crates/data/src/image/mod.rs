//! Images: from files to batches of pixels.
//!
//! ```text
//! folder | table | IDX | .npz -> picture, label -> bytes in memory -> Split
//!   -> (training only) shift, flip, turn, jitter, erase, mix -> Batch of numbers from 0 to 1
//! ```
//!
//! A batch holds pixels as they are; a model removes their mean and deviation, which
//! [`Statistics`] gives it once and which it keeps.

mod augment;
mod config;
mod data;
mod decode;
mod invalid;
mod jpeg;
mod labels;
mod picture;
mod pictures;
mod samples;
mod source;

use std::path::Path;

use attn_core::input::{ImageShape, Images};

pub use augment::AugmentConfig;
pub use config::{Format, ImageDataConfig};
pub use data::{ImageData, Statistics};
pub use invalid::ConfigError;
pub use picture::Colour;

use crate::{Error, Place, Result};

/// The picture in a PNG or JPEG file, brought to `shape`: what a model makes predictions
/// of.
///
/// # Errors
///
/// A file that cannot be read or decoded, or a shape of no colours.
pub fn read(path: impl AsRef<Path>, shape: ImageShape) -> Result<Images> {
    let at = Place::file(&path);
    let wrong = || {
        Error::image(
            &at,
            format!("cannot become an image of {} channels", shape.channels),
            "use a model of 1 or 3",
        )
    };
    let colour = Colour::of(shape.channels).ok_or_else(wrong)?;
    let picture = decode::open(path.as_ref(), &at)?
        .resized(shape.height, shape.width)
        .in_colour(colour);
    let pixels: Vec<f32> = picture
        .pixels
        .iter()
        .map(|&p| f32::from(p) / 255.0)
        .collect();
    Images::new(pixels, shape).map_err(|_| wrong())
}
