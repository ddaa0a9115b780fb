//! What is asked about a clip, and how the answer is written as numbers.

use std::collections::BTreeSet;

use super::entry::Entry;
use crate::{Error, Place, Result};

/// What a model should say about a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The class of the clip.
    Class,
    /// The class of every frame.
    Frames,
    /// The text that is spoken, character by character.
    Text,
}

impl Asked {
    /// The column of a manifest with the answer, unless another is named.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Class | Self::Frames => "label",
            Self::Text => "text",
        }
    }

    /// What answers are made of, sorted: classes, or characters.
    pub(super) fn alphabet<'a>(self, answers: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut symbols = BTreeSet::new();
        for answer in answers {
            match self {
                Self::Class | Self::Frames => drop(symbols.insert(answer.to_owned())),
                Self::Text => symbols.extend(answer.chars().map(String::from)),
            }
        }
        symbols.into_iter().collect()
    }

    /// The answer of `entry`, as places in `alphabet`: one, one a segment, or one a character.
    ///
    /// # Errors
    ///
    /// A class or a character that is not in the alphabet, and a text without characters.
    pub(super) fn encode(self, entry: &Entry, alphabet: &[String]) -> Result<Vec<u32>> {
        let place = |symbol: &str| {
            // The alphabet of another model need not be sorted.
            let found = alphabet.iter().position(|known| known == symbol);
            found.map(|i| i as u32).ok_or_else(|| Error::UnknownLabel {
                at: entry.at.clone(),
                label: symbol.to_owned(),
                labels: alphabet.to_vec(),
            })
        };
        match self {
            Self::Class => Ok(vec![place(&entry.label)?]),
            Self::Frames => entry.labels().map(place).collect(),
            Self::Text if entry.label.is_empty() => Err(Error::EmptyExample {
                at: entry.at.clone(),
            }),
            Self::Text => entry
                .label
                .chars()
                .map(|c| place(c.encode_utf8(&mut [0; 4])))
                .collect(),
        }
    }
}

/// Refuses an alphabet of which nothing can be chosen.
///
/// # Errors
///
/// Fewer than two classes.
pub(super) fn check(alphabet: &[String], asked: Asked, at: &Place) -> Result<()> {
    match (asked, alphabet) {
        (Asked::Class | Asked::Frames, [label]) => Err(Error::OneClass {
            at: at.clone(),
            label: label.clone(),
        }),
        _ => Ok(()),
    }
}
