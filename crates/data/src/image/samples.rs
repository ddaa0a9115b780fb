//! A split of the pictures, as a loop visits it.

use std::sync::Arc;

use attn_core::input::Images;
use attn_core::{Input, Pattern, Targets};
use rayon::prelude::*;

use super::augment::{Augment, Mixing};
use super::pictures::Pictures;
use crate::{Batch, Error, Result, Sample, Samples};

/// Some of the pictures in memory, varied anew in each epoch if they are to train on.
pub(super) struct Split {
    pub(super) pictures: Arc<Pictures>,
    /// Which pictures, in the order of their source.
    pub(super) indices: Vec<u32>,
    /// How they are varied.
    pub(super) augment: Option<Augment>,
}

impl Split {
    /// Writes `sample` as it is, or a variation, to `to`.
    fn write(&self, sample: Sample, to: &mut [f32]) {
        let pixels = self.pictures.get(self.index(sample.index));
        match &self.augment {
            Some(augment) => augment.vary(sample, pixels, to),
            None => {
                for (to, pixel) in to.iter_mut().zip(pixels) {
                    *to = f32::from(*pixel) / 255.0;
                }
            }
        }
    }

    /// What `sample` is mixed with.
    fn mixing(&self, sample: Sample) -> Option<Mixing> {
        self.augment.as_ref()?.mixing(sample, self.len())
    }

    fn index(&self, sample: u64) -> usize {
        self.indices[sample as usize] as usize
    }

    fn class(&self, sample: u64) -> u32 {
        self.pictures.classes[self.index(sample)]
    }

    fn targets(&self, samples: &[Sample]) -> Targets {
        let first = samples.iter().map(|sample| self.class(sample.index));
        if !self.augment.as_ref().is_some_and(Augment::mixes) {
            return Targets::Classes(first.collect());
        }
        let mixings: Vec<(u32, f32)> = samples
            .iter()
            .map(|&sample| match self.mixing(sample) {
                Some(Mixing { partner, share, .. }) => (self.class(partner), share),
                None => (self.class(sample.index), 1.0),
            })
            .collect();
        Targets::Mixed {
            first: first.collect(),
            second: mixings.iter().map(|&(class, _)| class).collect(),
            share: mixings.iter().map(|&(_, share)| share).collect(),
        }
    }
}

impl Samples for Split {
    fn len(&self) -> u64 {
        self.indices.len() as u64
    }

    /// Pixels are numbers from 0 to 1.
    fn pack(&self, samples: &[Sample], pattern: &Pattern) -> Result<Batch> {
        let shape = self.pictures.shape;
        let mut pixels = vec![0.0; samples.len() * shape.n_values()];
        pixels
            .par_chunks_exact_mut(shape.n_values())
            .zip(samples)
            .for_each(|(to, &sample)| {
                self.write(sample, to);
                if let Some(Mixing {
                    partner,
                    share,
                    mix,
                }) = self.mixing(sample)
                {
                    let partner = Sample {
                        index: partner,
                        ..sample
                    };
                    let mut other = vec![0.0; to.len()];
                    self.write(partner, &mut other);
                    mix.apply(share, shape, to, &other);
                }
            });
        let ends: Vec<usize> = (1..=samples.len()).map(|i| i * shape.n_pixels()).collect();
        let images = Images::new(pixels, shape).map_err(|_| Error::BatchTooLarge {
            positions: samples.len() * shape.n_pixels(),
        })?;
        Batch::pack(Input::Images(images), &ends, self.targets(samples), pattern)
    }
}
