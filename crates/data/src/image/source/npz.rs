//! Arrays of NumPy: pictures and labels in one archive.
//!
//! Entry `i` of an array is called `FILE[i]` in errors.

use std::path::{Path, PathBuf};

use super::{Item, Take};
use crate::image::decode::MAX_SIDE;
use crate::image::picture::{Colour, Picture};
use crate::npy::{Array, Npz, Numbers};
use crate::{Error, Place, Result};

/// What of an archive is read.
#[derive(Debug, Clone)]
pub(super) struct Arrays {
    pub(super) path: PathBuf,
    pub(super) images: String,
    pub(super) labels: String,
    /// The brightest value; 255, or 1 for fractions, if absent.
    pub(super) max_value: Option<f64>,
}

impl Arrays {
    /// Images are `[n, height, width]` or `[n, height, width, channels]`, labels are `n`
    /// integers.
    pub(super) fn read(&self, take: &mut Take<'_>) -> Result<()> {
        let mut archive = Npz::open(&self.path)?;
        let images = archive.read(&self.images)?;
        let labels = archive.read(&self.labels)?;
        let at = Place::file(&self.path);
        let wrong = |name: &str, array: &Array, rule: &str| {
            let reason = format!("array `{name}` has the shape {:?}, but {rule}", array.shape);
            Error::image(&at, reason, "name another array or write it anew")
        };
        let (n, height, width, channels) = match images.shape[..] {
            [n, height, width] => (n, height, width, 1),
            [n, height, width, channels] => (n, height, width, channels),
            _ => return Err(wrong(&self.images, &images, "images have 3 sizes, or 4")),
        };
        let (Some(colour), 1..=MAX_SIDE, 1..=MAX_SIDE) = (Colour::of(channels), height, width)
        else {
            let rule = "a side has 1 to 16384 pixels, a pixel 1 or 3 channels";
            return Err(wrong(&self.images, &images, rule));
        };
        let classes = match labels.to_i64() {
            Some(classes) if labels.shape == [n] => classes,
            _ => {
                let rule = format!("{n} images need as many integers");
                return Err(wrong(&self.labels, &labels, &rule));
            }
        };
        for (index, class) in classes.into_iter().enumerate() {
            let at = entry(&self.path, index);
            let pixels = self.pixels(&images, index, height * width * channels, &at);
            take(pixels.map(|pixels| Item {
                picture: Picture {
                    height,
                    width,
                    colour,
                    pixels,
                },
                label: class.to_string(),
                at,
            }))?;
        }
        Ok(())
    }

    /// The `n` numbers of picture `index`, as bytes.
    fn pixels(&self, images: &Array, index: usize, n: usize, at: &Place) -> Result<Vec<u8>> {
        let part = index * n..(index + 1) * n;
        let scaled = |value: f64, default: f64| {
            let most = self.max_value.unwrap_or(default);
            match (0.0..=most).contains(&value) {
                true => Ok((value / most * 255.0).round() as u8),
                false => Err(Error::image(
                    at,
                    format!("a pixel of {value}, not from 0 to max_value = {most}"),
                    "set `max_value` to the brightest value",
                )),
            }
        };
        match (&images.numbers, self.max_value) {
            (Numbers::Bytes(bytes), None) => Ok(bytes[part].to_vec()),
            (Numbers::Bytes(bytes), _) => {
                let scaled = |&x: &u8| scaled(x.into(), 255.0);
                bytes[part].iter().map(scaled).collect()
            }
            (Numbers::Integers(integers), _) => {
                let scaled = |&x: &i64| scaled(x as f64, 255.0);
                integers[part].iter().map(scaled).collect()
            }
            (Numbers::Floats(floats), _) => {
                let scaled = |&x: &f32| scaled(x.into(), 1.0);
                floats[part].iter().map(scaled).collect()
            }
        }
    }
}

fn entry(path: &Path, index: usize) -> Place {
    Place::file(format!("{}[{index}]", path.display()))
}
