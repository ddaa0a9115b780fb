//! Opening sound: which clips are trained on, validated on, tested on.

use std::sync::{Arc, OnceLock};

use super::clips::{self, Clip};
use super::entry::{Entry, Part};
use super::features::{Normalize, Statistics};
use super::read::{ClipReader, Content};
use super::samples::ClipSamples;
use super::source;
use super::targets::{self, Asked};
use super::{AudioDataConfig, generated};
use crate::order::Permutation;
use crate::{Error, Open, Place, Result, Samples};

/// The epoch whose shuffle picks the clips that are held out.
const HELD_OUT: u64 = u64::MAX;

/// Recordings with what should be said about them.
///
/// Classes, or the characters of texts, are those of the training clips, sorted. Clips are
/// held in memory; those of the test part are read when they are first asked for.
pub struct AudioData {
    config: AudioDataConfig,
    asked: Asked,
    seed: u64,
    alphabet: Vec<String>,
    reader: ClipReader,
    /// By what features are normalised, where the training part decides it.
    statistics: Option<Arc<Statistics>>,
    fingerprint: blake3::Hash,
    train: Arc<ClipSamples>,
    val: Option<Arc<ClipSamples>>,
    /// Rows of `path` that are for the test.
    test_entries: Vec<Entry>,
    test: OnceLock<Option<Arc<ClipSamples>>>,
}

/// Clips by what they are for.
struct Parts<T> {
    train: Vec<T>,
    val: Vec<T>,
    test: Vec<T>,
}

impl AudioData {
    /// Reads the clips to train and to validate on.
    ///
    /// # Errors
    ///
    /// If they cannot be found, read or told apart; see [`decode`](super::decode()). A clip
    /// that cannot be read may be left out, where the configuration says so.
    pub fn open(config: &AudioDataConfig, asked: Asked, open: &Open<'_>) -> Result<Self> {
        let mut reader = ClipReader::new(config, asked == Asked::Class);
        let at = Place::file(config.path());
        let given = open.labels.clone();
        let (alphabet, train, val, test_entries) = match config.generated() {
            Some(made) => {
                if asked == Asked::Text {
                    return Err(Error::sound(
                        &at,
                        "generated sounds have no text",
                        "use kind = \"speech-classifier\" or \"speech-frames\"",
                    ));
                }
                let known = generated::CLASSES.map(str::to_owned).to_vec();
                let alphabet = given.unwrap_or(known);
                let (rate, width) = (config.sample_rate(), reader.extractor().width());
                let all = clips::generate(0..u64::from(made.clips), rate, width, &alphabet)?;
                let (train, val) = held_out(all, config.val_fraction(), open.seed, &at)?;
                (alphabet, train, val, Vec::new())
            }
            None => {
                let entries = source::entries(config.path(), config, asked)?;
                let mut parts = Parts::of(entries, config)?;
                if let Some(path) = config.val() {
                    parts.val = source::entries(path, config, asked)?;
                }
                let labels = parts.train.iter().flat_map(Entry::labels);
                let alphabet = given.unwrap_or_else(|| asked.alphabet(labels));
                let read =
                    |entries: &[Entry]| clips::read(entries, config, asked, &alphabet, &reader);
                let (train, val) = (read(&parts.train)?, read(&parts.val)?);
                let (train, val) = match parts.val.is_empty() {
                    true => held_out(train, config.val_fraction(), open.seed, &at)?,
                    false => (train, val),
                };
                (alphabet, train, val, parts.test)
            }
        };
        targets::check(&alphabet, asked, &at)?;
        if train.is_empty() {
            return Err(Error::TooFew {
                at,
                split: "training",
                found: 0,
                needed: 1,
            });
        }
        if let (
            Some(_),
            Some(Clip {
                content: Content::Frames(_),
                ..
            }),
        ) = (config.join(), train.first())
        {
            return Err(Error::Joined);
        }
        let mut statistics = None;
        if config.features().normalize() == Normalize::Training {
            let known = match &open.features {
                Some(known) => known.clone(),
                None => of_training(&train, &reader, &at)?,
            };
            let known = Arc::new(known);
            reader = reader.with_statistics(Arc::clone(&known))?;
            statistics = Some(known);
        }
        let fingerprint = fingerprint(&[&train, &val], &alphabet);
        let data = Self {
            config: config.clone(),
            asked,
            seed: open.seed,
            alphabet,
            train: Arc::new(samples(config, asked, open.seed, &reader, train, true)),
            val: (!val.is_empty())
                .then(|| Arc::new(samples(config, asked, open.seed, &reader, val, false))),
            reader,
            statistics,
            fingerprint,
            test_entries,
            test: OnceLock::new(),
        };
        Ok(data)
    }

    /// The classes, or the characters, in the order of their numbers.
    pub fn labels(&self) -> &[String] {
        &self.alphabet
    }

    /// The number of the character that stands between words: the space, where texts have
    /// one; without it nobody knows what a word is.
    pub fn word_separator(&self) -> Option<usize> {
        match self.asked {
            Asked::Text => self.alphabet.iter().position(|symbol| symbol == " "),
            Asked::Class | Asked::Frames => None,
        }
    }

    /// By what features are normalised, where the training part decides it.
    pub fn statistics(&self) -> Option<&Statistics> {
        self.statistics.as_deref()
    }

    /// Numbers in a frame.
    pub fn width(&self) -> usize {
        self.train.width()
    }

    /// Hash of the training and validation clips, as they are before they become frames.
    pub fn fingerprint(&self) -> blake3::Hash {
        self.fingerprint
    }

    /// Clips to train on.
    pub fn train(&self) -> Arc<dyn Samples> {
        Arc::clone(&self.train) as _
    }

    /// Clips to validate on, if any are held out.
    pub fn val(&self) -> Option<Arc<dyn Samples>> {
        self.val.as_ref().map(|val| Arc::clone(val) as _)
    }

    /// Clips to test on, if there are any.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn test(&self) -> Result<Option<Arc<dyn Samples>>> {
        if let Some(test) = self.test.get() {
            return Ok(test.as_ref().map(|test| Arc::clone(test) as _));
        }
        let config = &self.config;
        let clips = match (config.generated(), config.test()) {
            (Some(made), _) => {
                let start = u64::from(made.clips);
                let range = start..start + u64::from(made.test_clips);
                clips::generate(range, config.sample_rate(), self.width(), &self.alphabet)?
            }
            (None, Some(path)) => self.read(&source::entries(path, config, self.asked)?)?,
            (None, None) => self.read(&self.test_entries)?,
        };
        let test = (!clips.is_empty()).then(|| {
            let made = samples(config, self.asked, self.seed, &self.reader, clips, false);
            Arc::new(made)
        });
        let test = self.test.get_or_init(|| test);
        Ok(test.as_ref().map(|test| Arc::clone(test) as _))
    }

    fn read(&self, entries: &[Entry]) -> Result<Vec<Clip>> {
        let clips = clips::read(
            entries,
            &self.config,
            self.asked,
            &self.alphabet,
            &self.reader,
        )?;
        let other = clips.first().filter(|clip| clip.width != self.width());
        match other {
            Some(clip) => Err(Error::Array {
                at: Place::file(self.config.test().unwrap_or(self.config.path())),
                reason: format!(
                    "test frames of {} features, but those of training have {}",
                    clip.width,
                    self.width()
                ),
            }),
            None => Ok(clips),
        }
    }
}

impl Parts<Entry> {
    /// Rows by what the manifest or the configuration says; to train on, if nothing does.
    fn of(entries: Vec<Entry>, config: &AudioDataConfig) -> Result<Self> {
        let mut parts = Self {
            train: Vec::new(),
            val: Vec::new(),
            test: Vec::new(),
        };
        for entry in entries {
            match entry.part(config)?.unwrap_or(Part::Train) {
                Part::Train => parts.train.push(entry),
                Part::Val => parts.val.push(entry),
                Part::Test => parts.test.push(entry),
            }
        }
        Ok(parts)
    }
}

fn samples(
    config: &AudioDataConfig,
    asked: Asked,
    seed: u64,
    reader: &ClipReader,
    clips: Vec<Clip>,
    training: bool,
) -> ClipSamples {
    let frames = (reader.extractor().clone(), config.sample_rate());
    let augment = training.then(|| config.augment().clone());
    // What is measured is the same set of strings for every seed.
    let seed = if training { seed } else { 0 };
    ClipSamples::new(clips, asked, frames, seed, augment, config.join().cloned())
}

/// Holds out `fraction` of the clips, at least one unless it is 0.
fn held_out(
    clips: Vec<Clip>,
    fraction: f64,
    seed: u64,
    at: &Place,
) -> Result<(Vec<Clip>, Vec<Clip>)> {
    if fraction == 0.0 || clips.is_empty() {
        return Ok((clips, Vec::new()));
    }
    let n = clips.len();
    let held = ((n as f64 * fraction).round() as usize).max(1);
    if held >= n {
        return Err(Error::TooFew {
            at: at.clone(),
            split: "training",
            found: n,
            needed: held + 1,
        });
    }
    let order = Permutation::new(seed, HELD_OUT, n as u64);
    let mut is_held = vec![false; n];
    for position in 0..held as u64 {
        is_held[order.at(position) as usize] = true;
    }
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for (clip, held) in clips.into_iter().zip(is_held) {
        match held {
            true => val.push(clip),
            false => train.push(clip),
        }
    }
    Ok((train, val))
}

/// The statistics of the training clips.
fn of_training(train: &[Clip], reader: &ClipReader, at: &Place) -> Result<Statistics> {
    let extractor = reader.extractor();
    let is_array = |clip: &Clip| matches!(clip.content, Content::Frames(_));
    if train.iter().any(is_array) {
        return Err(Error::Normalized { at: at.clone() });
    }
    let frames = |i: usize| match &train[i].content {
        Content::Samples(samples) => extractor.extract(samples),
        Content::Frames(frames) => frames.clone(),
    };
    Ok(Statistics::of(train.len(), extractor.width(), frames))
}

fn fingerprint(parts: &[&Vec<Clip>], alphabet: &[String]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        for clip in *part {
            let (kind, numbers) = match &clip.content {
                Content::Samples(samples) => (0u64, samples),
                Content::Frames(frames) => (1, frames),
            };
            hasher.update(&kind.to_le_bytes());
            hasher.update(&(numbers.len() as u64).to_le_bytes());
            let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            hasher.update(&bytes);
            for span in &clip.spans {
                hasher.update(&(span.start as u64).to_le_bytes());
                hasher.update(&(span.end as u64).to_le_bytes());
            }
            for target in &clip.target {
                hasher.update(&target.to_le_bytes());
            }
        }
    }
    hasher.update(alphabet.join("\n").as_bytes());
    hasher.finalize()
}

impl std::fmt::Debug for AudioData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioData")
            .field("config", &self.config)
            .field("asked", &self.asked)
            .field("train", &self.train.len())
            .field("val", &self.val.as_ref().map(|val| val.len()))
            .finish_non_exhaustive()
    }
}
