//! The parameters of a model, by name, in name order.
//!
//! A [`ParamStore`] is a backend of [`candle_nn::VarBuilder`]: layers, ours and
//! Candle's, ask the builder for a tensor, and the store makes it the first time.
//! What it makes depends on the seed and the name alone, not on the order of asking,
//! the number of threads or the process.

mod init;
mod load;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Error, Result, Shape, Tensor, Var, bail};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

pub use load::{LoadError, Mismatch};

/// Named parameters, iterated in name order. Cheap to clone; clones share everything.
///
/// ```
/// use attn_core::ParamStore;
/// use candle_core::{DType, Device};
///
/// let store = ParamStore::new(42, DType::F32, &Device::Cpu);
/// let linear = candle_nn::linear(3, 2, store.var_builder().pp("head"))?;
/// assert_eq!(store.names(), ["head.bias", "head.weight"]);
/// assert_eq!(store.n_params(), 8);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone)]
pub struct ParamStore(Arc<Inner>);

struct Inner {
    seed: u64,
    dtype: DType,
    device: Device,
    vars: Mutex<BTreeMap<String, Var>>,
}

impl ParamStore {
    /// Creates a store without parameters. Parameters are drawn from `seed` when a
    /// layer first asks for them.
    pub fn new(seed: u64, dtype: DType, device: &Device) -> Self {
        let vars = Mutex::new(BTreeMap::new());
        Self(Arc::new(Inner {
            seed,
            dtype,
            device: device.clone(),
            vars,
        }))
    }

    /// A builder whose layers are trained: it hands out variables, made on first use.
    ///
    /// Asking twice for one name gives the same variable, which is how weights are
    /// tied; the second request must have the shape and type of the first.
    pub fn var_builder(&self) -> VarBuilder<'static> {
        self.builder(Box::new(self.clone()))
    }

    /// A builder whose layers are only evaluated: it hands out tensors that share the
    /// storage of the variables but record no graph, so that activations are freed at
    /// once. A parameter that does not exist yet is an error.
    ///
    /// Later updates of the variables, by an optimiser or [`ParamStore::load`], are
    /// seen by these layers.
    pub fn detached(&self) -> VarBuilder<'static> {
        self.builder(Box::new(Detached(self.clone())))
    }

    /// The numerical type of the parameters.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Where the parameters live.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// The variables, in the order of their names: what an optimiser takes.
    pub fn vars(&self) -> Vec<Var> {
        self.lock().values().cloned().collect()
    }

    /// The variables with their names, in the order of the names.
    pub fn named_vars(&self) -> Vec<(String, Var)> {
        self.lock()
            .iter()
            .map(|(name, var)| (name.clone(), var.clone()))
            .collect()
    }

    /// The parameters as tensors that record no graph: what a file is written from.
    /// They share the storage of the variables.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let detach = |(name, var): (&String, &Var)| (name.clone(), var.as_detached_tensor());
        self.lock().iter().map(detach).collect()
    }

    /// The variable called `name`, if a layer has asked for it.
    pub fn get(&self, name: &str) -> Option<Var> {
        self.lock().get(name).cloned()
    }

    /// How many numbers the parameters hold in all.
    pub fn n_params(&self) -> usize {
        self.lock().values().map(|var| var.elem_count()).sum()
    }

    fn builder(&self, backend: Box<dyn SimpleBackend>) -> VarBuilder<'static> {
        VarBuilder::from_backend(backend, self.0.dtype, self.0.device.clone())
    }

    /// A thread that panicked while it held the lock left the map as it was: entries
    /// are only ever inserted whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Var>> {
        self.0.vars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimpleBackend for ParamStore {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let mut vars = self.lock();
        if let Some(var) = vars.get(name) {
            return checked(name, var.as_tensor().clone(), &shape, dtype);
        }
        let var = Var::from_tensor(&init::draw(init, &shape, self.0.seed, name, dtype, device)?)?;
        vars.insert(name.to_owned(), var.clone());
        Ok(var.into_inner())
    }

    fn get_unchecked(&self, name: &str, dtype: DType, _device: &Device) -> Result<Tensor> {
        let var = ParamStore::get(self, name).ok_or_else(|| missing(name))?;
        let shape = var.shape().clone();
        checked(name, var.into_inner(), &shape, dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }
}

impl fmt::Debug for ParamStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vars = self.lock();
        f.debug_map()
            .entries(vars.iter().map(|(name, var)| (name, var.shape())))
            .finish()
    }
}

/// Hands out what the store already has, without tracking.
struct Detached(ParamStore);

impl SimpleBackend for Detached {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _init: Init,
        dtype: DType,
        _device: &Device,
    ) -> Result<Tensor> {
        let var = self.0.get(name).ok_or_else(|| missing(name))?;
        checked(name, var.as_detached_tensor(), &shape, dtype)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, _device: &Device) -> Result<Tensor> {
        let var = self.0.get(name).ok_or_else(|| missing(name))?;
        checked(name, var.as_detached_tensor(), var.shape(), dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains_tensor(name)
    }
}

fn missing(name: &str) -> Error {
    Error::CannotFindTensor {
        path: name.to_owned(),
    }
}

fn checked(name: &str, tensor: Tensor, shape: &Shape, dtype: DType) -> Result<Tensor> {
    if tensor.shape() != shape {
        bail!(
            "parameter `{name}` has shape {:?}, but {:?} was asked for",
            tensor.dims(),
            shape.dims()
        );
    }
    if tensor.dtype() != dtype {
        bail!(
            "parameter `{name}` is {:?}, but {dtype:?} was asked for",
            tensor.dtype()
        );
    }
    Ok(tensor)
}

#[cfg(test)]
mod tests;
