//! Variations of training images.
//!
//! Each is a pure function of the seed, the epoch and the sample: neither the batch that
//! a sample is in, nor threads, nor what was drawn before can change it.

mod affine;
mod config;
mod erase;
mod jitter;
mod mix;
mod shift;

use attn_core::input::ImageShape;
use kernels::rng::{Domain, Key};

pub use config::AugmentConfig;
pub(super) use mix::Mixing;

use crate::Sample;

/// What is drawn for.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Site {
    Shift = 0,
    Jitter = 1,
    Erase = 2,
    Noise = 3,
    Mix = 4,
    Share = 5,
    Affine = 6,
    Move = 7,
}

/// The draws of one sample in one epoch.
#[derive(Debug, Clone, Copy)]
struct Draws {
    seed: u64,
    sample: Sample,
}

impl Draws {
    /// Four words for one use.
    fn words(self, site: Site) -> [u32; 4] {
        self.key(site).block(self.sample.index)
    }

    /// Four numbers for one use, uniform in `[0, 1)`.
    fn numbers(self, site: Site) -> [f32; 4] {
        self.words(site).map(unit)
    }

    fn key(self, site: Site) -> Key {
        let Sample { epoch, .. } = self.sample;
        Key {
            // Epochs beyond 2³² are keyed by the seed.
            seed: self.seed ^ (epoch >> 32),
            domain: Domain::Augmentation,
            step: epoch as u32,
            site: site as u32,
        }
    }
}

fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Variations, with the seed of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Augment {
    config: AugmentConfig,
    shape: ImageShape,
    seed: u64,
}

impl Augment {
    pub(super) fn new(config: AugmentConfig, shape: ImageShape, seed: u64) -> Self {
        Self {
            config,
            shape,
            seed,
        }
    }

    /// Writes a variation of `pixels`, bytes, to `to`, numbers from 0 to 1.
    pub(super) fn vary(&self, sample: Sample, pixels: &[u8], to: &mut [f32]) {
        let Self {
            config,
            shape,
            seed,
        } = *self;
        let draws = Draws { seed, sample };
        shift::shift(&config, shape, draws, pixels, to);
        affine::affine(&config, shape, draws, to);
        jitter::jitter(&config, draws, to);
        erase::erase(&config, shape, draws, to);
    }

    /// What `sample` is mixed with, if samples are mixed, among `n` of them.
    pub(super) fn mixing(&self, sample: Sample, n: u64) -> Option<Mixing> {
        let draws = Draws {
            seed: self.seed,
            sample,
        };
        mix::mixing(&self.config, self.shape, draws, n)
    }

    /// Whether samples are mixed.
    pub(super) fn mixes(&self) -> bool {
        self.config.mixes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const SHAPE: ImageShape = ImageShape {
        height: 9,
        width: 7,
        channels: 3,
    };

    pub(super) fn config(table: serde_json::Value) -> AugmentConfig {
        serde_json::from_value(table).expect("a table")
    }

    pub(super) fn draws(index: u64) -> Draws {
        let sample = Sample { epoch: 3, index };
        Draws { seed: 1, sample }
    }

    fn vary(config: AugmentConfig, seed: u64, sample: Sample) -> Vec<f32> {
        let pixels: Vec<u8> = (0..SHAPE.n_values()).map(|i| (i * 11) as u8).collect();
        let mut to = vec![f32::NAN; pixels.len()];
        Augment::new(config, SHAPE, seed).vary(sample, &pixels, &mut to);
        to
    }

    #[test]
    fn nothing_is_varied_by_default() {
        let to = vary(AugmentConfig::default(), 1, Sample { epoch: 0, index: 5 });
        for (i, value) in to.iter().enumerate() {
            assert_eq!(*value, f32::from((i * 11) as u8) / 255.0);
        }
    }

    #[test]
    fn a_variation_is_a_function_of_seed_epoch_and_sample_alone() {
        let all = config(serde_json::json!({
            "flip": true, "crop": 3, "rotate": 20.0, "scale": 0.2, "shear": 10.0,
            "translate": 0.1, "brightness": 0.4, "contrast": 0.4, "erase": 0.5,
        }));
        let sample = |epoch, index| Sample { epoch, index };
        let first = vary(all, 1, sample(0, 0));
        assert_eq!(first, vary(all, 1, sample(0, 0)));
        for (seed, sample) in [
            (2, sample(0, 0)),
            (1, sample(1, 0)),
            (1, sample(0, 1)),
            (1, sample(1 << 32, 0)),
        ] {
            assert_ne!(first, vary(all, seed, sample), "{seed} {sample:?}");
        }
        let in_range = |value: &f32| (0.0..=1.0).contains(value);
        for index in 0..100 {
            assert!(vary(all, 1, sample(2, index)).iter().all(in_range));
        }
    }
}
