//! For every parameter of ours, where its values are.

use std::collections::HashMap;

use crate::{Error, Layout};

/// Where the values of a model's parameters are in a checkpoint, and where they go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyMap {
    /// One a parameter of ours, in the order in which the model asks for them.
    pub entries: Vec<Entry>,
    /// Tensors of theirs that the model has no use for: buffers, and heads of other tasks.
    pub dropped: Vec<String>,
    /// Parameters of ours that the checkpoint has no values for, because it was saved
    /// without that head; they keep their first values.
    pub fresh: Vec<String>,
}

/// One parameter of ours, and the tensor of theirs that has its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Our name, such as `blocks.0.attn.wq.weight`.
    pub ours: String,
    /// Our shape.
    pub shape: Vec<usize>,
    /// Their name, with the prefix that the file has.
    pub theirs: String,
    /// Their name in a model that transformers has loaded, which PEFT goes by: of ViT and
    /// AST it is another since version 5.
    pub in_memory: String,
    /// Their shape, which that of the tensor in the file must equal.
    pub their_shape: Vec<usize>,
    /// How our numbers lie in theirs.
    pub layout: Layout,
}

/// One tensor of theirs, and the parameters of ours that it is made of.
#[derive(Debug, Clone)]
pub struct Assembly<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its shape.
    pub shape: &'a [usize],
    /// Its parts: three for the queries, keys and values of GPT-2, else one.
    pub parts: Vec<&'a Entry>,
}

impl Entry {
    /// Takes our values out of the tensor of theirs.
    ///
    /// # Shapes
    ///
    /// - `theirs`: all numbers of `their_shape`, row by row
    /// - returns: all numbers of `shape`
    ///
    /// # Errors
    ///
    /// If they are not as many as `their_shape` says.
    pub fn to_ours(&self, theirs: Vec<f32>) -> Result<Vec<f32>, Error> {
        let found = theirs.len();
        let wrong = || Error::Length {
            name: self.theirs.clone(),
            found,
            shape: self.their_shape.clone(),
        };
        self.layout.to_ours(&self.shape, theirs).ok_or_else(wrong)
    }

    /// Puts our values into the tensor of theirs, beside those of other entries.
    ///
    /// # Shapes
    ///
    /// - `ours`: all numbers of `shape`
    /// - `theirs`: all numbers of `their_shape`
    ///
    /// # Errors
    ///
    /// If either are not as many as the shape says.
    pub fn to_theirs(&self, ours: &[f32], theirs: &mut [f32]) -> Result<(), Error> {
        match self.layout.to_theirs(&self.shape, ours, theirs) {
            true => Ok(()),
            false => Err(Error::Length {
                name: self.ours.clone(),
                found: ours.len(),
                shape: self.shape.clone(),
            }),
        }
    }
}

impl Assembly<'_> {
    /// All numbers of the tensor, made of those that `ours` gives for each name of ours.
    ///
    /// # Errors
    ///
    /// If `ours` has no values for a part, or another number than its shape says.
    pub fn values(
        &self,
        mut ours: impl FnMut(&str) -> Option<Vec<f32>>,
    ) -> Result<Vec<f32>, Error> {
        let mut theirs = vec![0.0; self.shape.iter().product()];
        for part in &self.parts {
            let values = ours(&part.ours).ok_or_else(|| Error::NoValues {
                ours: part.ours.clone(),
                theirs: part.theirs.clone(),
            })?;
            part.to_theirs(&values, &mut theirs)?;
        }
        Ok(theirs)
    }
}

impl KeyMap {
    /// The tensors of theirs that the entries make, in the order of their first parts.
    pub fn assemblies(&self) -> Vec<Assembly<'_>> {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut assemblies: Vec<Assembly<'_>> = Vec::new();
        for entry in &self.entries {
            let place = *places.entry(&entry.theirs).or_insert(assemblies.len());
            match assemblies.get_mut(place) {
                Some(assembly) => assembly.parts.push(entry),
                None => assemblies.push(Assembly {
                    name: &entry.theirs,
                    shape: &entry.their_shape,
                    parts: vec![entry],
                }),
            }
        }
        assemblies
    }
}
