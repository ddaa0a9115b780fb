//! How a number moves by its gradient.
//!
//! The loops are plain ones, compiled for the widest vectors of the machine. They
//! multiply and add in separate roundings, as PyTorch does, so their bits are the
//! same on every instruction set.

use super::Update;
use crate::Real;
use crate::parallel::{GRAIN, Pieces, each_piece};
use crate::simd::{Kernel, Lanes};

/// Adam with decoupled weight decay; Loshchilov & Hutter 2017, algorithm 2
/// <https://arxiv.org/abs/1711.05101>, as `torch.optim.AdamW`. Or with the decay in the
/// gradient, as `torch.optim.Adam`, Kingma & Ba 2014 <https://arxiv.org/abs/1412.6980>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Decay of the mean of the gradient.
    pub beta1: f64,
    /// Decay of the mean of its square.
    pub beta2: f64,
    /// Added to the root of the corrected second moment.
    pub eps: f64,
    /// Whether weight decay is added to the gradient, an L2 penalty of the loss, and not
    /// taken off the weights by itself.
    pub coupled: bool,
}

impl Default for AdamW {
    /// PyTorch's.
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            coupled: false,
        }
    }
}

/// Gradient descent with momentum, as `torch.optim.SGD` without dampening: the
/// weight decay is part of the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sgd {
    /// Decay of the velocity.
    pub momentum: f64,
    /// Whether the step looks ahead along the new velocity.
    pub nesterov: bool,
}

/// The sign of an interpolated momentum; Chen et al. 2023, algorithm 2
/// <https://arxiv.org/abs/2302.06675>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lion {
    /// Share of the momentum in the direction.
    pub beta1: f64,
    /// Decay of the momentum.
    pub beta2: f64,
}

impl Default for Lion {
    /// The paper's.
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.99,
        }
    }
}

/// Any of the rules.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// See [`AdamW`].
    AdamW(AdamW),
    /// See [`Sgd`].
    Sgd(Sgd),
    /// See [`Lion`].
    Lion(Lion),
}

impl From<AdamW> for Rule {
    fn from(rule: AdamW) -> Self {
        Self::AdamW(rule)
    }
}

impl From<Sgd> for Rule {
    fn from(rule: Sgd) -> Self {
        Self::Sgd(rule)
    }
}

impl From<Lion> for Rule {
    fn from(rule: Lion) -> Self {
        Self::Lion(rule)
    }
}

impl Rule {
    /// Names of the numbers that are kept for each number of a parameter, as
    /// PyTorch calls them.
    pub fn moments(self) -> &'static [&'static str] {
        match self {
            Self::AdamW(_) => &["exp_avg", "exp_avg_sq"],
            Self::Sgd(_) => &["momentum_buffer"],
            Self::Lion(_) => &["exp_avg"],
        }
    }

    /// One step of one parameter; all slices are equally long.
    pub(super) fn apply(
        self,
        update: &Update,
        p: &mut [f32],
        g: &[f32],
        mut moments: Vec<&mut [f32]>,
    ) {
        let second = match moments.len() {
            2 => moments.pop(),
            _ => None,
        };
        let [m] = &mut moments[..] else {
            unreachable!("a rule keeps one or two moments")
        };
        assert!(p.len() == g.len() && p.len() == m.len());
        let pieces = (Pieces::of(p, GRAIN), Pieces::of(m, GRAIN));
        let of_g = |i: usize| &g[i * GRAIN..g.len().min((i + 1) * GRAIN)];
        match (self, second) {
            (Self::AdamW(rule), Some(v)) => {
                let step = rule.step(update);
                each_piece((pieces, Pieces::of(v, GRAIN)), |i, ((p, m), v)| {
                    let g = of_g(i);
                    f32::dispatch(AdamWPiece { step, p, g, m, v });
                });
            }
            (Self::Sgd(rule), _) => {
                let step = rule.step(update);
                each_piece(pieces, |i, (p, m)| {
                    let g = of_g(i);
                    f32::dispatch(SgdPiece { step, p, g, m });
                });
            }
            (Self::Lion(rule), _) => {
                let step = rule.step(update);
                each_piece(pieces, |i, (p, m)| {
                    let g = of_g(i);
                    f32::dispatch(LionPiece { step, p, g, m });
                });
            }
            (Self::AdamW(_), None) => unreachable!("AdamW keeps two moments"),
        }
    }
}

impl AdamW {
    pub(super) fn step(self, update: &Update) -> AdamWStep {
        let t = (update.step + 1) as f64;
        let (correction1, correction2) = (1.0 - self.beta1.powf(t), 1.0 - self.beta2.powf(t));
        AdamWStep {
            grad_scale: update.grad_scale as f32,
            shrink: match self.coupled {
                true => 1.0,
                false => (1.0 - update.lr * update.weight_decay) as f32,
            },
            penalty: match self.coupled {
                true => update.weight_decay as f32,
                false => 0.0,
            },
            one_less_beta1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            one_less_beta2: (1.0 - self.beta2) as f32,
            root_of_correction2: correction2.sqrt() as f32,
            eps: self.eps as f32,
            step_size: (update.lr / correction1) as f32,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct AdamWStep {
    pub(super) grad_scale: f32,
    pub(super) shrink: f32,
    pub(super) penalty: f32,
    pub(super) one_less_beta1: f32,
    pub(super) beta2: f32,
    pub(super) one_less_beta2: f32,
    pub(super) root_of_correction2: f32,
    pub(super) eps: f32,
    pub(super) step_size: f32,
}

struct AdamWPiece<'a> {
    step: AdamWStep,
    p: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl Kernel<f32> for AdamWPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = f32>>(self, _: L) {
        let Self { step, p, g, m, v } = self;
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let mut g = g * step.grad_scale;
            // Not where nothing is added: that would round a `-0` to `0`.
            if step.penalty != 0.0 {
                g += step.penalty * *p;
            }
            *m += step.one_less_beta1 * (g - *m);
            *v = *v * step.beta2 + step.one_less_beta2 * g * g;
            let root = v.sqrt() / step.root_of_correction2 + step.eps;
            *p = *p * step.shrink - step.step_size * (*m / root);
        }
    }
}

impl Sgd {
    pub(super) fn step(self, update: &Update) -> SgdStep {
        SgdStep {
            grad_scale: update.grad_scale as f32,
            weight_decay: update.weight_decay as f32,
            momentum: self.momentum as f32,
            nesterov: self.nesterov,
            lr: update.lr as f32,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct SgdStep {
    pub(super) grad_scale: f32,
    pub(super) weight_decay: f32,
    pub(super) momentum: f32,
    pub(super) nesterov: bool,
    pub(super) lr: f32,
}

struct SgdPiece<'a> {
    step: SgdStep,
    p: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
}

impl Kernel<f32> for SgdPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = f32>>(self, _: L) {
        let Self { step, p, g, m } = self;
        for ((p, g), velocity) in p.iter_mut().zip(g).zip(m) {
            let g = g * step.grad_scale + step.weight_decay * *p;
            *velocity = step.momentum * *velocity + g;
            let direction = match step.nesterov {
                true => g + step.momentum * *velocity,
                false => *velocity,
            };
            *p -= step.lr * direction;
        }
    }
}

impl Lion {
    pub(super) fn step(self, update: &Update) -> LionStep {
        LionStep {
            grad_scale: update.grad_scale as f32,
            shrink: (1.0 - update.lr * update.weight_decay) as f32,
            beta1: self.beta1 as f32,
            one_less_beta1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            one_less_beta2: (1.0 - self.beta2) as f32,
            lr: update.lr as f32,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct LionStep {
    pub(super) grad_scale: f32,
    pub(super) shrink: f32,
    pub(super) beta1: f32,
    pub(super) one_less_beta1: f32,
    pub(super) beta2: f32,
    pub(super) one_less_beta2: f32,
    pub(super) lr: f32,
}

struct LionPiece<'a> {
    step: LionStep,
    p: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
}

impl Kernel<f32> for LionPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = f32>>(self, _: L) {
        let Self { step, p, g, m } = self;
        for ((p, g), m) in p.iter_mut().zip(g).zip(m) {
            let g = g * step.grad_scale;
            let mixed = step.beta1 * *m + step.one_less_beta1 * g;
            // Zero has no sign, and NaN stays.
            let sign = match mixed {
                x if x > 0.0 => 1.0,
                x if x < 0.0 => -1.0,
                x => x,
            };
            *p = *p * step.shrink - step.lr * sign;
            *m = step.beta2 * *m + step.one_less_beta2 * g;
        }
    }
}
