//! One update of the weights after another.

mod gate;
mod rule;
mod state;

use attn_core::Pass;
use candle_core::{Device, Var};
use data::Batch;
use kernels::optim::{self, Average, Optimizer, Parameter, clip_factor};
use kernels::profile::{self, Phase};
use kernels::{FlatGrads, Precision};
use models::{LossOptions, Model};

use crate::config::RunConfig;
use crate::device;
use crate::error::Result;
use crate::init::{First, lr_scale};
use crate::schedule::LearningRate;

/// A model in training: its weights, what the optimiser remembers, and their average.
pub struct Trainer {
    config: RunConfig,
    /// What is trained, in the order of names, as gradients and state are.
    params: Vec<(String, Var)>,
    /// What is stored: all parameters, or those that are not those of a model at hand.
    stored: Vec<(String, Var)>,
    /// Its weights are on the tape.
    model: Model,
    /// The same weights, without a tape.
    evaluated: Model,
    grads: FlatGrads,
    optimizer: Optimizer,
    /// A moving average of the weights, parameter after parameter.
    average: Option<Average>,
    lr: LearningRate,
    /// Of the products of forward and backward passes.
    precision: Precision,
}

/// What one update measured.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Mean loss over the targets of all its batches.
    pub loss: f64,
    /// Learning rate.
    pub lr: f64,
    /// Norm of the whole gradient before clipping.
    pub grad_norm: f64,
}

impl Trainer {
    /// A model with the weights of `first`, the others drawn from the seed, to be trained
    /// for `steps` updates.
    ///
    /// `config` must be resolved.
    ///
    /// # Errors
    ///
    /// The device cannot hold the model, and weights of `first` that cannot be read.
    pub fn new(config: &RunConfig, steps: u64, device: &Device, first: &First) -> Result<Self> {
        let store = first.store(config.run.seed(), device)?;
        let model = Model::build(&config.model, store.var_builder())?;
        let evaluated = Model::build(&config.model, store.detached())?;
        first.complete(&store)?;
        let params = store.trainable();
        let mut stored = store.named_vars();
        stored.retain(|(name, _)| first.is_stored(name));
        let vars = || params.iter().map(|(_, var)| var);
        let grads = FlatGrads::new(vars())?;
        let scale = |name: &str| {
            let (lr, n_layers) = (config.train.lr(), config.model.n_layers());
            let init = config.init.as_ref();
            init.map_or(1.0, |init| lr_scale(init, name, lr, n_layers))
        };
        let parameters = params
            .iter()
            .map(|(name, var)| Parameter::new(name, var.clone()).with_lr_scale(scale(name)));
        let optimizer = Optimizer::new(rule::of(config.train.optimizer()), parameters)?;
        let average = config
            .train
            .ema()
            .map(|_| Average::new(vars()))
            .transpose()?;
        let lr = LearningRate::new(config.train.lr(), config.train.schedule(), steps);
        Ok(Self {
            config: config.clone(),
            params,
            stored,
            model,
            evaluated,
            grads,
            optimizer,
            average,
            lr,
            precision: device::precision(&config.run, device),
        })
    }

    /// Makes update `step`, counted from 0, from the gradient over all of `batches`.
    ///
    /// # Errors
    ///
    /// A loss or gradient that is not finite, and in the first update a parameter that
    /// no gradient reaches. The weights are then those of before.
    pub fn update(&mut self, step: u64, batches: &[Batch]) -> Result<Update> {
        let train = &self.config.train;
        let options = LossOptions {
            label_smoothing: train.label_smoothing(),
            divisor: Some(batches.iter().map(Batch::n_targets).sum::<usize>() as f64),
        };
        self.grads.clear();
        let mut loss = 0.0;
        for (i, batch) in batches.iter().enumerate() {
            // Steps are capped far below 2³²; the draws of micro-batches may wrap around.
            let draw = (step * batches.len() as u64 + i as u64) as u32;
            let pass = Pass::train(self.config.run.seed(), draw);
            let Batch {
                input,
                mask,
                targets,
            } = batch;
            let model = &self.model;
            let term = self
                .precision
                .during(|| model.loss(input, mask, targets, options, pass))?;
            let value = f64::from(term.to_scalar::<f32>()?);
            gate::finite_loss(step, value)?;
            loss += value;
            let grads = &mut self.grads;
            self.precision.during(|| grads.backward(term))?;
        }
        let grad_norm = self.grads.norm()?;
        profile::mark("norm of the gradient", Phase::Update);
        gate::finite_gradient(step, grad_norm, &self.params, &self.grads)?;
        if step == 0 {
            gate::every_parameter_is_reached(&self.params, &self.grads)?;
        }
        let update = optim::Update {
            step,
            lr: self.lr.at(step),
            weight_decay: train.weight_decay(),
            grad_scale: train
                .grad_clip()
                .map_or(1.0, |max| clip_factor(grad_norm, max)),
        };
        self.optimizer.step_by(&self.grads, &update)?;
        profile::mark("optimizer", Phase::Update);
        if let (Some(average), Some(decay)) = (&mut self.average, train.ema()) {
            // The first weights are noise: an average that is young forgets faster.
            let decay = decay.min((1 + step) as f64 / (10 + step) as f64);
            average.approach(self.params.iter().map(|(_, var)| var), decay)?;
            profile::mark("moving average", Phase::Update);
        }
        Ok(Update {
            loss,
            lr: update.lr,
            grad_norm,
        })
    }

    /// Calls `use_model` with the weights that are to be kept: their average if there is
    /// one, else the last.
    ///
    /// # Errors
    ///
    /// Those of `use_model`.
    pub fn with_result<R>(&mut self, use_model: impl FnOnce(&Model) -> Result<R>) -> Result<R> {
        let Some(average) = &mut self.average else {
            return use_model(&self.evaluated);
        };
        average.swap(self.params.iter().map(|(_, var)| var))?;
        let result = use_model(&self.evaluated);
        average.swap(self.params.iter().map(|(_, var)| var))?;
        result
    }
}
