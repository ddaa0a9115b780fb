//! A trainer's tensors, to be saved and to go on from.

use std::borrow::Cow;
use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};

use super::Trainer;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::model_file::{ModelFile, NamedTensor};

impl Trainer {
    /// The weights; where adapters are trained beside a model at hand, only what is not in
    /// that model.
    pub fn weights(&self) -> Vec<NamedTensor<'_>> {
        self.stored
            .iter()
            .map(|(name, var)| NamedTensor::tensor(name, var.as_tensor()))
            .collect()
    }

    /// The weights that are to be kept: as [`Trainer::weights`], with the moving average of
    /// what is trained if there is one.
    ///
    /// # Errors
    ///
    /// The average cannot be read from its device.
    pub fn result(&self) -> Result<Vec<NamedTensor<'_>>> {
        let mut weights = self.weights();
        for average in self.average()?.into_iter().flatten() {
            if let Some(weight) = weights.iter_mut().find(|w| w.name == average.name) {
                *weight = average;
            }
        }
        Ok(weights)
    }

    /// What the optimiser remembers.
    ///
    /// # Errors
    ///
    /// It cannot be read from its device.
    pub fn optimizer_state(&self) -> Result<Vec<NamedTensor<'_>>> {
        let moments = self.optimizer.state()?.into_iter();
        Ok(moments
            .map(|moment| NamedTensor::slice(moment.name, moment.shape, moment.values))
            .collect())
    }

    /// The moving average of what is trained, if one is kept.
    ///
    /// # Errors
    ///
    /// It cannot be read from its device.
    pub fn average(&self) -> Result<Option<Vec<NamedTensor<'_>>>> {
        let Some(average) = &self.average else {
            return Ok(None);
        };
        let values = average.values()?;
        let mut start = 0;
        let named = self.params.iter().map(|(name, var)| {
            let at = start..start + var.elem_count();
            start = at.end;
            let values = match &values {
                Cow::Borrowed(all) => Cow::Borrowed(&all[at]),
                Cow::Owned(all) => Cow::Owned(all[at].to_vec()),
            };
            NamedTensor::slice(name, var.dims(), values)
        });
        Ok(Some(named.collect()))
    }

    /// Takes over the tensors of `checkpoint`.
    ///
    /// # Errors
    ///
    /// They are not those of this model and optimiser; nothing was changed then, but
    /// for tensors that could not be read to their end.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        fn shapes(vars: &[(String, Var)]) -> impl Iterator<Item = (&str, &[usize])> {
            vars.iter().map(|(name, var)| (name.as_str(), var.dims()))
        }
        checkpoint.model.expect(shapes(&self.stored))?;
        let average = match (&self.average, &checkpoint.ema) {
            (Some(_), Some(file)) => {
                file.expect(shapes(&self.params))?;
                let mut flat = Vec::new();
                for (name, _) in shapes(&self.params) {
                    flat.extend(file.read(name)?);
                }
                Some(flat)
            }
            _ => None,
        };
        self.restore_optimizer(&checkpoint.optimizer)?;
        for (name, var) in &self.stored {
            let values = checkpoint.model.read(name)?;
            var.set(
                &Tensor::from_vec(values, var.shape(), &Device::Cpu)?.to_device(var.device())?,
            )?;
        }
        if let (Some(own), Some(average)) = (&mut self.average, average) {
            own.set(average)?;
        }
        Ok(())
    }

    fn restore_optimizer(&mut self, file: &ModelFile) -> Result<()> {
        let moments = self.optimizer.state()?;
        file.expect(
            moments
                .iter()
                .map(|moment| (moment.name.as_str(), moment.shape)),
        )?;
        let mut values = BTreeMap::new();
        for moment in &moments {
            values.insert(moment.name.clone(), file.read(&moment.name)?);
        }
        drop(moments);
        self.optimizer.load_state(
            values
                .iter()
                .map(|(name, values)| (name.as_str(), &values[..])),
        )?;
        Ok(())
    }
}
