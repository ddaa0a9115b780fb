//! Weights of which only a part is stored: adapters, and what was trained beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use attn_core::{Lora, lora};
use candle_core::{Device, Tensor};

use super::peft::{Layout, Part};
use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::model_file::Weights;

/// The part of a model that a run with adapters has trained.
#[derive(Debug)]
pub(super) struct Adapters {
    file: Weights,
    lora: Lora,
    /// By our names: the tensor, and where in it.
    parts: BTreeMap<String, (String, Part)>,
}

impl Adapters {
    /// Takes `file`, which a run of `config` has written, apart.
    ///
    /// # Errors
    ///
    /// A tensor that is no part of the model, an adapter that is missing, one of another
    /// shape.
    pub(super) fn new(file: Weights, config: &RunConfig, lora: Lora) -> Result<Self> {
        let bad = |what: String| damaged(file.path(), &what);
        let names: BTreeSet<&str> = file.tensors().map(|(name, _)| name).collect();
        let layout = Layout::to_read(config, &names).map_err(|error| bad(error.to_string()))?;
        let mut parts = BTreeMap::new();
        for piece in layout.into_pieces() {
            let (name, shape) = (piece.name, piece.shape);
            match file.info(&name) {
                None => return Err(bad(format!("lacks `{name}`"))),
                Some(info) if info.shape != shape => {
                    let found = &info.shape;
                    return Err(bad(format!(
                        "`{name}` is of shape {found:?}, not {shape:?}"
                    )));
                }
                Some(_) => {}
            }
            for part in piece.parts {
                parts.insert(part.ours.clone(), (name.clone(), part));
            }
        }
        Ok(Self { file, lora, parts })
    }

    /// Hash of the adapters.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub(super) fn fingerprint(&self) -> Result<blake3::Hash> {
        Ok(self.file.fingerprint()?)
    }

    /// Where they are.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Puts the shapes of parameters that are stored whole among `parameters`.
    pub(super) fn replace(&self, parameters: &mut BTreeMap<String, Vec<usize>>) {
        for (ours, (_, part)) in &self.parts {
            if !part.is_adapter() {
                parameters.insert(ours.clone(), part.shape.clone());
            }
        }
    }

    /// The values of the parameter `name` with its adapter, if it has one, merged into
    /// them; `base` has those that are not stored here.
    ///
    /// # Errors
    ///
    /// There is no such parameter, or a file cannot be read.
    pub(super) fn merged(
        &self,
        name: &str,
        base: impl FnOnce() -> Result<(Vec<f32>, Vec<usize>)>,
    ) -> Result<Vec<f32>> {
        if let Some((values, _)) = self.values(name)? {
            return Ok(values);
        }
        let (weight, shape) = base()?;
        let module = name.strip_suffix(".weight").unwrap_or(name);
        let matrix = |matrix| self.values(&format!("{module}.{matrix}"));
        let Some((a, b)) = matrix(lora::A)?.zip(matrix(lora::B)?) else {
            return Ok(weight);
        };
        if shape != [b.1[0], a.1[1]] {
            return Err(damaged(
                self.path(),
                &format!("the adapter of `{name}` has another shape"),
            ));
        }
        let tensor = |values, shape: &[usize]| Tensor::from_vec(values, shape, &Device::Cpu);
        let (weight, a, b) = (
            tensor(weight, &shape)?,
            tensor(a.0, a.1)?,
            tensor(b.0, b.1)?,
        );
        Ok(self.lora.merge(&weight, &a, &b)?.flatten_all()?.to_vec1()?)
    }

    /// Values and shape of what is stored under the name `ours`, if anything is.
    fn values(&self, ours: &str) -> Result<Option<(Vec<f32>, &[usize])>> {
        let Some((name, part)) = self.parts.get(ours) else {
            return Ok(None);
        };
        let values = part.take(self.file.read(name)?)?;
        Ok(Some((values, &part.shape)))
    }
}

fn damaged(path: &Path, what: &str) -> Error {
    let path = path.display();
    Error::Data(format!(
        "{path}: {what}; take the adapters from their run again"
    ))
}
