//! One picture in memory.

use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Pixel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which colours a picture is read in.
///
/// Written `"grey"` or `"rgb"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// One channel, how bright a pixel is
    Grey,
    /// Three channels: red, green and blue
    Rgb,
}

impl Colour {
    /// Numbers a pixel has.
    pub fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }

    /// The colours that `channels` numbers a pixel stand for.
    pub(crate) fn of(channels: usize) -> Option<Self> {
        match channels {
            1 => Some(Self::Grey),
            3 => Some(Self::Rgb),
            _ => None,
        }
    }
}

/// Rows of pixels, each of one byte a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Rows.
    pub(crate) height: usize,
    /// Pixels of a row.
    pub(crate) width: usize,
    /// Channels of a pixel.
    pub(crate) colour: Colour,
    /// `[height, width, channels]`
    pub(crate) pixels: Vec<u8>,
}

impl Picture {
    /// The same picture in other colours.
    ///
    /// Grey is the luma of ITU-R BT.601, `0.299 R + 0.587 G + 0.114 B`, rounded.
    pub(crate) fn in_colour(self, colour: Colour) -> Self {
        let pixels = match (self.colour, colour) {
            (Colour::Grey, Colour::Rgb) => self.pixels.iter().flat_map(|&p| [p; 3]).collect(),
            (Colour::Rgb, Colour::Grey) => self.pixels.chunks_exact(3).map(luma).collect(),
            _ => return self,
        };
        Self {
            colour,
            pixels,
            ..self
        }
    }

    /// The same picture on another grid of pixels.
    ///
    /// Bilinear: a new pixel is the mean of the old ones near its centre, weighted by a
    /// triangle as wide as one pixel of the coarser grid on each side; so shrinking
    /// takes every old pixel into account.
    pub(crate) fn resized(self, height: usize, width: usize) -> Self {
        if (self.height, self.width) == (height, width) {
            return self;
        }
        let pixels = match self.colour {
            Colour::Grey => self.resampled::<image::Luma<u8>>(height, width),
            Colour::Rgb => self.resampled::<image::Rgb<u8>>(height, width),
        };
        Self {
            height,
            width,
            colour: self.colour,
            pixels,
        }
    }

    fn resampled<P: Pixel<Subpixel = u8> + 'static>(&self, height: usize, width: usize) -> Vec<u8> {
        let buffer: Option<ImageBuffer<P, &[u8]>> =
            ImageBuffer::from_raw(self.width as u32, self.height as u32, &self.pixels);
        match buffer {
            Some(buffer) => {
                resize(&buffer, width as u32, height as u32, FilterType::Triangle).into_raw()
            }
            // A picture has as many pixels as its sizes say.
            None => vec![0; height * width * self.colour.channels()],
        }
    }
}

fn luma(pixel: &[u8]) -> u8 {
    let weighted =
        299 * u32::from(pixel[0]) + 587 * u32::from(pixel[1]) + 114 * u32::from(pixel[2]);
    ((weighted + 500) / 1000) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(height: usize, width: usize, colour: Colour, seed: u64) -> Picture {
        let n = height * width * colour.channels();
        let byte = |i| crate::order::draw("picture", seed, i, 256) as u8;
        Picture {
            height,
            width,
            colour,
            pixels: (0..n as u64).map(byte).collect(),
        }
    }

    /// The definition: weights of a triangle around each new centre, rows and columns
    /// apart, in `f64`.
    fn by_definition(from: &Picture, height: usize, width: usize) -> Vec<f64> {
        let weights = |n_from: usize, n_to: usize, to: usize| -> Vec<f64> {
            let ratio = n_from as f64 / n_to as f64;
            let (centre, reach) = ((to as f64 + 0.5) * ratio, ratio.max(1.0));
            let raw: Vec<f64> = (0..n_from)
                .map(|i| (1.0 - ((i as f64 + 0.5 - centre) / reach).abs()).max(0.0))
                .collect();
            let sum: f64 = raw.iter().sum();
            raw.into_iter().map(|w| w / sum).collect()
        };
        let channels = from.colour.channels();
        let mut to = Vec::new();
        for y in 0..height {
            let down = weights(from.height, height, y);
            for x in 0..width {
                let across = weights(from.width, width, x);
                for channel in 0..channels {
                    let mut sum = 0.0;
                    for (i, down) in down.iter().enumerate() {
                        for (j, across) in across.iter().enumerate() {
                            let at = (i * from.width + j) * channels + channel;
                            sum += down * across * f64::from(from.pixels[at]);
                        }
                    }
                    to.push(sum);
                }
            }
        }
        to
    }

    #[test]
    fn resizing_is_what_its_definition_says() {
        for (from, to) in [
            ((4, 6), (8, 9)),
            ((9, 7), (3, 2)),
            ((5, 5), (2, 11)),
            ((1, 1), (3, 3)),
        ] {
            for colour in [Colour::Grey, Colour::Rgb] {
                let old = picture(from.0, from.1, colour, 3);
                let want = by_definition(&old, to.0, to.1);
                let new = old.resized(to.0, to.1);
                assert_eq!((new.height, new.width), to);
                for (got, want) in new.pixels.iter().zip(&want) {
                    // Rounded once, and weights have the precision of `f32`.
                    assert!(
                        (f64::from(*got) - want).abs() < 0.51,
                        "{from:?} -> {to:?}: {got} {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_picture_of_the_wanted_size_and_colour_stays_as_it_is() {
        let old = picture(3, 4, Colour::Rgb, 1);
        assert_eq!(old.clone().resized(3, 4).in_colour(Colour::Rgb), old);
    }

    #[test]
    fn grey_is_the_luma_of_red_green_and_blue() {
        let rgb = Picture {
            height: 1,
            width: 5,
            colour: Colour::Rgb,
            pixels: vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 7, 7, 7],
        };
        let grey = rgb.in_colour(Colour::Grey);
        assert_eq!(grey.pixels, [76, 150, 29, 255, 7]);
        assert_eq!(
            grey.in_colour(Colour::Rgb).pixels[..6],
            [76, 76, 76, 150, 150, 150]
        );
    }
}
