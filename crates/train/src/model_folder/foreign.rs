//! Weights of Hugging Face's names and layouts, by ours.

use std::collections::BTreeMap;

use interop::Entry;

use crate::error::{Error, Result};
use crate::model_file::Weights;

/// Weights of Hugging Face's names and layouts.
#[derive(Debug)]
pub(super) struct Foreign {
    weights: Weights,
    /// By our names.
    entries: BTreeMap<String, Entry>,
}

impl Foreign {
    /// `weights`, whose tensors `entries` find.
    pub(super) fn new(weights: Weights, entries: Vec<Entry>) -> Self {
        let of_ours = |entry: Entry| (entry.ours.clone(), entry);
        Self {
            weights,
            entries: entries.into_iter().map(of_ours).collect(),
        }
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
