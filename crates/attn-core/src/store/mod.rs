//! The parameters of a model, by name, in name order.
//!
//! A [`ParamStore`] is a backend of [`candle_nn::VarBuilder`]: layers, ours and
//! Candle's, ask the builder for a tensor, and the store makes it the first time.
//! What it makes depends on the seed and the name alone, not on the order of asking,
//! the number of threads or the process.

mod adapt;
mod init;
mod load;

use std::collections::{BTreeMap, BTreeSet};
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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    vars: BTreeMap<String, Var>,
    /// Parameters that are handed out without a graph.
    frozen: BTreeSet<String>,
    /// What adapters are told beside their parameters; see [`ParamStore::adapt`].
    settings: BTreeMap<String, Tensor>,
}

impl ParamStore {
    /// Creates a store without parameters. Parameters are drawn from `seed` when a
    /// layer first asks for them.
    pub fn new(seed: u64, dtype: DType, device: &Device) -> Self {
        Self(Arc::new(Inner {
            seed,
            dtype,
            device: device.clone(),
            state: Mutex::default(),
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

    /// Gives the parameter `name` its first values before a layer asks for it, instead
    /// of those that would be drawn.
    ///
    /// # Errors
    ///
    /// If there is a parameter of this name, or `values` cannot be converted to the type
    /// and device of the store.
    pub fn insert(&self, name: impl Into<String>, values: &Tensor) -> Result<()> {
        let name = name.into();
        let mut state = self.lock();
        if state.vars.contains_key(&name) {
            bail!("there is a parameter `{name}` already");
        }
        let values = values
            .detach()
            .to_device(&self.0.device)?
            .to_dtype(self.0.dtype)?;
        state.vars.insert(name, Var::from_tensor(&values)?);
        Ok(())
    }

    /// Keeps the parameters called `names` as they are: layers made from
    /// [`ParamStore::var_builder`] afterwards get them without a graph, so that no
    /// gradient is computed for them, nor for what lies before the first that is trained.
    pub fn freeze(&self, names: impl IntoIterator<Item = impl Into<String>>) {
        let names = names.into_iter().map(Into::into);
        self.lock().frozen.extend(names);
    }

    /// The variables that are not frozen with their names, in the order of the names: what
    /// is to be trained.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        let state = self.lock();
        let trained = |(name, _): &(&String, &Var)| !state.frozen.contains(*name);
        state
            .vars
            .iter()
            .filter(trained)
            .map(|(name, var)| (name.clone(), var.clone()))
            .collect()
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
        self.lock().vars.keys().cloned().collect()
    }

    /// The variables, in the order of their names: what an optimiser takes.
    pub fn vars(&self) -> Vec<Var> {
        self.lock().vars.values().cloned().collect()
    }

    /// The variables with their names, in the order of the names.
    pub fn named_vars(&self) -> Vec<(String, Var)> {
        self.lock()
            .vars
            .iter()
            .map(|(name, var)| (name.clone(), var.clone()))
            .collect()
    }

    /// The parameters as tensors that record no graph: what a file is written from.
    /// They share the storage of the variables.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let detach = |(name, var): (&String, &Var)| (name.clone(), var.as_detached_tensor());
        self.lock().vars.iter().map(detach).collect()
    }

    /// The variable called `name`, if a layer has asked for it.
    pub fn get(&self, name: &str) -> Option<Var> {
        self.lock().vars.get(name).cloned()
    }

    /// How many numbers the parameters hold in all.
    pub fn n_params(&self) -> usize {
        self.lock().vars.values().map(|var| var.elem_count()).sum()
    }

    fn builder(&self, backend: Box<dyn SimpleBackend>) -> VarBuilder<'static> {
        VarBuilder::from_backend(backend, self.0.dtype, self.0.device.clone())
    }

    /// A thread that panicked while it held the lock left the maps as they were: entries
    /// are only ever inserted whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut state = self.lock();
        let var = match state.vars.get(name) {
            Some(var) => var.clone(),
            None => {
                let first = init::draw(init, &shape, self.0.seed, name, dtype, device)?;
                let var = Var::from_tensor(&first)?;
                state.vars.insert(name.to_owned(), var.clone());
                var
            }
        };
        let tensor = match state.frozen.contains(name) {
            true => var.as_detached_tensor(),
            false => var.into_inner(),
        };
        checked(name, tensor, &shape, dtype)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        if let Some(settings) = self.settings(name) {
            return Ok(settings);
        }
        let var = ParamStore::get(self, name).ok_or_else(|| missing(name))?;
        let (shape, init) = (var.shape().clone(), Init::Const(0.0));
        SimpleBackend::get(self, shape, name, init, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().vars.contains_key(name)
    }
}

impl fmt::Debug for ParamStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_map()
            .entries(state.vars.iter().map(|(name, var)| (name, var.shape())))
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
        if let Some(settings) = self.0.settings(name) {
            return Ok(settings);
        }
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
