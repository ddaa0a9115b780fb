//! All pictures of a source, in memory.

use attn_core::input::ImageShape;

use super::config::ImageDataConfig;
use super::labels::Labels;
use super::picture::{Colour, Picture};
use super::source::{Item, Source};
use crate::{Error, Place, Result, Skips};

/// Pictures of one shape, one after the other, with their classes.
pub(super) struct Pictures {
    pub(super) shape: ImageShape,
    /// `[n, height, width, channels]`
    pub(super) pixels: Vec<u8>,
    /// `[n]`
    pub(super) classes: Vec<u32>,
}

impl Pictures {
    /// Reads `source`, whose classes are `labels`; all become of `shape` if there is
    /// one.
    ///
    /// # Errors
    ///
    /// What cannot be read, sizes that differ where nothing resizes them, and no
    /// pictures at all.
    pub(super) fn read(
        source: &Source,
        at: &Place,
        config: &ImageDataConfig,
        shape: Option<ImageShape>,
        labels: &mut Labels,
    ) -> Result<Self> {
        let (policy, max_skipped) = config.on_error();
        let mut skips = Skips::new(policy, max_skipped);
        let mut wanted = Wanted {
            colour: shape
                .and_then(|shape| Colour::of(shape.channels))
                .or(config.channels()),
            size: shape.map(|shape| (shape.height, shape.width)),
            resize: config.resize(),
        };
        let (mut pixels, mut classes) = (Vec::new(), Vec::new());
        source.read(&mut |item| {
            let alike = item.and_then(|item| {
                let class = labels.class(&item.label, &item.at)?;
                Ok((wanted.fit(item)?, class))
            });
            if let Some((picture, class)) = skips.keep(alike)? {
                pixels.extend_from_slice(&picture.pixels);
                classes.push(class);
            }
            Ok(())
        })?;
        match wanted.shape().filter(|_| !classes.is_empty()) {
            Some(shape) => Ok(Self {
                shape,
                pixels,
                classes,
            }),
            None => Err(Error::image(
                at,
                "no pictures that can be used",
                "give it some or name another",
            )),
        }
    }

    /// How many pictures there are.
    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The bytes of picture `index`.
    pub(super) fn get(&self, index: usize) -> &[u8] {
        let n = self.shape.n_values();
        &self.pixels[index * n..][..n]
    }
}

/// What pictures are brought to; the first decides what nothing else does.
struct Wanted {
    colour: Option<Colour>,
    size: Option<(usize, usize)>,
    resize: Option<(usize, usize)>,
}

impl Wanted {
    fn fit(&mut self, item: Item) -> Result<Picture> {
        let Item { picture, at, .. } = item;
        let picture = match self.resize {
            Some((height, width)) => picture.resized(height, width),
            None => picture,
        };
        let (height, width) = *self.size.get_or_insert((picture.height, picture.width));
        if (picture.height, picture.width) != (height, width) {
            let Picture {
                height: other_height,
                width: other_width,
                ..
            } = picture;
            return Err(Error::image(
                &at,
                format!("{other_width}x{other_height} pixels, but others have {width}x{height}"),
                "set `resize = [height, width]`",
            ));
        }
        let colour = *self.colour.get_or_insert(picture.colour);
        Ok(picture.in_colour(colour))
    }

    fn shape(&self) -> Option<ImageShape> {
        let ((height, width), colour) = self.size.zip(self.colour)?;
        Some(ImageShape {
            height,
            width,
            channels: colour.channels(),
        })
    }
}
