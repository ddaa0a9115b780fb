//! What a model reads: the rows of one batch, whatever they stand for.
//!
//! These types are what data and models agree on; neither knows the other.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor, bail};

use crate::mask::Csr;

/// The packed rows of one batch.
///
/// The mask of the batch has the walls between its samples, in the same rows: tokens,
/// frames, pixels or nodes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// Token ids, `[n]`.
    Tokens(Arc<[u32]>),
    /// Frames of sound, `[n, n_features]`, one after the other.
    Frames(Rows),
    /// Pixels of images, all of one size.
    Images(Images),
    /// The nodes of graphs, with the edges between them.
    Graphs(Graphs),
}

/// A table of numbers: `[n, width]`, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    values: Arc<[f32]>,
    width: usize,
}

/// Images of one size: `[n, height, width, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    pixels: Arc<[f32]>,
    shape: ImageShape,
}

/// Sizes of one image, in pixels and numbers a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageShape {
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// Numbers a pixel: 1 for grey, 3 for colour.
    pub channels: usize,
}

/// A batch of graphs as one graph without edges between its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Graphs {
    /// What is known of each node: `[n, n_features]`.
    pub nodes: Rows,
    /// Who reads whom: the rows of `nodes`, by destination.
    pub edges: Arc<Csr>,
    /// What is known of each edge, in the order of `edges`: `[n_edges, width]`.
    pub edge_features: Option<Rows>,
    /// Where each node stands in its graph: `[n, width]`.
    pub structure: Option<Rows>,
}

impl Input {
    /// Rows of all samples together: tokens, frames, pixels or nodes.
    pub fn n_rows(&self) -> usize {
        match self {
            Self::Tokens(tokens) => tokens.len(),
            Self::Frames(frames) => frames.n_rows(),
            Self::Images(images) => images.len() * images.shape().n_pixels(),
            Self::Graphs(graphs) => graphs.nodes.n_rows(),
        }
    }

    /// What a row is called, in the plural.
    pub fn rows_are(&self) -> &'static str {
        match self {
            Self::Tokens(_) => "tokens",
            Self::Frames(_) => "frames",
            Self::Images(_) => "pixels",
            Self::Graphs(_) => "nodes",
        }
    }
}

impl Rows {
    /// A table whose rows have `width` numbers; a width of 0 has no rows.
    ///
    /// # Errors
    ///
    /// If `values` is no whole number of rows.
    pub fn new(values: impl Into<Arc<[f32]>>, width: usize) -> Result<Self> {
        let values = values.into();
        if values.len().checked_rem(width).unwrap_or(values.len()) != 0 {
            bail!("{} numbers are no rows of {width}", values.len());
        }
        Ok(Self { values, width })
    }

    /// How many rows there are.
    pub fn n_rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// Numbers a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All numbers, row after row.
    pub fn values(&self) -> &Arc<[f32]> {
        &self.values
    }

    /// Row `i`.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// The table as a tensor.
    ///
    /// # Shapes
    ///
    /// - returns: `[n, width]`, `f32`
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        Tensor::from_slice(&self.values, (self.n_rows(), self.width), device)
    }
}

impl Images {
    /// Images whose numbers lie row by row, the channels of a pixel together.
    ///
    /// # Errors
    ///
    /// If `pixels` is no whole number of images, or an image has no pixels.
    pub fn new(pixels: impl Into<Arc<[f32]>>, shape: ImageShape) -> Result<Self> {
        let pixels = pixels.into();
        if shape.n_values() == 0 || !pixels.len().is_multiple_of(shape.n_values()) {
            let ImageShape {
                height,
                width,
                channels,
            } = shape;
            bail!(
                "{} numbers are no images of {height}x{width}x{channels}",
                pixels.len()
            );
        }
        Ok(Self { pixels, shape })
    }

    /// How many images there are.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.pixels.len() / self.shape.n_values()
    }

    /// Sizes of every image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// All numbers, image after image.
    pub fn pixels(&self) -> &Arc<[f32]> {
        &self.pixels
    }

    /// The images as a tensor.
    ///
    /// # Shapes
    ///
    /// - returns: `[n, height, width, channels]`, `f32`
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        let ImageShape {
            height,
            width,
            channels,
        } = self.shape;
        Tensor::from_slice(&self.pixels, (self.len(), height, width, channels), device)
    }
}

impl ImageShape {
    /// Pixels of one image.
    pub fn n_pixels(self) -> usize {
        self.height * self.width
    }

    /// Numbers of one image.
    pub fn n_values(self) -> usize {
        self.n_pixels() * self.channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_fill_no_rows_or_images_are_refused() {
        assert!(Rows::new(vec![0.0; 7], 3).is_err());
        assert!(Rows::new(vec![0.0; 7], 0).is_err());
        let shape = ImageShape {
            height: 2,
            width: 2,
            channels: 1,
        };
        assert!(Images::new(vec![0.0; 6], shape).is_err());
        assert!(Images::new(vec![0.0; 0], ImageShape { height: 0, ..shape }).is_err());
    }

    #[test]
    fn rows_of_every_input_are_counted() -> Result<()> {
        let shape = ImageShape {
            height: 2,
            width: 3,
            channels: 1,
        };
        let rows = Rows::new(vec![0.0; 8], 2)?;
        assert_eq!(rows.row(3), [0.0, 0.0]);
        assert_eq!(rows.to_tensor(&Device::Cpu)?.dims(), [4, 2]);
        assert_eq!(Rows::new(Vec::new(), 0)?.n_rows(), 0);
        let images = Images::new(vec![0.0; 12], shape)?;
        assert_eq!(images.to_tensor(&Device::Cpu)?.dims(), [2, 2, 3, 1]);
        for (input, n) in [
            (Input::Tokens([1, 2, 3].into()), 3),
            (Input::Frames(rows), 4),
            (Input::Images(images), 12),
        ] {
            assert_eq!(input.n_rows(), n, "{}", input.rows_are());
        }
        Ok(())
    }
}
