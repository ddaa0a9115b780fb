//! One split of clips, to be visited sample by sample.

use std::sync::Arc;

use attn_core::Pattern;
use attn_core::input::Rows;

use super::augment::{AugmentConfig, Draws};
use super::clips::Clip;
use super::features::Extractor;
use super::join::{JoinConfig, Recipe};
use super::read::Content;
use super::targets::Asked;
use crate::{Batch, Error, IGNORED, Input, Result, Sample, Samples, Targets};

/// Clips, or strings of them, as batches.
pub(super) struct ClipSamples {
    clips: Vec<Clip>,
    asked: Asked,
    extractor: Extractor,
    rate: u32,
    seed: u64,
    /// How clips are changed; only in training.
    augment: Option<AugmentConfig>,
    strings: Option<Strings>,
}

/// How clips are joined, and which clips may meet.
struct Strings {
    join: JoinConfig,
    groups: Vec<Vec<usize>>,
    n: u64,
}

/// One sample: frames, and the answer.
struct Made {
    frames: Vec<f32>,
    target: Vec<u32>,
}

impl ClipSamples {
    /// Clips that are changed by `augment`, if at all, and joined, if `join` says so.
    pub(super) fn new(
        mut clips: Vec<Clip>,
        asked: Asked,
        (extractor, rate): (Extractor, u32),
        seed: u64,
        augment: Option<AugmentConfig>,
        join: Option<JoinConfig>,
    ) -> Self {
        let changes = augment.as_ref().is_some_and(AugmentConfig::changes_samples);
        if !changes && join.is_none() {
            // Nothing needs the samples again.
            use rayon::prelude::*;
            clips.par_iter_mut().for_each(|clip| {
                if let Content::Samples(samples) = &clip.content {
                    clip.content = Content::Frames(extractor.extract(samples));
                }
            });
        }
        let strings = join.map(|join| {
            let mut groups = std::collections::BTreeMap::<&str, Vec<usize>>::new();
            for (i, clip) in clips.iter().enumerate() {
                groups.entry(&clip.group).or_default().push(i);
            }
            Strings {
                groups: groups.into_values().collect(),
                n: join.n_strings(augment.is_some()),
                join,
            }
        });
        Self {
            clips,
            asked,
            extractor,
            rate,
            seed,
            augment,
            strings,
        }
    }

    /// Numbers in a frame.
    pub(super) fn width(&self) -> usize {
        self.clips.first().map_or(0, |clip| clip.width)
    }

    fn make(&self, sample: Sample) -> Result<Made> {
        let Sample { epoch, index } = sample;
        let draws = Draws::new(self.seed, epoch, index);
        let mut made = match &self.strings {
            Some(strings) => self.string(&strings.recipe(self, sample), draws)?,
            None => self.clip(&self.clips[index as usize], draws),
        };
        if let Some(augment) = &self.augment {
            augment.frames(&mut made.frames, self.width(), draws);
        }
        Ok(made)
    }

    fn clip(&self, clip: &Clip, draws: Draws) -> Made {
        let frames = match &clip.content {
            Content::Frames(frames) => frames.clone(),
            Content::Samples(samples) => self.extract(samples, draws),
        };
        let n = frames.len() / clip.width.max(1);
        let target = match self.asked {
            Asked::Class | Asked::Text => clip.target.clone(),
            Asked::Frames => {
                let at = |frame| self.origin(self.extractor.middle(frame), draws);
                let class = |frame: usize| clip.class_at(at(frame));
                (0..n).map(class).collect()
            }
        };
        Made { frames, target }
    }

    /// Where sample `at` of a changed clip was before.
    fn origin(&self, at: usize, draws: Draws) -> i64 {
        match &self.augment {
            Some(augment) if augment.changes_samples() => augment.origin(at, self.rate, draws),
            _ => at as i64,
        }
    }

    fn extract(&self, samples: &[f32], draws: Draws) -> Vec<f32> {
        match &self.augment {
            Some(augment) if augment.changes_samples() => {
                let changed = augment.samples(samples, self.rate, draws);
                self.extractor.extract(&changed)
            }
            _ => self.extractor.extract(samples),
        }
    }

    /// The clips of `recipe`, joined; frames in a gap have no class.
    fn string(&self, recipe: &Recipe, draws: Draws) -> Result<Made> {
        let (mut samples, mut target, mut spans) = (Vec::new(), Vec::new(), Vec::new());
        for (&clip, &gap) in recipe.clips.iter().zip(&recipe.gaps) {
            let clip = &self.clips[clip];
            let Content::Samples(sound) = &clip.content else {
                return Err(Error::Joined);
            };
            samples.resize(samples.len() + gap, 0.0);
            let start = samples.len();
            samples.extend_from_slice(sound);
            match clip.spans.as_slice() {
                [] => spans.push((start..samples.len(), clip.target[0])),
                parts => spans.extend(parts.iter().zip(&clip.target).map(|(part, &class)| {
                    (start + part.start..start + part.end.min(sound.len()), class)
                })),
            }
            target.extend_from_slice(&clip.target);
        }
        let frames = self.extract(&samples, draws);
        if self.asked == Asked::Frames {
            let n = frames.len() / self.width().max(1);
            // Played faster or slower, a frame stands for another place.
            let pace = samples.len() as f64 / (n.saturating_sub(1).max(1)) as f64;
            let class = |frame: usize| {
                let at = (frame as f64 * pace) as usize;
                let span = spans.iter().find(|(span, _)| span.contains(&at));
                span.map_or(IGNORED, |&(_, class)| class)
            };
            target = (0..n).map(class).collect();
        }
        Ok(Made { frames, target })
    }
}

impl Strings {
    fn recipe(&self, samples: &ClipSamples, Sample { epoch, index }: Sample) -> Recipe {
        let name = (samples.seed, epoch, index);
        self.join.recipe(&self.groups, samples.rate, name)
    }
}

impl Samples for ClipSamples {
    fn len(&self) -> u64 {
        match &self.strings {
            Some(strings) => strings.n,
            None => self.clips.len() as u64,
        }
    }

    /// Frames before a change of speed, which would make a few more or fewer.
    fn n_rows(&self, sample: Sample) -> Option<usize> {
        let n_samples = |clip: &Clip| match &clip.content {
            Content::Samples(samples) => samples.len(),
            Content::Frames(_) => 0,
        };
        if let Some(strings) = &self.strings {
            let recipe = strings.recipe(self, sample);
            let sound: usize = recipe
                .clips
                .iter()
                .map(|&i| n_samples(&self.clips[i]))
                .sum();
            let silence: usize = recipe.gaps.iter().sum();
            return Some(self.extractor.n_frames(sound + silence));
        }
        let clip = &self.clips[sample.index as usize];
        Some(match &clip.content {
            Content::Samples(samples) => self.extractor.n_frames(samples.len()),
            Content::Frames(frames) => frames.len() / clip.width.max(1),
        })
    }

    fn pack(&self, samples: &[Sample], pattern: &Pattern) -> Result<Batch> {
        let width = self.width();
        let (mut frames, mut ends) = (Vec::new(), Vec::with_capacity(samples.len()));
        let (mut targets, mut target_ends) = (Vec::new(), Vec::with_capacity(samples.len()));
        for &sample in samples {
            let made = self.make(sample)?;
            frames.extend_from_slice(&made.frames);
            ends.push(frames.len() / width.max(1));
            targets.extend_from_slice(&made.target);
            target_ends.push(targets.len() as u32);
        }
        let positions = frames.len() / width.max(1);
        let rows = Rows::new(frames, width).map_err(|_| Error::BatchTooLarge { positions })?;
        let targets = match self.asked {
            Asked::Class | Asked::Frames => Targets::from(targets),
            Asked::Text => Targets::Sequences {
                labels: Arc::from(targets),
                ends: Arc::from(target_ends),
            },
        };
        Batch::pack(Input::Frames(rows), &ends, targets, pattern)
    }
}
