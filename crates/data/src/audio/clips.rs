//! The clips of one split, in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use rayon::prelude::*;

use super::entry::Entry;
use super::read::{ClipReader, Content};
use super::targets::Asked;
use super::{AudioDataConfig, generated};
use crate::{Error, IGNORED, Place, Result, Skips};

/// One clip that was read.
#[derive(Debug)]
pub(super) struct Clip {
    pub(super) content: Content,
    /// Numbers in one of its frames.
    pub(super) width: usize,
    /// Its class, or the characters of its text.
    pub(super) target: Vec<u32>,
    /// Samples that each class of `target` is of, by time; none where one is of all. What
    /// reaches the end of the clip reaches beyond it.
    pub(super) spans: Vec<Range<usize>>,
    /// What it has in the column by which clips are joined.
    pub(super) group: String,
}

/// Reads the clips of `entries`, file after file on all cores, in their order.
///
/// # Errors
///
/// The first clip that cannot be read or whose answer is unknown, unless it may be left
/// out; frames of different widths; and if nothing is left.
pub(super) fn read(
    entries: &[Entry],
    config: &AudioDataConfig,
    asked: Asked,
    alphabet: &[String],
    reader: &ClipReader,
) -> Result<Vec<Clip>> {
    let mut files: BTreeMap<&PathBuf, Vec<usize>> = BTreeMap::new();
    for (i, entry) in entries.iter().enumerate() {
        files.entry(&entry.path).or_default().push(i);
    }
    let files: Vec<_> = files.into_iter().collect();
    let contents: Vec<Vec<_>> = files
        .par_iter()
        .map(|(path, indices)| {
            let of_file: Vec<&Entry> = indices.iter().map(|&i| &entries[i]).collect();
            reader.read(path, &of_file)
        })
        .collect();
    let mut in_order: Vec<_> = entries.iter().map(|_| None).collect();
    for ((_, indices), contents) in files.iter().zip(contents) {
        for (&i, content) in indices.iter().zip(contents) {
            in_order[i] = Some(content);
        }
    }

    let mut skips = Skips::new(config.on_error(), config.max_skipped());
    let mut clips: Vec<Clip> = Vec::with_capacity(entries.len());
    for (entry, content) in entries.iter().zip(in_order.into_iter().flatten()) {
        let clip = content.and_then(|(content, width)| {
            same_width(entry, width, clips.first().map(|clip| clip.width))?;
            let mut target = asked.encode(entry, alphabet)?;
            let spans = spans(entry, &content, reader)?;
            if !spans.is_empty() {
                target.truncate(spans.len());
            }
            let column = config.join().and_then(|join| join.column());
            Ok(Clip {
                content,
                width,
                target,
                spans,
                group: column
                    .and_then(|column| entry.columns.get(column).cloned())
                    .unwrap_or_default(),
            })
        });
        clips.extend(skips.keep(clip)?);
    }
    if skips.count() > 0 {
        tracing::warn!("{} of {} clips were left out", skips.count(), entries.len());
    }
    Ok(clips)
}

/// Clips `range` that the program makes.
pub(super) fn generate(
    range: std::ops::Range<u64>,
    rate: u32,
    width: usize,
    alphabet: &[String],
) -> Result<Vec<Clip>> {
    // What is generated does not depend on the seed of the run: it is one set of data.
    const SEED: u64 = 1;
    range
        .map(|index| {
            let (class, samples) = generated::clip(SEED, index, rate);
            let name = generated::CLASSES[class];
            let target = alphabet.iter().position(|label| label == name);
            let target = target.ok_or_else(|| Error::UnknownLabel {
                at: Place::file(AudioDataConfig::GENERATED),
                label: name.to_owned(),
                labels: alphabet.to_vec(),
            })?;
            Ok(Clip {
                content: Content::Samples(samples),
                width,
                target: vec![target as u32],
                spans: Vec::new(),
                group: String::new(),
            })
        })
        .collect()
}

impl Clip {
    /// The class at sample `at`, which may lie before the first or behind the last.
    pub(super) fn class_at(&self, at: i64) -> u32 {
        let at = usize::try_from(at).unwrap_or(0);
        match self.spans.iter().position(|span| span.contains(&at)) {
            Some(i) => self.target[i],
            None if self.spans.is_empty() => self.target[0],
            None => IGNORED,
        }
    }
}

/// The samples of each segment of `entry`, as far as the clip reaches.
fn spans(entry: &Entry, content: &Content, reader: &ClipReader) -> Result<Vec<Range<usize>>> {
    let wrong = |reason: String, remedy| Error::Table {
        at: entry.at.clone(),
        reason,
        remedy,
    };
    let n = match content {
        _ if entry.segments.is_empty() => return Ok(Vec::new()),
        Content::Samples(samples) => samples.len(),
        Content::Frames(_) => {
            return Err(wrong(
                "segments are of sound, not of arrays".into(),
                "give the clip one label",
            ));
        }
    };
    let rate = f64::from(reader.rate());
    let last = entry.segments.last().map_or(0.0, |segment| segment.end);
    // Times are written rounded; of a clip that was cut nobody knows how long it was.
    if n < reader.max_samples() && last > n as f64 / rate + 0.01 {
        return Err(wrong(
            format!(
                "a segment ends at {last} s, but the clip lasts {:.3} s",
                n as f64 / rate
            ),
            "mend its times",
        ));
    }
    let index = |seconds: f64| (seconds * rate).round() as usize;
    let spans: Vec<_> = (entry.segments.iter())
        .map(|segment| {
            let end = index(segment.end);
            index(segment.start)..if end >= n { usize::MAX } else { end }
        })
        .filter(|span| span.start < n)
        .collect();
    match spans.is_empty() {
        true => Err(wrong(
            "every segment lies behind max_seconds".into(),
            "make max_seconds larger, or leave the clip out",
        )),
        false => Ok(spans),
    }
}

fn same_width(entry: &Entry, width: usize, first: Option<usize>) -> Result<()> {
    match first {
        Some(first) if first != width => Err(Error::Array {
            at: Place::file(&entry.path),
            reason: format!("frames of {width} features, but the first clip has {first}"),
        }),
        _ => Ok(()),
    }
}
