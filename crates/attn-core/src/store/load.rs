//! Strict loading: every parameter is there, nothing else is, and all shapes agree.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::{DType, Tensor, Var};

use super::ParamStore;

/// Why tensors cannot become the parameters of a store. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The tensors are not those of this model; everything that is wrong is listed.
    #[error("{}", Listing(.0))]
    Mismatch(Mismatch),
    /// A tensor could not be converted or copied.
    #[error("cannot load `{name}`: {source}")]
    Tensor {
        /// the parameter
        name: String,
        /// what the tensor library said
        source: candle_core::Error,
    },
}

/// Everything in which a set of tensors differs from the parameters of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Parameters for which there is no tensor.
    pub missing: Vec<String>,
    /// Tensors for which there is no parameter.
    pub unexpected: Vec<String>,
    /// Tensors of another shape: name, shape of the parameter, shape of the tensor.
    pub misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Tensors that do not hold floating-point numbers: name, type of the tensor.
    pub not_floats: Vec<(String, DType)>,
}

impl Mismatch {
    fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.unexpected.is_empty()
            && self.misshaped.is_empty()
            && self.not_floats.is_empty()
    }
}

impl ParamStore {
    /// Sets every parameter to the tensor of its name, converted to the type and
    /// device of the store.
    ///
    /// # Errors
    ///
    /// One error lists all missing, unexpected and mis-shaped tensors. On any error no
    /// parameter is changed.
    pub fn load(&self, tensors: &BTreeMap<String, Tensor>) -> Result<(), LoadError> {
        let state = self.lock();
        let vars = &state.vars;
        let mismatch = compare(vars, tensors);
        if !mismatch.is_empty() {
            return Err(LoadError::Mismatch(mismatch));
        }
        // Convert everything before anything is set: only conversions can fail.
        let mut updates = Vec::with_capacity(vars.len());
        for (name, var) in vars.iter() {
            let Some(tensor) = tensors.get(name) else {
                continue;
            };
            let converted = tensor
                .detach()
                .to_device(var.device())
                .and_then(|tensor| tensor.to_dtype(var.dtype()))
                // A copy, because a variable refuses to be set from its own storage.
                .and_then(|tensor| tensor.copy())
                .map_err(|source| LoadError::Tensor {
                    name: name.clone(),
                    source,
                })?;
            updates.push((name, var, converted));
        }
        for (name, var, tensor) in updates {
            var.set(&tensor).map_err(|source| LoadError::Tensor {
                name: name.clone(),
                source,
            })?;
        }
        Ok(())
    }
}

fn compare(vars: &BTreeMap<String, Var>, tensors: &BTreeMap<String, Tensor>) -> Mismatch {
    let mut mismatch = Mismatch::default();
    for (name, var) in vars {
        match tensors.get(name) {
            None => mismatch.missing.push(name.clone()),
            Some(tensor) if tensor.dims() != var.dims() => {
                let shapes = (name.clone(), var.dims().to_vec(), tensor.dims().to_vec());
                mismatch.misshaped.push(shapes);
            }
            Some(tensor) if !tensor.dtype().is_float() => {
                mismatch.not_floats.push((name.clone(), tensor.dtype()));
            }
            Some(_) => {}
        }
    }
    let unexpected = tensors.keys().filter(|name| !vars.contains_key(*name));
    mismatch.unexpected.extend(unexpected.cloned());
    mismatch
}

struct Listing<'a>(&'a Mismatch);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch {
            missing,
            unexpected,
            misshaped,
            not_floats,
        } = self.0;
        let misshaped: Vec<String> = misshaped
            .iter()
            .map(|(name, want, got)| format!("{name} (model {want:?}, file {got:?})"))
            .collect();
        let not_floats: Vec<String> = not_floats
            .iter()
            .map(|(name, dtype)| format!("{name} ({dtype:?})"))
            .collect();
        let parts = [
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", &misshaped),
            ("not floating-point", &not_floats),
        ];
        write!(f, "the tensors are not those of this model")?;
        let mut separator = ": ";
        for (what, names) in parts.into_iter().filter(|(_, names)| !names.is_empty()) {
            write!(f, "{separator}{} {what}: {}", names.len(), names.join(", "))?;
            separator = "; ";
        }
        Ok(())
    }
}
