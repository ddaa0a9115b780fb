//! A model on disk whose weights are not read yet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use models::Parameter;

use super::Description;
use super::adapter::Adapters;
use super::foreign::Foreign;
use crate::error::{Error, Result};
use crate::model_file::Weights;

/// A model on disk: its description, and where the values of each parameter are.
#[derive(Debug)]
pub struct Stored {
    /// Everything but the weights.
    pub description: Description,
    pub(super) path: PathBuf,
    pub(super) values: Values,
}

/// Where values are.
#[derive(Debug)]
pub(super) enum Values {
    /// Under the names of the parameters.
    Own(Weights),
    /// In Hugging Face's form.
    Foreign(Foreign),
    /// In another model, but for what was trained.
    Adapted {
        base: Box<Stored>,
        adapters: Adapters,
    },
}

impl Stored {
    /// Where the model is, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names and shapes of the parameters that have values.
    pub fn parameters(&self) -> BTreeMap<String, Vec<usize>> {
        match &self.values {
            Values::Own(weights) => weights
                .tensors()
                .map(|(name, info)| (name.to_owned(), info.shape.clone()))
                .collect(),
            Values::Foreign(foreign) => foreign.parameters(),
            Values::Adapted { base, adapters } => {
                let config = &self.description.config;
                let mut parameters = base.parameters();
                // What the run drew anew is not that of the base, even under the same name.
                if let Some(init) = &config.init {
                    parameters.retain(|name, _| !init.ignores(name));
                }
                adapters.replace(&mut parameters);
                parameters
            }
        }
    }

    /// Checks that it has exactly `parameters`.
    ///
    /// # Errors
    ///
    /// One line with every parameter that is missing, unexpected or of another shape.
    pub fn expect(&self, parameters: &[Parameter]) -> Result<()> {
        if let Values::Own(weights) = &self.values {
            let shapes = parameters
                .iter()
                .map(|p| (p.name.as_str(), p.shape.as_slice()));
            return Ok(weights.expect(shapes)?);
        }
        let found = self.parameters();
        let missed = parameters
            .iter()
            .find(|p| found.get(&p.name) != Some(&p.shape));
        match missed {
            None => Ok(()),
            Some(Parameter { name, shape }) => {
                let remedy = match &self.values {
                    Values::Foreign(_) => {
                        "it was saved without its head: start a run from it with init.head = \"new\""
                    }
                    _ => "take the adapters from their run again",
                };
                let path = self.path.display();
                Err(Error::Data(format!(
                    "{path}: has no `{name}` of shape {shape:?}; {remedy}"
                )))
            }
        }
    }

    /// The values of the parameter `name`, row by row, adapters merged into them.
    ///
    /// # Errors
    ///
    /// There is no such parameter, or its file cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        match &self.values {
            Values::Own(weights) => Ok(weights.read(name)?),
            Values::Foreign(foreign) => foreign.read(name),
            Values::Adapted { base, adapters } => adapters.merged(name, || {
                let shape = base.parameters().remove(name).ok_or_else(|| {
                    let path = self.path.display();
                    Error::Data(format!("{path}: `{name}` is missing"))
                })?;
                Ok((base.read(name)?, shape))
            }),
        }
    }

    /// Hash of the weights.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn fingerprint(&self) -> Result<blake3::Hash> {
        match &self.values {
            Values::Own(weights) => Ok(weights.fingerprint()?),
            Values::Foreign(foreign) => foreign.fingerprint(),
            Values::Adapted { base, adapters } => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(base.fingerprint()?.as_bytes());
                hasher.update(adapters.fingerprint()?.as_bytes());
                Ok(hasher.finalize())
            }
        }
    }
}
