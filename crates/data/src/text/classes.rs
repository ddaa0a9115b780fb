//! Texts with labels, for a classifier.

use std::collections::BTreeSet;
use std::sync::Arc;

use attn_core::Pattern;

use super::open::{choose_tokenizer, source};
use super::source::{Piece, Reader, Source};
use super::tokenizer::Unknown;
use super::{TextDataConfig, Tokenizer};
use crate::order::Permutation;
use crate::{Batch, Error, Open, Place, Result, Sample, Samples};

/// The epoch whose shuffle picks the examples that are held out.
const HELD_OUT: u64 = u64::MAX;

/// Texts to tell apart, with the names of their classes.
///
/// The classes are the labels of the training data, sorted. Examples stay as
/// unbalanced as they are. Without data of its own, validation takes examples
/// that the seed picks. A text longer than `seq_len` tokens is cut there.
///
/// All examples are kept in memory, as tokens.
#[derive(Debug)]
pub struct ClassData {
    config: TextDataConfig,
    tokenizer: Tokenizer,
    labels: Vec<String>,
    fingerprint: blake3::Hash,
    train: Arc<Examples>,
    val: Option<Arc<Examples>>,
}

impl ClassData {
    /// Reads and encodes the examples.
    ///
    /// # Errors
    ///
    /// If they cannot be read or encoded, have no or only one label, or if an
    /// example of another split has a label that the training data lacks.
    pub fn open(config: &TextDataConfig, open: &Open<'_>) -> Result<Self> {
        let text = source(config.path(), config, open)?.labelled();
        let mut fingerprint = blake3::Hasher::new();
        fingerprint.update(text.fingerprint()?.as_bytes());
        let tokenizer = choose_tokenizer(config, open, &text, Unknown::Token)?;
        let labels = match &open.labels {
            Some(labels) => labels.clone(),
            None => classes(&text)?,
        };
        let all = Examples::read(&text, &tokenizer, &labels, config.seq_len())?;
        let (train, val) = match config.val() {
            Some(path) => {
                let text = source(path, config, open)?.labelled();
                fingerprint.update(text.fingerprint()?.as_bytes());
                let val = Examples::read(&text, &tokenizer, &labels, config.seq_len())?;
                (all, Some(val))
            }
            None => all.split(config.val_fraction(), open.seed, &text)?,
        };
        Ok(Self {
            config: config.clone(),
            tokenizer,
            labels,
            fingerprint: fingerprint.finalize(),
            train: Arc::new(train),
            val: val.map(Arc::new),
        })
    }

    /// How the texts were encoded.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The names of the classes; a target is an index into them.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Hash of the training and validation data as they are in their files.
    pub fn fingerprint(&self) -> blake3::Hash {
        self.fingerprint
    }

    /// Examples to train on.
    pub fn train(&self) -> Arc<dyn Samples> {
        Arc::clone(&self.train) as _
    }

    /// Examples to validate on, if any are held out.
    pub fn val(&self) -> Option<Arc<dyn Samples>> {
        self.val.as_ref().map(|val| Arc::clone(val) as _)
    }

    /// Examples to test on, if the configuration names test data.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn test(&self) -> Result<Option<Arc<dyn Samples>>> {
        let Some(path) = self.config.test() else {
            return Ok(None);
        };
        let text = Source::open(path, &self.config)?.labelled();
        let examples = Examples::read(&text, &self.tokenizer, &self.labels, self.config.seq_len())?;
        Ok(Some(Arc::new(examples)))
    }
}

/// The labels of `text`, sorted.
fn classes(text: &Source) -> Result<Vec<String>> {
    let mut labels = BTreeSet::new();
    let mut pieces = text.read();
    while let Some(piece) = pieces.next()? {
        labels.insert(label(&piece)?.to_string());
    }
    let labels: Vec<String> = labels.into_iter().collect();
    match labels.as_slice() {
        [] => Err(Error::Empty {
            at: text.at().clone(),
        }),
        [label] => Err(Error::OneClass {
            at: text.at().clone(),
            label: label.clone(),
        }),
        _ => Ok(labels),
    }
}

fn label(piece: &Piece) -> Result<&str> {
    piece.label.as_deref().ok_or_else(|| Error::NoLabels {
        at: Place::file(&piece.at.path),
    })
}

/// Encoded texts, one after the other, with their classes.
struct Examples {
    tokens: Vec<u32>,
    /// Where each example ends in `tokens`.
    ends: Vec<usize>,
    targets: Vec<u32>,
}

impl Examples {
    fn read(
        text: &Source,
        tokenizer: &Tokenizer,
        labels: &[String],
        seq_len: usize,
    ) -> Result<Self> {
        let mut examples = Self {
            tokens: Vec::new(),
            ends: Vec::new(),
            targets: Vec::new(),
        };
        let mut pieces = text.read();
        while let Some(piece) = pieces.next()? {
            let label = label(&piece)?;
            let target =
                labels
                    .iter()
                    .position(|l| l == label)
                    .ok_or_else(|| Error::UnknownLabel {
                        at: piece.at.clone(),
                        label: label.to_string(),
                        labels: labels.to_vec(),
                    })?;
            let ids = tokenizer
                .encode_sequence(&piece.text, seq_len)
                .map_err(|e| e.located(&piece.at))?;
            if ids.is_empty() {
                return Err(Error::EmptyExample { at: piece.at });
            }
            examples.push(&ids, target as u32);
        }
        if examples.targets.is_empty() {
            return Err(Error::Empty {
                at: text.at().clone(),
            });
        }
        Ok(examples)
    }

    fn push(&mut self, ids: &[u32], target: u32) {
        self.tokens.extend_from_slice(ids);
        self.ends.push(self.tokens.len());
        self.targets.push(target);
    }

    fn get(&self, index: usize) -> (&[u32], u32) {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        (&self.tokens[start..self.ends[index]], self.targets[index])
    }

    /// Holds out `fraction` of the examples, at least one unless it is 0.
    fn split(self, fraction: f64, seed: u64, text: &Source) -> Result<(Self, Option<Self>)> {
        if fraction == 0.0 {
            return Ok((self, None));
        }
        let n = self.targets.len();
        let held = ((n as f64 * fraction).round() as usize).max(1);
        if held >= n {
            let at = text.at().clone();
            return Err(Error::TooFew {
                at,
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
        let mut parts = [false, true].map(|_| Self {
            tokens: Vec::new(),
            ends: Vec::new(),
            targets: Vec::new(),
        });
        for (index, &held) in is_held.iter().enumerate() {
            let (ids, target) = self.get(index);
            parts[usize::from(held)].push(ids, target);
        }
        let [train, val] = parts;
        Ok((train, Some(val)))
    }
}

impl Samples for Examples {
    fn len(&self) -> u64 {
        self.targets.len() as u64
    }

    fn pack(&self, samples: &[Sample], pattern: &Pattern) -> Result<Batch> {
        let (mut tokens, mut ends, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for sample in samples {
            let (ids, target) = self.get(sample.index as usize);
            tokens.extend_from_slice(ids);
            ends.push(tokens.len());
            targets.push(target);
        }
        Batch::of_tokens(tokens, &ends, targets, pattern)
    }
}

impl std::fmt::Debug for Examples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examples")
            .field("examples", &self.targets.len())
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}
