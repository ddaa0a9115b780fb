//! The `optimizer` of `[train]` as the kernels know it.

use kernels::optim::{AdamW, Lion, Rule, Sgd};

use crate::config::Optimizer;

/// The rule that `optimizer` names.
pub(super) fn of(optimizer: Optimizer) -> Rule {
    match optimizer {
        Optimizer::AdamW { beta1, beta2, eps } => AdamW {
            beta1,
            beta2,
            eps,
            coupled: false,
        }
        .into(),
        Optimizer::Adam { beta1, beta2, eps } => AdamW {
            beta1,
            beta2,
            eps,
            coupled: true,
        }
        .into(),
        Optimizer::Sgd { momentum } => Sgd {
            momentum,
            nesterov: false,
        }
        .into(),
        Optimizer::Lion { beta1, beta2 } => Lion { beta1, beta2 }.into(),
    }
}
