//! `optimizer` in `[train]`, with the keys that belong to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Invalid, fraction, positive};

/// What turns a gradient into an update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Adam with decoupled weight decay, Loshchilov & Hutter 2019
    /// <https://arxiv.org/abs/1711.05101>.
    AdamW {
        /// Decay of the mean of gradients.
        beta1: f64,
        /// Decay of the mean of squares.
        beta2: f64,
        /// Added to the root of the mean of squares.
        eps: f64,
    },
    /// Adam with the decay in the gradient, an L2 penalty, Kingma & Ba 2015
    /// <https://arxiv.org/abs/1412.6980>.
    Adam {
        /// Decay of the mean of gradients.
        beta1: f64,
        /// Decay of the mean of squares.
        beta2: f64,
        /// Added to the root of the mean of squares.
        eps: f64,
    },
    /// Stochastic gradient descent with momentum.
    Sgd {
        /// Share of the last update kept.
        momentum: f64,
    },
    /// Sign of an interpolated momentum, Chen et al. 2023
    /// <https://arxiv.org/abs/2302.06675>.
    Lion {
        /// Share of the momentum in the update.
        beta1: f64,
        /// Decay of the momentum.
        beta2: f64,
    },
}

/// The optimisers by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Optimizer")]
pub(super) enum OptimizerName {
    /// Adam with decoupled weight decay.
    #[default]
    AdamW,
    /// Adam whose weight decay is an L2 penalty, part of the gradient.
    Adam,
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Sign of an interpolated momentum; wants a third to a tenth of AdamW's `lr`.
    Lion,
}

/// The keys beside `optimizer`; each belongs to some optimisers only.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OptimizerKeys {
    pub(super) beta1: Option<f64>,
    pub(super) beta2: Option<f64>,
    pub(super) eps: Option<f64>,
    pub(super) momentum: Option<f64>,
}

impl Optimizer {
    /// The optimiser called `name`, its defaults replaced by `keys`.
    ///
    /// # Errors
    ///
    /// A value out of range, and a key that this optimiser does not have.
    pub(super) fn new(name: OptimizerName, keys: OptimizerKeys) -> Result<Self, Invalid> {
        let OptimizerKeys {
            beta1,
            beta2,
            eps,
            momentum,
        } = keys;
        let beta1_or = |default| fraction("beta1", beta1.unwrap_or(default));
        let beta2_or = |default| fraction("beta2", beta2.unwrap_or(default));
        let unused = |key, value: Option<f64>| match value {
            None => Ok(()),
            Some(value) => Err(Invalid(format!(
                "{key} = {value} has no use with optimizer = \"{}\"; remove it",
                name.as_str()
            ))),
        };
        match name {
            OptimizerName::AdamW => {
                unused("momentum", momentum)?;
                let eps = positive("eps", eps.unwrap_or(1e-8), 1.0)?;
                Ok(Self::AdamW {
                    beta1: beta1_or(0.9)?,
                    beta2: beta2_or(0.999)?,
                    eps,
                })
            }
            OptimizerName::Adam => {
                unused("momentum", momentum)?;
                Ok(Self::Adam {
                    beta1: beta1_or(0.9)?,
                    beta2: beta2_or(0.999)?,
                    eps: positive("eps", eps.unwrap_or(1e-8), 1.0)?,
                })
            }
            OptimizerName::Sgd => {
                unused("beta1", beta1)?;
                unused("beta2", beta2)?;
                unused("eps", eps)?;
                Ok(Self::Sgd {
                    momentum: fraction("momentum", momentum.unwrap_or(0.9))?,
                })
            }
            OptimizerName::Lion => {
                unused("eps", eps)?;
                unused("momentum", momentum)?;
                Ok(Self::Lion {
                    beta1: beta1_or(0.9)?,
                    beta2: beta2_or(0.99)?,
                })
            }
        }
    }

    /// The name and the keys that [`Optimizer::new`] makes this optimiser of.
    pub(super) fn keys(self) -> (OptimizerName, OptimizerKeys) {
        let none = OptimizerKeys::default();
        match self {
            Self::AdamW { beta1, beta2, eps } => (
                OptimizerName::AdamW,
                OptimizerKeys {
                    beta1: Some(beta1),
                    beta2: Some(beta2),
                    eps: Some(eps),
                    ..none
                },
            ),
            Self::Adam { beta1, beta2, eps } => (
                OptimizerName::Adam,
                OptimizerKeys {
                    beta1: Some(beta1),
                    beta2: Some(beta2),
                    eps: Some(eps),
                    ..none
                },
            ),
            Self::Sgd { momentum } => (
                OptimizerName::Sgd,
                OptimizerKeys {
                    momentum: Some(momentum),
                    ..none
                },
            ),
            Self::Lion { beta1, beta2 } => (
                OptimizerName::Lion,
                OptimizerKeys {
                    beta1: Some(beta1),
                    beta2: Some(beta2),
                    ..none
                },
            ),
        }
    }
}

impl OptimizerName {
    fn as_str(self) -> &'static str {
        match self {
            Self::AdamW => "adamw",
            Self::Adam => "adam",
            Self::Sgd => "sgd",
            Self::Lion => "lion",
        }
    }
}
