//! Images with classes, opened.

use std::path::Path;
use std::sync::Arc;

use attn_core::input::ImageShape;

use super::augment::Augment;
use super::config::ImageDataConfig;
use super::labels::Labels;
use super::pictures::Pictures;
use super::samples::Split;
use super::source::Source;
use crate::order::Permutation;
use crate::{Error, Open, Place, Result, Samples};

/// The epoch whose shuffle picks the images that are held out.
const HELD_OUT: u64 = u64::MAX;

/// Mean and standard deviation of each channel, over all pixels that are trained on,
/// which are numbers from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Means, `[channels]`.
    pub mean: Vec<f64>,
    /// Standard deviations, `[channels]`; 1 where all pixels are alike.
    pub std: Vec<f64>,
}

/// Images to tell apart, with the names of their classes.
///
/// All are decoded once and kept in memory, a byte a channel. Without images of its
/// own, the test takes the last ones of `path`, and validation takes some that the seed
/// picks from the rest.
pub struct ImageData {
    config: ImageDataConfig,
    labels: Vec<String>,
    statistics: Statistics,
    fingerprint: blake3::Hash,
    train: Arc<Split>,
    val: Option<Arc<Split>>,
    test: Option<Arc<Split>>,
}

impl ImageData {
    /// Reads and decodes the images.
    ///
    /// # Errors
    ///
    /// If they cannot be read, have only one class or different sizes, or if one has a
    /// label that is no class.
    pub fn open(config: &ImageDataConfig, open: &Open<'_>) -> Result<Self> {
        let [train_labels, val_labels, _] = config.label_files();
        let mut labels = known(config, open).unwrap_or_else(Labels::learnt);
        let mut pictures = read(config.path(), train_labels, config, None, &mut labels)?;
        let (labels, places) = labels.sorted();
        if let [label] = labels.as_slice() {
            return Err(Error::OneClass {
                at: Place::file(config.path()),
                label: label.clone(),
            });
        }
        for class in &mut pictures.classes {
            *class = places[*class as usize];
        }
        let (train, held_out, test) = divide(config, open.seed, pictures.len())?;
        let pictures = Arc::new(pictures);
        let part = |indices: Vec<u32>| {
            let pictures = Arc::clone(&pictures);
            let split = Split {
                pictures,
                indices,
                augment: None,
            };
            (!split.indices.is_empty()).then(|| Arc::new(split))
        };
        let statistics = Statistics::of(&pictures, &train);
        let val = match config.val() {
            Some(path) => {
                let mut known = Labels::Known {
                    names: labels.clone(),
                    numbers: config.classes().is_some(),
                };
                let shape = Some(pictures.shape);
                let val = read(path, val_labels, config, shape, &mut known)?;
                Some(Arc::new(Split::whole(val)))
            }
            None => part(held_out),
        };
        let augment = Augment::new(*config.augment(), pictures.shape, open.seed);
        let train = Arc::new(Split {
            pictures: Arc::clone(&pictures),
            indices: train,
            augment: Some(augment),
        });
        let mut hasher = blake3::Hasher::new();
        for part in [Some(&train), val.as_ref()].into_iter().flatten() {
            part.hash(&mut hasher);
        }
        Ok(Self {
            config: config.clone(),
            labels,
            statistics,
            fingerprint: hasher.finalize(),
            train,
            val,
            test: part(test),
        })
    }

    /// The names of the classes; a target is an index into them.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The shape of every image.
    pub fn shape(&self) -> ImageShape {
        self.train.pictures.shape
    }

    /// Mean and deviation of the training images.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Hash of the images and classes that are trained and validated on.
    pub fn fingerprint(&self) -> blake3::Hash {
        self.fingerprint
    }

    /// Images to train on.
    pub fn train(&self) -> Arc<dyn Samples> {
        Arc::clone(&self.train) as _
    }

    /// Images to validate on, if any are held out.
    pub fn val(&self) -> Option<Arc<dyn Samples>> {
        self.val.as_ref().map(|val| Arc::clone(val) as _)
    }

    /// Images to test on, if the configuration names some.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn test(&self) -> Result<Option<Arc<dyn Samples>>> {
        let Some(path) = self.config.test() else {
            return Ok(self.test.as_ref().map(|test| Arc::clone(test) as _));
        };
        let [_, _, labels] = self.config.label_files();
        let mut known = Labels::Known {
            names: self.labels.clone(),
            numbers: self.config.classes().is_some(),
        };
        let shape = Some(self.shape());
        let pictures = read(path, labels, &self.config, shape, &mut known)?;
        Ok(Some(Arc::new(Split::whole(pictures))))
    }
}

/// The classes that are known before an image is read.
fn known(config: &ImageDataConfig, open: &Open<'_>) -> Option<Labels> {
    let names = open.labels.clone();
    let names = names.or_else(|| config.classes().map(<[String]>::to_vec))?;
    Some(Labels::Known {
        names,
        numbers: config.classes().is_some(),
    })
}

fn read(
    path: &Path,
    labels_file: Option<&Path>,
    config: &ImageDataConfig,
    shape: Option<ImageShape>,
    labels: &mut Labels,
) -> Result<Pictures> {
    let source = Source::open(path, labels_file, config)?;
    Pictures::read(&source, &Place::file(path), config, shape, labels)
}

/// Which of `n` images are for training, validation and test.
fn divide(config: &ImageDataConfig, seed: u64, n: usize) -> Result<(Vec<u32>, Vec<u32>, Vec<u32>)> {
    let part = |n: usize, fraction: f64| match fraction > 0.0 {
        true => ((n as f64 * fraction).round() as usize).max(1),
        false => 0,
    };
    let n_test = part(n, config.test_fraction());
    let left = n.saturating_sub(n_test);
    let n_val = match config.val() {
        Some(_) => 0,
        None => part(left, config.val_fraction()),
    };
    if n_val >= left {
        return Err(Error::TooFew {
            at: Place::file(config.path()),
            split: "training",
            found: n,
            needed: n_test + n_val + 1,
        });
    }
    let order = Permutation::new(seed, HELD_OUT, left as u64);
    let mut is_held = vec![false; left];
    for position in 0..n_val as u64 {
        is_held[order.at(position) as usize] = true;
    }
    let of = |held: bool| {
        (0..left as u32)
            .filter(|&i| is_held[i as usize] == held)
            .collect()
    };
    Ok((of(false), of(true), (left as u32..n as u32).collect()))
}

impl Split {
    fn whole(pictures: Pictures) -> Self {
        Self {
            indices: (0..pictures.len() as u32).collect(),
            pictures: Arc::new(pictures),
            augment: None,
        }
    }

    fn hash(&self, hasher: &mut blake3::Hasher) {
        let ImageShape {
            height,
            width,
            channels,
        } = self.pictures.shape;
        for size in [height, width, channels, self.indices.len()] {
            hasher.update(&(size as u64).to_le_bytes());
        }
        for &index in &self.indices {
            let index = index as usize;
            hasher.update(self.pictures.get(index));
            hasher.update(&self.pictures.classes[index].to_le_bytes());
        }
    }
}

impl Statistics {
    fn of(pictures: &Pictures, indices: &[u32]) -> Self {
        let channels = pictures.shape.channels;
        let mut counts = vec![[0u64; 256]; channels];
        for &index in indices {
            for pixel in pictures.get(index as usize).chunks_exact(channels) {
                for (counts, &value) in counts.iter_mut().zip(pixel) {
                    counts[usize::from(value)] += 1;
                }
            }
        }
        let moments = |counts: &[u64; 256]| {
            let n = counts.iter().sum::<u64>() as f64;
            let value = |i: usize| i as f64 / 255.0;
            let sum = |f: &dyn Fn(f64) -> f64| -> f64 {
                let terms = counts.iter().enumerate();
                terms.map(|(i, &count)| count as f64 * f(value(i))).sum()
            };
            let mean = sum(&|x| x) / n;
            let std = (sum(&|x| (x - mean).powi(2)) / n).sqrt();
            (mean, if std > 0.0 { std } else { 1.0 })
        };
        let (mean, std) = counts.iter().map(moments).unzip();
        Self { mean, std }
    }
}

impl std::fmt::Debug for ImageData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageData")
            .field("shape", &self.shape())
            .field("train", &self.train.indices.len())
            .finish_non_exhaustive()
    }
}
