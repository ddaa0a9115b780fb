//! Weights of Hugging Face's names and layouts, by ours.

use std::collections::BTreeMap;

use interop::{Entry, KeyMap};

use crate::error::{Error, Result};
use crate::model_file::Weights;

/// Weights of Hugging Face's names and layouts.
#[derive(Debug)]
pub(super) struct Foreign {
    weights: Weights,
    /// By our names.
    entries: BTreeMap<String, Entry>,
    /// Names of what the model does not read.
    dropped: Vec<String>,
}

/// A tensor in memory: its name, shape and values.
pub(super) type Held = (String, Vec<usize>, Vec<f32>);

/// What the name of a pooler has, behind any prefix.
const POOLER: &str = "pooler.dense.";

impl Foreign {
    /// `weights`, whose tensors `map` finds.
    pub(super) fn new(weights: Weights, map: KeyMap) -> Self {
        let of_ours = |entry: Entry| (entry.ours.clone(), entry);
        Self {
            weights,
            entries: map.entries.into_iter().map(of_ours).collect(),
            dropped: map.dropped,
        }
    }

    /// The pooler that stands beside an encoder which does not read it: name without prefix,
    /// shape and values. transformers counts it among the weights of the class.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(super) fn pooler(&self) -> Result<Vec<Held>> {
        let parts = self.dropped.iter().filter_map(|name| {
            let part = name.split(POOLER).nth(1)?;
            let shape = &self.weights.info(name)?.shape;
            Some((name, format!("{POOLER}{part}"), shape.clone()))
        });
        parts
            .map(|(name, short, shape)| Ok((short, shape, self.weights.read(name)?)))
            .collect()
    }

    /// Names and shapes of the parameters.
    pub(super) fn parameters(&self) -> BTreeMap<String, Vec<usize>> {
        let shape = |(name, entry): (&String, &Entry)| (name.clone(), entry.shape.clone());
        self.entries.iter().map(shape).collect()
    }

    /// The values of the parameter `name`, as they lie in ours.
    ///
    /// # Errors
    ///
    /// There is no such parameter, or its file cannot be read.
    pub(super) fn read(&self, name: &str) -> Result<Vec<f32>> {
        let bad = |what: String| Error::Data(format!("{}: {what}", self.weights.path().display()));
        let Some(entry) = self.entries.get(name) else {
            return Err(bad(format!("has no `{name}`")));
        };
        let theirs = self.weights.read(&entry.theirs)?;
        entry
            .to_ours(theirs)
            .map_err(|error| bad(error.to_string()))
    }

    /// Hash of the weights.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub(super) fn fingerprint(&self) -> Result<blake3::Hash> {
        Ok(self.weights.fingerprint()?)
    }
}
