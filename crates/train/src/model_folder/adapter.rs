//! Weights of which only a part is stored: adapters, and what was trained beside them.

use std::collections::BTreeMap;
use std::path::Path;

use attn_core::{Lora, lora};
use candle_core::{Device, Tensor};

use super::peft;
use crate::error::{Error, Result};
use crate::model_file::Weights;

/// The part of a model that a run with adapters has trained.
#[derive(Debug)]
pub(super) struct Adapters {
    file: Weights,
    lora: Lora,
    /// Names in the file by names of parameters.
    names: BTreeMap<String, String>,
}

impl Adapters {
    /// Takes `file` apart; `names` turns the names in it into those of parameters.
    ///
    /// # Errors
    ///
    /// A matrix of an adapter without its other one, or of another rank.
    pub(super) fn new(file: Weights, lora: Lora, names: &peft::Names) -> Result<Self> {
        let mut ours = BTreeMap::new();
        for (theirs, _) in file.tensors() {
            ours.insert(names.ours(theirs), theirs.to_owned());
        }
        let adapters = Self {
            file,
            lora,
            names: ours,
        };
        adapters.check()?;
        Ok(adapters)
    }

    fn check(&self) -> Result<()> {
        for name in self.names.keys() {
            let pairs = [(lora::A, lora::B), (lora::B, lora::A)];
            let missing = pairs.into_iter().find_map(|(one, other)| {
                let other = format!("{}{other}", name.strip_suffix(one)?);
                (!self.names.contains_key(&other)).then_some(other)
            });
            if let Some(missing) = missing {
                return Err(self.bad(format!("`{name}` is there, but not `{missing}`")));
            }
            if name.ends_with(lora::A) && self.shape(name)?.first() != Some(&self.lora.rank()) {
                let rank = self.lora.rank();
                return Err(self.bad(format!("`{name}` is not of the rank {rank}")));
            }
        }
        Ok(())
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
        for (ours, theirs) in &self.names {
            let is_adapter = ours.ends_with(lora::A) || ours.ends_with(lora::B);
            if let (false, Some(info)) = (is_adapter, self.file.info(theirs)) {
                parameters.insert(ours.clone(), info.shape.clone());
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
        if self.names.contains_key(name) {
            return self.values(name);
        }
        let (weight, shape) = base()?;
        let Some(module) = name.strip_suffix(".weight") else {
            return Ok(weight);
        };
        let [a, b] = [lora::A, lora::B].map(|part| format!("{module}.{part}"));
        if !self.names.contains_key(&a) {
            return Ok(weight);
        }
        let rank = self.lora.rank();
        let fits = match shape[..] {
            [d_out, d_in] => self.shape(&a)? == [rank, d_in] && self.shape(&b)? == [d_out, rank],
            _ => false,
        };
        if !fits {
            return Err(self.bad(format!("the adapter of `{name}` has another shape")));
        }
        let tensor = |values, shape: &[usize]| Tensor::from_vec(values, shape, &Device::Cpu);
        let (weight, a, b) = (
            tensor(weight, &shape)?,
            tensor(self.values(&a)?, self.shape(&a)?)?,
            tensor(self.values(&b)?, self.shape(&b)?)?,
        );
        Ok(self.lora.merge(&weight, &a, &b)?.flatten_all()?.to_vec1()?)
    }

    fn values(&self, ours: &str) -> Result<Vec<f32>> {
        Ok(self.file.read(self.theirs(ours)?)?)
    }

    fn shape(&self, ours: &str) -> Result<&[usize]> {
        let info = self.file.info(self.theirs(ours)?);
        let info = info.ok_or_else(|| self.bad(format!("`{ours}` is missing")))?;
        Ok(&info.shape)
    }

    fn theirs(&self, ours: &str) -> Result<&str> {
        let name = self.names.get(ours);
        name.map(String::as_str)
            .ok_or_else(|| self.bad(format!("`{ours}` is missing")))
    }

    fn bad(&self, what: String) -> Error {
        let path = self.path().display();
        Error::Data(format!(
            "{path}: {what}; take the adapters from their run again"
        ))
    }
}
