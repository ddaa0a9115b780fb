//! What a model will ask for, before it is made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attn_core::lora;
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
    Ok(Asked::by(config)?.parameters)
}

/// Every projection of the model of `config` that can have an adapter
/// ([`attn_core::ParamStore::adapt`]): its name, and the shape `[d_out, d_in]` of its weight.
///
/// # Errors
///
/// If a size of `config` is still left to the data.
pub fn adaptable(config: &ModelConfig) -> Result<Vec<Parameter>> {
    let Asked {
        parameters,
        adapters,
    } = Asked::by(config)?;
    let shape_of = |module: String| {
        let weight = format!("{module}.weight");
        let weight = parameters.iter().find(|p| p.name == weight)?;
        Some(Parameter {
            name: module,
            shape: weight.shape.clone(),
        })
    };
    Ok(adapters.into_iter().filter_map(shape_of).collect())
}

/// What a model asks for.
#[derive(Default)]
struct Asked {
    parameters: Vec<Parameter>,
    /// Names of the projections that would take an adapter.
    adapters: Vec<String>,
}

impl Asked {
    /// Builds the model of `config` to hear what it asks for.
    fn by(config: &ModelConfig) -> Result<Self> {
        let listener = Listener::default();
        let backend = Box::new(listener.clone());
        Model::build(
            config,
            VarBuilder::from_backend(backend, DType::F32, Device::Cpu),
        )?;
        Ok(std::mem::take(&mut *listener.asked()))
    }
}

/// A source of weights that notes what is asked for. What it hands out is one zero, read
/// again and again.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Asked>>);

impl Listener {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimpleBackend for Listener {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        self.asked().parameters.push(Parameter {
            name: name.to_owned(),
            shape: shape.dims().to_vec(),
        });
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        bail!("the shape of `{name}` is not known")
    }

    /// There are no adapters, but who would take one is noted.
    fn contains_tensor(&self, name: &str) -> bool {
        if let Some(module) = name.strip_suffix(lora::A) {
            let module = module.trim_end_matches('.').to_owned();
            self.asked().adapters.push(module);
            return false;
        }
        true
    }
}
