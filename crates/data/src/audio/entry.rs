//! One clip as its source names it, before it is read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::AudioDataConfig;
use crate::{Error, Place, Result};

/// One clip before it is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Where it is named: a row of a manifest, or the file itself.
    pub(super) at: Place,
    /// The file.
    pub(super) path: PathBuf,
    /// Which array of an archive.
    pub(super) array: Option<String>,
    /// Where it starts, in seconds.
    pub(super) offset: f64,
    /// How long it is, in seconds; to the end if absent.
    pub(super) duration: Option<f64>,
    /// The class, or the text.
    pub(super) label: String,
    /// The classes of its stretches, by time; empty where `label` is that of all.
    pub(super) segments: Vec<Segment>,
    /// The other columns of its row that are asked for, by name.
    pub(super) columns: BTreeMap<String, String>,
}

/// A stretch of a clip, and what it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Segment {
    /// Where it begins, in seconds.
    pub(super) start: f64,
    /// Where it ends, in seconds.
    pub(super) end: f64,
    /// Its class.
    pub(super) label: String,
}

/// Which part of the data a clip belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Train,
    Val,
    Test,
}

/// The column of a manifest that says which part a row belongs to.
pub(super) const SPLIT: &str = "split";

impl Entry {
    /// What is said about it: a label for each segment, or one.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        let of_all = self.segments.is_empty().then_some(self.label.as_str());
        let each = self.segments.iter().map(|segment| segment.label.as_str());
        each.chain(of_all)
    }

    /// What the configuration, or else the manifest, says about which part it belongs to;
    /// `None` if neither does.
    ///
    /// # Errors
    ///
    /// The value of `split`, if it is not one of three.
    pub(super) fn part(&self, config: &AudioDataConfig) -> Result<Option<Part>> {
        if let Some(hold_out) = config.hold_out() {
            let value = self.columns.get(&hold_out.column);
            let is_in = |values: &[String]| value.is_some_and(|value| values.contains(value));
            return Ok(Some(match (is_in(&hold_out.test), is_in(&hold_out.val)) {
                (true, _) => Part::Test,
                (_, true) => Part::Val,
                _ => Part::Train,
            }));
        }
        self.columns
            .get(SPLIT)
            .map(|split| match split.as_str() {
                "train" => Ok(Part::Train),
                "val" | "valid" | "validation" => Ok(Part::Val),
                "test" => Ok(Part::Test),
                other => Err(wrong(
                    &self.at,
                    format!("split = `{other}` is none of `train`, `val` and `test`"),
                )),
            })
            .transpose()
    }
}

/// An error about a row of a manifest.
pub(super) fn wrong(at: &Place, reason: String) -> Error {
    Error::Table {
        at: at.clone(),
        reason,
        remedy: "mend the manifest",
    }
}
