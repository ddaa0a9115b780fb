//! What a model will ask for, before it is made.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::{Model, ModelConfig};

/// Name and shape of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, which is that in a file.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<usize>,
}

impl Parameter {
    /// How many numbers it holds.
    pub fn count(&self) -> u64 {
        self.shape.iter().map(|&size| size as u64).product()
    }
}

/// Every parameter of the model of `config`, in the order in which its layers ask for
/// them. Takes no memory to speak of, however large the model.
///
/// # Errors
///
/// If a size of `config` is still left to the data.
pub fn parameters(config: &ModelConfig) -> Result<Vec<Parameter>> {
    let asked = Asked::default();
    let backend = Box::new(asked.clone());
    Model::build(
        config,
        VarBuilder::from_backend(backend, DType::F32, Device::Cpu),
    )?;
    Ok(std::mem::take(
        &mut *asked.0.lock().unwrap_or_else(PoisonError::into_inner),
    ))
}

/// A source of weights that notes what is asked for. What it hands out is one zero, read
/// again and again.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<Parameter>>>);

impl SimpleBackend for Asked {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(Parameter {
            name: name.to_owned(),
            shape: shape.dims().to_vec(),
        });
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        bail!("the shape of `{name}` is not known")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}
