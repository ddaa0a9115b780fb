//! `[train]`: how long, with what, and how fast to learn.

use data::BatchLimit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    check::{Invalid, fraction, positive, within},
    optimizer::{Optimizer, OptimizerKeys, OptimizerName},
};

/// Most optimiser updates of a run.
pub(super) const MAX_STEPS: u64 = 1_000_000_000;
/// Most sequences of one batch.
pub(super) const MAX_BATCH: usize = 65_536;

/// Most rows of one batch: their places must fit 32 bits with room for every head.
pub(super) const MAX_BATCH_TOKENS: usize = 1 << 24;

const MAX_EPOCHS: u64 = 1_000_000;
const MAX_ACCUMULATE: usize = 65_536;
const MAX_LR: f64 = 100.0;

/// How long, with what, and how fast to learn: the `[train]` table. One of `steps` and
/// `epochs` is needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawTrain", into = "RawTrain")]
pub struct TrainTable {
    length: Length,
    batch_size: usize,
    batch_tokens: Option<usize>,
    bucket: bool,
    accumulate: usize,
    optimizer: Optimizer,
    lr: f64,
    schedule: Schedule,
    weight_decay: f64,
    grad_clip: Option<f64>,
    label_smoothing: f64,
    ema: Option<f64>,
    log_every: u64,
}

/// How long to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Updates of the optimiser.
    Steps(u64),
    /// Passes over the training data.
    Epochs(u64),
}

impl Length {
    /// Updates in all, when one pass over the data takes `steps_per_epoch` of them.
    pub fn steps(self, steps_per_epoch: u64) -> u64 {
        match self {
            Self::Steps(steps) => steps,
            Self::Epochs(epochs) => epochs.saturating_mul(steps_per_epoch),
        }
    }
}

/// How the learning rate moves: up from zero in `warmup_steps`, then along `shape`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Steps in which the learning rate rises to its full height, linearly.
    pub warmup_steps: u64,
    /// What it does afterwards.
    pub shape: Shape,
}

/// What the learning rate does after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Stays.
    Constant,
    /// Falls in a straight line to `min_lr` at the last step.
    Linear {
        /// Where it ends.
        min_lr: f64,
    },
    /// Falls along half a cosine to `min_lr` at the last step.
    Cosine {
        /// Where it ends.
        min_lr: f64,
    },
    /// Stays, then falls in a straight line to `min_lr` in the last `decay_steps`.
    Wsd {
        /// Steps of the fall.
        decay_steps: u64,
        /// Where it ends.
        min_lr: f64,
    },
}

impl TrainTable {
    /// How long to train.
    pub fn length(&self) -> Length {
        self.length
    }

    /// Sequences of one batch; the most, with `batch_tokens` or `bucket`.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Rows of one batch at most: tokens, frames, pixels or nodes.
    pub fn batch_tokens(&self) -> Option<usize> {
        self.batch_tokens
    }

    /// Whether sequences of like length go into one batch.
    pub fn bucket(&self) -> bool {
        self.bucket
    }

    /// When a batch is full.
    pub fn batch_limit(&self) -> BatchLimit {
        BatchLimit {
            samples: self.batch_size,
            rows: self.batch_tokens,
        }
    }

    /// Batches whose gradients make one update.
    pub fn accumulate(&self) -> usize {
        self.accumulate
    }

    /// What turns a gradient into an update.
    pub fn optimizer(&self) -> Optimizer {
        self.optimizer
    }

    /// Learning rate at its height, per step.
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// How the learning rate moves.
    pub fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// Share of each weight matrix taken away per unit of learning rate.
    pub fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    /// Largest norm of the whole gradient; `None` for any.
    pub fn grad_clip(&self) -> Option<f64> {
        self.grad_clip
    }

    /// Share of the target's probability spread over all classes, in `[0, 1)`.
    pub fn label_smoothing(&self) -> f64 {
        self.label_smoothing
    }

    /// Decay per step of the moving average of the weights; `None` for no average.
    pub fn ema(&self) -> Option<f64> {
        self.ema
    }

    /// Steps from one line of training metrics to the next.
    pub fn log_every(&self) -> u64 {
        self.log_every
    }
}

/// The shapes by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Schedule")]
enum ShapeName {
    /// Stays at `lr`.
    Constant,
    /// Falls in a straight line to `min_lr` at the last step.
    Linear,
    /// Falls along half a cosine to `min_lr` at the last step.
    Cosine,
    /// Warm-up, stable, decay: stays, then falls to `min_lr` in the last `decay_steps`.
    Wsd,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawTrain {
    /// Updates of the optimiser; or give `epochs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    steps: Option<u64>,
    /// Passes over the training data; or give `steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    epochs: Option<u64>,
    /// Sequences of one batch; the most, with `batch_tokens` or `bucket`.
    #[schemars(range(min = 1, max = 65_536))]
    batch_size: usize,
    /// Rows of one batch at most: tokens, frames, pixels or nodes. Batches then end with
    /// the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_777_216))]
    batch_tokens: Option<usize>,
    /// Whether sequences of like length go into one batch. Batches then end with the epoch.
    #[serde(default, skip_serializing_if = "is_false")]
    bucket: bool,
    /// Batches whose gradients make one update.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 65_536))]
    accumulate: usize,
    /// What turns a gradient into an update.
    #[serde(default)]
    optimizer: OptimizerName,
    /// Decay of the mean of gradients (`adamw`: 0.9, `lion`: 0.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    beta1: Option<f64>,
    /// Decay of the mean of squares (`adamw`: 0.999), of the state (`lion`: 0.99).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    beta2: Option<f64>,
    /// Added to the root of the mean of squares (`adamw`: 1e-8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    eps: Option<f64>,
    /// Share of the last update kept (`sgd`: 0.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    momentum: Option<f64>,
    /// Learning rate at its height.
    #[schemars(range(min = 0, max = 100))]
    lr: f64,
    /// What the learning rate does after the warm-up.
    #[serde(default = "constant")]
    schedule: ShapeName,
    /// Steps in which the learning rate rises to `lr`.
    #[serde(default)]
    warmup_steps: u64,
    /// Steps in which it falls at the end (`wsd` only, which needs it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decay_steps: Option<u64>,
    /// Where it ends (all but `constant`: 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_lr: Option<f64>,
    /// Share of each weight matrix taken away per unit of learning rate; vectors are spared.
    #[serde(default = "weight_decay")]
    #[schemars(range(min = 0, max = 10))]
    weight_decay: f64,
    /// Largest norm of the whole gradient; 0 for any.
    #[serde(default = "grad_clip")]
    #[schemars(range(min = 0))]
    grad_clip: f64,
    /// Share of the target's probability spread over all classes.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    label_smoothing: f64,
    /// Decay per step of a moving average of the weights, which is then what is
    /// evaluated and kept; no average if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    ema: Option<f64>,
    /// Steps from one line of training metrics to the next.
    #[serde(default = "log_every")]
    #[schemars(range(min = 1))]
    log_every: u64,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn one() -> usize {
    1
}

fn constant() -> ShapeName {
    ShapeName::Constant
}

fn weight_decay() -> f64 {
    0.01
}

fn grad_clip() -> f64 {
    1.0
}

fn log_every() -> u64 {
    10
}

impl TryFrom<RawTrain> for TrainTable {
    type Error = Invalid;

    fn try_from(raw: RawTrain) -> Result<Self, Invalid> {
        let length = length(raw.steps, raw.epochs)?;
        within("batch_size", raw.batch_size, 1..=MAX_BATCH)?;
        if let Some(rows) = raw.batch_tokens {
            within("batch_tokens", rows, 1..=MAX_BATCH_TOKENS)?;
        }
        within("accumulate", raw.accumulate, 1..=MAX_ACCUMULATE)?;
        let lr = positive("lr", raw.lr, MAX_LR)?;
        let RawTrain {
            beta1,
            beta2,
            eps,
            momentum,
            ..
        } = raw;
        let optimizer = Optimizer::new(
            raw.optimizer,
            OptimizerKeys {
                beta1,
                beta2,
                eps,
                momentum,
            },
        )?;
        let schedule = schedule(&raw, length)?;
        within("weight_decay", raw.weight_decay, 0.0..=10.0)?;
        within("grad_clip", raw.grad_clip, 0.0..=1e9)?;
        let label_smoothing = fraction("label_smoothing", raw.label_smoothing)?;
        if let Some(decay) = raw.ema {
            fraction("ema", decay)?;
        }
        within("log_every", raw.log_every, 1..=MAX_STEPS)?;
        Ok(Self {
            length,
            batch_size: raw.batch_size,
            batch_tokens: raw.batch_tokens,
            bucket: raw.bucket,
            accumulate: raw.accumulate,
            optimizer,
            lr,
            schedule,
            weight_decay: raw.weight_decay,
            grad_clip: (raw.grad_clip > 0.0).then_some(raw.grad_clip),
            label_smoothing,
            ema: raw.ema,
            log_every: raw.log_every,
        })
    }
}

fn length(steps: Option<u64>, epochs: Option<u64>) -> Result<Length, Invalid> {
    match (steps, epochs) {
        (Some(steps), None) => Ok(Length::Steps(within("steps", steps, 1..=MAX_STEPS)?)),
        (None, Some(epochs)) => Ok(Length::Epochs(within("epochs", epochs, 1..=MAX_EPOCHS)?)),
        (None, None) => Err(Invalid(
            "the length of training is missing; add `steps` or `epochs`".into(),
        )),
        (Some(steps), Some(epochs)) => Err(Invalid(format!(
            "epochs = {epochs} and steps = {steps} contradict each other; keep one of them"
        ))),
    }
}

fn schedule(raw: &RawTrain, length: Length) -> Result<Schedule, Invalid> {
    let most = match length {
        Length::Steps(steps) => steps,
        Length::Epochs(_) => MAX_STEPS,
    };
    let warmup_steps = within("warmup_steps", raw.warmup_steps, 0..=most)?;
    let min_lr = within("min_lr", raw.min_lr.unwrap_or(0.0), 0.0..=raw.lr)?;
    if let (Some(_), ShapeName::Constant) = (raw.min_lr, raw.schedule) {
        return Err(Invalid(format!(
            r#"min_lr = {min_lr} has no use with schedule = "constant"; remove it"#
        )));
    }
    let shape = match (raw.schedule, raw.decay_steps) {
        (ShapeName::Wsd, Some(decay_steps)) => {
            let decay_steps = within(
                "decay_steps",
                decay_steps,
                1..=most - warmup_steps.min(most - 1),
            )?;
            Shape::Wsd {
                decay_steps,
                min_lr,
            }
        }
        (ShapeName::Wsd, None) => {
            return Err(Invalid(
                r#"schedule = "wsd" needs decay_steps; add `decay_steps`"#.into(),
            ));
        }
        (_, Some(decay_steps)) => {
            return Err(Invalid(format!(
                r#"decay_steps = {decay_steps} needs schedule = "wsd"; remove it"#
            )));
        }
        (ShapeName::Constant, None) => Shape::Constant,
        (ShapeName::Linear, None) => Shape::Linear { min_lr },
        (ShapeName::Cosine, None) => Shape::Cosine { min_lr },
    };
    Ok(Schedule {
        warmup_steps,
        shape,
    })
}

impl From<TrainTable> for RawTrain {
    fn from(table: TrainTable) -> Self {
        let (steps, epochs) = match table.length {
            Length::Steps(steps) => (Some(steps), None),
            Length::Epochs(epochs) => (None, Some(epochs)),
        };
        let (schedule, min_lr, decay_steps) = match table.schedule.shape {
            Shape::Constant => (ShapeName::Constant, None, None),
            Shape::Linear { min_lr } => (ShapeName::Linear, Some(min_lr), None),
            Shape::Cosine { min_lr } => (ShapeName::Cosine, Some(min_lr), None),
            Shape::Wsd {
                decay_steps,
                min_lr,
            } => (ShapeName::Wsd, Some(min_lr), Some(decay_steps)),
        };
        let (
            optimizer,
            OptimizerKeys {
                beta1,
                beta2,
                eps,
                momentum,
            },
        ) = table.optimizer.keys();
        Self {
            steps,
            epochs,
            batch_size: table.batch_size,
            batch_tokens: table.batch_tokens,
            bucket: table.bucket,
            accumulate: table.accumulate,
            optimizer,
            beta1,
            beta2,
            eps,
            momentum,
            lr: table.lr,
            schedule,
            warmup_steps: table.schedule.warmup_steps,
            decay_steps,
            min_lr,
            weight_decay: table.weight_decay,
            grad_clip: table.grad_clip.unwrap_or(0.0),
            label_smoothing: table.label_smoothing,
            ema: table.ema,
            log_every: table.log_every,
        }
    }
}
