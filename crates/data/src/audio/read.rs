//! One file to the samples or frames of its clips.

use std::path::Path;
use std::sync::Arc;

use super::AudioDataConfig;
use super::decode::decode;
use super::entry::Entry;
use super::features::{Extractor, Statistics};
use super::resample::resample;
use crate::npy::{Array, Npz};
use crate::{Error, Place, Result};

/// What a clip holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Samples, at the sample rate of the configuration.
    Samples(Vec<f32>),
    /// Frames that were computed elsewhere, one after the other.
    Frames(Vec<f32>),
}

/// Reads clips as a configuration wants them.
#[derive(Debug, Clone)]
pub struct ClipReader {
    extractor: Extractor,
    rate: u32,
    max_samples: usize,
    /// Whether a clip that is too long is cut, or refused.
    cut: bool,
}

impl ClipReader {
    /// For `config`; `cut` says whether a clip that is too long is cut, or refused.
    pub fn new(config: &AudioDataConfig, cut: bool) -> Self {
        Self {
            extractor: config.extractor(),
            rate: config.sample_rate(),
            max_samples: config.max_samples(),
            cut,
        }
    }

    /// The same, with frames that are normalised by `statistics` of the training part.
    ///
    /// # Errors
    ///
    /// If they are of another number of features.
    pub fn with_statistics(self, statistics: Arc<Statistics>) -> Result<Self> {
        let (found, width) = (statistics.width(), self.extractor.width());
        match found == width {
            true => Ok(Self {
                extractor: self.extractor.with_statistics(statistics),
                ..self
            }),
            false => Err(Error::Statistics { found, width }),
        }
    }

    /// What makes frames of samples.
    pub fn extractor(&self) -> &Extractor {
        &self.extractor
    }

    /// Samples a second, in Hz.
    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Samples behind which a clip is cut or refused.
    pub(super) fn max_samples(&self) -> usize {
        self.max_samples
    }

    /// The frames of the whole file at `path`, `[n, width]`, and their width.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is too short or, unless it is cut, too long.
    pub fn frames(&self, path: &Path) -> Result<(Vec<f32>, usize)> {
        let entry = Entry::whole(path);
        let (content, width) = self.read(path, &[&entry]).pop().unwrap_or_else(|| {
            Err(Error::NoFiles {
                at: entry.at.clone(),
            })
        })?;
        let frames = match content {
            Content::Samples(samples) => self.extractor.extract(&samples),
            Content::Frames(frames) => frames,
        };
        Ok((frames, width))
    }

    /// The clips that `entries` name in the file at `path`, in their order, with the width
    /// of their frames.
    pub(super) fn read(&self, path: &Path, entries: &[&Entry]) -> Vec<Result<(Content, usize)>> {
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        match extension.to_str() {
            Some("npy" | "npz") => entries
                .iter()
                .map(|entry| read_frames(path, entry))
                .collect(),
            _ => match decode(path) {
                Ok(sound) => entries
                    .iter()
                    .map(|entry| self.clip(&sound, entry))
                    .collect(),
                Err(error) => {
                    let others = entries[1..].iter().map(|entry| {
                        let reason = format!("{} cannot be decoded", path.display());
                        Err(Error::sound(&entry.at, reason, "take it out of the data"))
                    });
                    std::iter::once(Err(error)).chain(others).collect()
                }
            },
        }
    }

    fn clip(&self, sound: &super::Sound, entry: &Entry) -> Result<(Content, usize)> {
        let at = Place::file(&entry.path);
        let rate = f64::from(sound.rate);
        let seconds = sound.samples.len() as f64 / rate;
        let end = entry.duration.map(|duration| entry.offset + duration);
        // Times are written rounded, so the end may lie a little past the end.
        if entry.offset >= seconds || end.is_some_and(|end| end > seconds + 0.01) {
            let end = end.map_or("its end".to_owned(), |end| format!("{end} s"));
            return Err(Error::Table {
                at: entry.at.clone(),
                reason: format!(
                    "from {} s to {end} is not in {}, which lasts {seconds:.3} s",
                    entry.offset, at
                ),
                remedy: "mend offset and duration",
            });
        }
        let index = |seconds: f64| ((seconds * rate).round() as usize).min(sound.samples.len());
        let range = index(entry.offset)..end.map_or(sound.samples.len(), index);
        let mut samples = sound.samples[range].to_vec();
        let most = self.max_samples as u64 * u64::from(sound.rate) / u64::from(self.rate);
        if samples.len() as u64 > most {
            if !self.cut {
                return Err(Error::sound(
                    &at,
                    format!(
                        "{:.3} s are more than max_seconds",
                        samples.len() as f64 / rate
                    ),
                    "make max_seconds larger, or cut the clip and its text",
                ));
            }
            samples.truncate(most as usize);
        }
        let cut = super::Sound {
            samples,
            rate: sound.rate,
        };
        let mut samples = resample(cut, self.rate)
            .map_err(|reason| Error::sound(&at, reason, "use another sample_rate"))?;
        samples.truncate(self.max_samples);
        let least = self.extractor.min_samples();
        if samples.len() < least {
            return Err(Error::sound(
                &at,
                format!(
                    "a clip of {} samples is shorter than one frame of {least}",
                    samples.len()
                ),
                "take it out of the data, or use shorter frames",
            ));
        }
        Ok((Content::Samples(samples), self.extractor.width()))
    }
}

/// Frames that were computed elsewhere: an array `[n, width]`.
fn read_frames(path: &Path, entry: &Entry) -> Result<(Content, usize)> {
    let at = &entry.at;
    let wrong = |reason: String| Error::Array {
        at: Place::file(path),
        reason,
    };
    if entry.offset > 0.0 || entry.duration.is_some() {
        return Err(Error::Table {
            at: at.clone(),
            reason: "offset and duration are of sound, not of arrays".into(),
            remedy: "leave them empty",
        });
    }
    let is_archive = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("npz"));
    let array = if is_archive {
        let mut archive = Npz::open(path)?;
        let name = match (&entry.array, archive.names()) {
            (Some(name), _) => name.clone(),
            (None, [only]) => only.clone(),
            (None, names) => {
                return Err(wrong(format!(
                    "the archive has {} arrays; name one as `FILE.npz#NAME`",
                    names.len()
                )));
            }
        };
        archive.read(&name)?
    } else {
        Array::read(path)?
    };
    let &[n, width] = array.shape.as_slice() else {
        return Err(wrong(format!(
            "{} dimensions, not frames by features",
            array.shape.len()
        )));
    };
    if n == 0 || width == 0 {
        return Err(wrong(format!("no frames in an array of {n} by {width}")));
    }
    let frames = array.to_f32();
    if let Some(i) = frames.iter().position(|x| !x.is_finite()) {
        return Err(wrong(format!(
            "frame {}, feature {}, is {}",
            i / width,
            i % width,
            frames[i]
        )));
    }
    Ok((Content::Frames(frames), width))
}

impl Entry {
    /// The whole file at `path`, without a label.
    fn whole(path: &Path) -> Self {
        Self {
            at: Place::file(path),
            path: path.to_path_buf(),
            array: None,
            offset: 0.0,
            duration: None,
            label: String::new(),
            segments: Vec::new(),
            columns: Default::default(),
        }
    }
}
