//! Images as rows: one a patch.

use std::sync::Arc;

use attn_core::input::{ImageShape, Images};
use candle_core::{DType, Device, Error, Result, Tensor, bail};

use crate::ImageConfig;

/// Cuts images into square patches and brings their channels to mean 0 and deviation 1.
///
/// A patch becomes a row of numbers, so that embedding it is one linear map (Dosovitskiy
/// et al. 2020, §3.1 <https://arxiv.org/abs/2010.11929>). With patches of one pixel an
/// image is the set of its colour vectors.
#[derive(Debug, Clone)]
pub(super) struct Patches {
    shape: ImageShape,
    patch: usize,
    /// What each channel is multiplied by, and what is then added: `[channels]`.
    scale: Vec<f32>,
    shift: Vec<f32>,
    dtype: DType,
    device: Device,
}

impl Patches {
    /// Square patches of `patch` pixels a side, which divides the sides of an image.
    pub(super) fn new(
        config: &ImageConfig,
        patch: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let shape = config.shape().map_err(Error::wrap)?;
        let channel = |values: Option<&[f64]>, default: f64, c: usize| {
            values
                .and_then(|values| values.get(c).copied())
                .unwrap_or(default)
        };
        let moments = |c| {
            let (mean, std) = (
                channel(config.mean(), 0.0, c),
                channel(config.std(), 1.0, c),
            );
            ((1.0 / std) as f32, (-mean / std) as f32)
        };
        let (scale, shift) = (0..shape.channels).map(moments).unzip();
        Ok(Self {
            shape,
            patch,
            scale,
            shift,
            dtype,
            device: device.clone(),
        })
    }

    /// Patches of one image.
    pub(super) fn per_image(&self) -> usize {
        self.shape.n_pixels() / (self.patch * self.patch)
    }

    /// The patches of `images`, row by row of each image; their pixels row by row, the
    /// channels of a pixel together.
    ///
    /// # Shapes
    ///
    /// - returns: `[n · patches, patch · patch · channels]`
    ///
    /// # Errors
    ///
    /// Images of another shape.
    pub(super) fn rows(&self, images: &Images) -> Result<Tensor> {
        if images.shape() != self.shape {
            let text = |s: ImageShape| format!("{}x{}x{}", s.height, s.width, s.channels);
            bail!(
                "images of {} (height, width, channels), but the model reads {}",
                text(images.shape()),
                text(self.shape)
            );
        }
        let ImageShape {
            width, channels, ..
        } = self.shape;
        let (patch, across) = (self.patch, width / self.patch);
        let pixels: &Arc<[f32]> = images.pixels();
        let mut rows = Vec::with_capacity(pixels.len());
        // Bands of `patch` image rows, each cut into `across` patches.
        for band in pixels.chunks_exact(patch * width * channels) {
            for column in 0..across {
                for row in band.chunks_exact(width * channels) {
                    let part = &row[column * patch * channels..][..patch * channels];
                    for pixel in part.chunks_exact(channels) {
                        let scaled = pixel.iter().zip(&self.scale).zip(&self.shift);
                        rows.extend(scaled.map(|((value, scale), shift)| value * scale + shift));
                    }
                }
            }
        }
        let shape = (images.len() * self.per_image(), patch * patch * channels);
        Tensor::from_vec(rows, shape, &self.device)?.to_dtype(self.dtype)
    }
}

#[cfg(test)]
mod tests {
    use crate::{DataSizes, ImageConfig};

    use super::*;

    fn patches(table: &str, shape: ImageShape) -> Result<Patches> {
        let config: ImageConfig = toml::from_str(table).map_err(Error::wrap)?;
        let sizes = DataSizes {
            image: Some(shape),
            ..DataSizes::default()
        };
        let config = config.resolve(&sizes).map_err(Error::wrap)?;
        Patches::new(&config, config.patch(), DType::F64, &Device::Cpu)
    }

    #[test]
    fn a_row_holds_the_pixels_of_its_square() -> Result<()> {
        let shape = ImageShape {
            height: 4,
            width: 6,
            channels: 2,
        };
        let pixels: Vec<f32> = (0..2 * shape.n_values()).map(|i| i as f32).collect();
        let patches = patches("patch = 2\nmean = [1.0, 0.0]\nstd = [2.0, 0.5]", shape)?;
        let rows = patches.rows(&Images::new(pixels.clone(), shape)?)?;
        assert_eq!(rows.dims(), [2 * 6, 8]);
        let rows = rows.to_vec2::<f64>()?;
        for image in 0..2 {
            for (y, x, c) in (0..4).flat_map(|y| (0..6).flat_map(move |x| [(y, x, 0), (y, x, 1)])) {
                let pixel = f64::from(pixels[((image * 4 + y) * 6 + x) * 2 + c]);
                let want = (pixel - [1.0, 0.0][c]) / [2.0, 0.5][c];
                let row = image * 6 + y / 2 * 3 + x / 2;
                let column = (y % 2 * 2 + x % 2) * 2 + c;
                // Scale and shift are `f32`.
                assert!(
                    (rows[row][column] - want).abs() < 1e-4,
                    "{image} {y} {x} {c}"
                );
            }
        }
        Ok(())
    }

    #[test]
    fn images_of_another_shape_are_refused() -> Result<()> {
        let shape = ImageShape {
            height: 4,
            width: 4,
            channels: 1,
        };
        let other = ImageShape { width: 8, ..shape };
        let images = Images::new(vec![0.0; other.n_values()], other)?;
        let said = patches("", shape)?.rows(&images).unwrap_err().to_string();
        assert!(said.contains("images of 4x8x1"), "{said}");
        Ok(())
    }
}
