//! Optimisers on flat buffers: one pass over parameters, gradients and state.
//!
//! Gradients come from [`FlatGrads`], or any other buffer that has them parameter after
//! parameter; parameters are changed where they lie. The formulas, and the order of their
//! operations, are PyTorch's.
//!
//! ```
//! use candle_core::{Device, Result, Tensor, Var};
//! use kernels::optim::{AdamW, Optimizer, Parameter, Update, clip_factor, global_norm};
//!
//! # fn main() -> Result<()> {
//! let w = Var::from_tensor(&Tensor::new(&[[1f32, -2.0]], &Device::Cpu)?)?;
//! let mut optimizer = Optimizer::new(AdamW::default(), [Parameter::new("w", w.clone())])?;
//! for step in 0..100 {
//!     let grads = w.flatten_all()?.to_vec1::<f32>()?; // of |w|²/2
//!     let grad_scale = clip_factor(global_norm(&grads), 1.0);
//!     let update = Update { step, lr: 0.1, weight_decay: 0.0, grad_scale };
//!     optimizer.step(&grads, &update)?;
//! }
//! assert!(w.abs()?.sum_all()?.to_scalar::<f32>()? < 0.1);
//! # Ok(())
//! # }
//! ```

mod average;
#[cfg(feature = "cuda")]
mod cuda;
mod norm;
mod rule;
mod state;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Var, bail};
use rayon::prelude::*;

use crate::FlatGrads;
use crate::memory::Memory;
use crate::storage::{change, values};
pub use average::{Average, flatten};
#[cfg(feature = "cuda")]
pub(crate) use cuda::norm as norm_on_gpu;
pub use norm::{clip_factor, global_norm};
pub use rule::{AdamW, Lion, Rule, Sgd};
pub use state::Moment;

/// A parameter to be optimised.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name, under which its state is saved.
    pub name: String,
    /// Its values, `f32`.
    pub var: Var,
    /// Whether weight decay applies.
    pub decays: bool,
    /// What the learning rate of an update is multiplied by.
    pub lr_scale: f64,
}

impl Parameter {
    /// A parameter that decays if it is a matrix: biases and the scales of norms
    /// are left alone.
    pub fn new(name: impl Into<String>, var: Var) -> Self {
        let decays = var.rank() >= 2;
        let name = name.into();
        Self {
            name,
            var,
            decays,
            lr_scale: 1.0,
        }
    }

    /// The same parameter at another learning rate: that of the update times `lr_scale`.
    #[must_use]
    pub fn with_lr_scale(self, lr_scale: f64) -> Self {
        Self { lr_scale, ..self }
    }
}

/// What one step is made with, beside the gradients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Steps taken before this one.
    pub step: u64,
    /// Learning rate.
    pub lr: f64,
    /// Decay of the parameters that decay.
    pub weight_decay: f64,
    /// What gradients are multiplied by first: clipping and averaging at no cost.
    pub grad_scale: f64,
}

impl Update {
    /// What it means for `parameter`.
    fn of(&self, parameter: &Parameter) -> Self {
        Self {
            weight_decay: match parameter.decays {
                true => self.weight_decay,
                false => 0.0,
            },
            lr: self.lr * parameter.lr_scale,
            ..*self
        }
    }
}

/// Where the values of `var` lie.
fn address(var: &Var) -> Result<u64> {
    #[cfg(feature = "cuda")]
    if crate::cuda::device_of(var).is_some() {
        return Ok(crate::cuda::pointer::<f32>(var)?.address());
    }
    Ok(values::<f32>(var)?.as_ptr() as u64)
}

/// Parameters, the rule that moves them, and the rule's state.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    parameters: Vec<Parameter>,
    /// Each of the rule's moments, parameter after parameter.
    moments: Vec<Memory>,
}

impl Optimizer {
    /// An optimiser with empty state.
    ///
    /// # Errors
    ///
    /// Fails if a parameter is not `f32` or not contiguous, or if two share a name
    /// or their memory.
    pub fn new(
        rule: impl Into<Rule>,
        parameters: impl IntoIterator<Item = Parameter>,
    ) -> Result<Self> {
        let (rule, parameters) = (rule.into(), Vec::from_iter(parameters));
        let mut seen = std::collections::HashMap::new();
        let mut names = std::collections::HashSet::new();
        let mut len = 0;
        for Parameter { name, var, .. } in &parameters {
            if var.dtype() != DType::F32 {
                bail!("optimizer: {name} is {:?}, not f32", var.dtype());
            }
            if !names.insert(name) {
                bail!("optimizer: two parameters are named {name}");
            }
            let other = seen.insert(address(var)?, name);
            if let (Some(other), false) = (other, var.elem_count() == 0) {
                bail!("optimizer: {other} and {name} share their memory");
            }
            len += var.elem_count();
        }
        let first = parameters.first().map(|parameter| &parameter.var);
        let moments = rule.moments().iter();
        let moments = moments
            .map(|_| Memory::zeros_beside(first, len))
            .collect::<Result<_>>()?;
        Ok(Self {
            rule,
            parameters,
            moments,
        })
    }

    /// The rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The parameters, in the order of their gradients.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// As [`Optimizer::step`], by gradients that lie where the parameters do.
    ///
    /// # Errors
    ///
    /// As [`Optimizer::step`]; and if they lie elsewhere.
    pub fn step_by(&mut self, grads: &FlatGrads, update: &Update) -> Result<()> {
        match grads.memory() {
            Memory::Host(grads) => self.step(grads, update),
            #[cfg(feature = "cuda")]
            Memory::Gpu(grads) => self.step_on_gpu(grads, update),
        }
    }

    /// Moves every parameter once.
    ///
    /// # Shapes
    ///
    /// - `grads`: all gradients, parameter after parameter
    ///
    /// # Errors
    ///
    /// Fails if there are more or fewer gradients than parameters' elements.
    pub fn step(&mut self, grads: &[f32], update: &Update) -> Result<()> {
        let len: usize = self.parameters.iter().map(|p| p.var.elem_count()).sum();
        if grads.len() != len {
            bail!("optimizer: {} gradients for {len} numbers", grads.len());
        }
        let mut rest = grads;
        let mut moments = Vec::with_capacity(self.moments.len());
        for moment in &mut self.moments {
            match moment {
                Memory::Host(moment) => moments.push(&mut moment[..]),
                #[cfg(feature = "cuda")]
                Memory::Gpu(_) => bail!("optimizer: the gradients are not on the parameters' GPU"),
            }
        }
        let mut tasks = Vec::with_capacity(self.parameters.len());
        for parameter in &self.parameters {
            let n = parameter.var.elem_count();
            let grads = rest.split_off(..n).expect("lengths agree");
            let moments: Vec<_> = moments
                .iter_mut()
                .map(|m| m.split_off_mut(..n).expect("moments are as long"))
                .collect();
            tasks.push((parameter, grads, moments));
        }
        // No two parameters share a lock: a thread that waits inside one for its
        // pieces may take up another.
        let rule = self.rule;
        tasks
            .into_par_iter()
            .try_for_each(|(parameter, grads, moments)| {
                let update = update.of(parameter);
                change(&parameter.var, |values| {
                    rule.apply(&update, values, grads, moments);
                })
            })
    }
}
