//! Optimiser steps, one number at a time, as PyTorch takes them.

/// Adam with decoupled weight decay; Loshchilov & Hutter 2017, algorithm 2
/// <https://arxiv.org/abs/1711.05101>, as `torch.optim.AdamW`.
#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the mean of the gradient.
    pub beta1: f64,
    /// Decay of the mean of its square.
    pub beta2: f64,
    /// Added to the root of the corrected second moment.
    pub eps: f64,
    /// Decay of the parameter, times `lr`.
    pub weight_decay: f64,
}

impl AdamW {
    /// Step number `t`, from 1, on moments `m` and `v` that start at zero.
    pub fn step(&self, params: &mut [f64], grads: &[f64], m: &mut [f64], v: &mut [f64], t: i32) {
        for i in 0..params.len() {
            let g = grads[i];
            params[i] -= self.lr * self.weight_decay * params[i];
            m[i] = self.beta1 * m[i] + (1.0 - self.beta1) * g;
            v[i] = self.beta2 * v[i] + (1.0 - self.beta2) * g * g;
            let mean = m[i] / (1.0 - self.beta1.powi(t));
            let square = v[i] / (1.0 - self.beta2.powi(t));
            params[i] -= self.lr * mean / (square.sqrt() + self.eps);
        }
    }
}

/// Adam with an L2 penalty; Kingma & Ba 2014, algorithm 1 <https://arxiv.org/abs/1412.6980>,
/// as `torch.optim.Adam`: `g ← g + weight_decay · θ` comes before the moments.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the mean of the gradient.
    pub beta1: f64,
    /// Decay of the mean of its square.
    pub beta2: f64,
    /// Added to the root of the corrected second moment.
    pub eps: f64,
    /// Multiple of the parameter that is added to its gradient.
    pub weight_decay: f64,
}

impl Adam {
    /// Step number `t`, from 1, on moments `m` and `v` that start at zero.
    pub fn step(&self, params: &mut [f64], grads: &[f64], m: &mut [f64], v: &mut [f64], t: i32) {
        for i in 0..params.len() {
            let g = grads[i] + self.weight_decay * params[i];
            m[i] = self.beta1 * m[i] + (1.0 - self.beta1) * g;
            v[i] = self.beta2 * v[i] + (1.0 - self.beta2) * g * g;
            let mean = m[i] / (1.0 - self.beta1.powi(t));
            let square = v[i] / (1.0 - self.beta2.powi(t));
            params[i] -= self.lr * mean / (square.sqrt() + self.eps);
        }
    }
}

/// Gradient descent with momentum, as `torch.optim.SGD` without dampening: the
/// decay is part of the gradient.
#[derive(Debug, Clone, Copy)]
pub struct Sgd {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the velocity.
    pub momentum: f64,
    /// Whether the step looks ahead along the new velocity.
    pub nesterov: bool,
    /// Multiple of the parameter that is added to its gradient.
    pub weight_decay: f64,
}

impl Sgd {
    /// One step on a velocity that starts at zero.
    pub fn step(&self, params: &mut [f64], grads: &[f64], velocity: &mut [f64]) {
        for i in 0..params.len() {
            let g = grads[i] + self.weight_decay * params[i];
            velocity[i] = self.momentum * velocity[i] + g;
            let direction = if self.nesterov {
                g + self.momentum * velocity[i]
            } else {
                velocity[i]
            };
            params[i] -= self.lr * direction;
        }
    }
}

/// The sign of an interpolated momentum; Chen et al. 2023, algorithm 2
/// <https://arxiv.org/abs/2302.06675>.
#[derive(Debug, Clone, Copy)]
pub struct Lion {
    /// Learning rate of this step.
    pub lr: f64,
    /// Share of the momentum in the direction.
    pub beta1: f64,
    /// Decay of the momentum.
    pub beta2: f64,
    /// Decay of the parameter, times `lr`.
    pub weight_decay: f64,
}

impl Lion {
    /// One step on a momentum that starts at zero.
    pub fn step(&self, params: &mut [f64], grads: &[f64], momentum: &mut [f64]) {
        for i in 0..params.len() {
            let g = grads[i];
            let mixed = self.beta1 * momentum[i] + (1.0 - self.beta1) * g;
            // `f64::signum` of zero is one.
            let sign = if mixed == 0.0 { 0.0 } else { mixed.signum() };
            params[i] -= self.lr * (sign + self.weight_decay * params[i]);
            momentum[i] = self.beta2 * momentum[i] + (1.0 - self.beta2) * g;
        }
    }
}

/// Euclidean norm of all `grads` together.
pub fn global_norm(grads: &[&[f64]]) -> f64 {
    grads
        .iter()
        .flat_map(|g| g.iter())
        .map(|g| g * g)
        .sum::<f64>()
        .sqrt()
}

/// Scales all `grads` by `max_norm / (norm + 10⁻⁶)` if that is below one, as
/// `torch.nn.utils.clip_grad_norm_`; returns the norm before.
pub fn clip_global_norm(grads: &mut [&mut [f64]], max_norm: f64) -> f64 {
    let norm = global_norm(&grads.iter().map(|g| &**g).collect::<Vec<_>>());
    let factor = (max_norm / (norm + 1e-6)).min(1.0);
    for g in grads.iter_mut().flat_map(|g| g.iter_mut()) {
        *g *= factor;
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-15, "got {got:.17}, want {want:.17}");
    }

    #[test]
    fn two_adamw_steps_have_the_values_computed_by_hand() {
        let adamw = AdamW {
            lr: 0.1,
            beta1: 0.5,
            beta2: 0.75,
            eps: 1.0,
            weight_decay: 0.5,
        };
        let (mut p, mut m, mut v) = ([2.0], [0.0], [0.0]);
        // First: moments 2 and 4 after correction 4 and 16; 2 − 0.1 − 0.1 · 4/(4 + 1).
        adamw.step(&mut p, &[4.0], &mut m, &mut v, 1);
        assert_near(m[0], 2.0);
        assert_near(v[0], 4.0);
        assert_near(p[0], 1.82);
        // Second, without gradient: 1 and 3, corrected by ¾ and 7⁄16.
        adamw.step(&mut p, &[0.0], &mut m, &mut v, 2);
        let (mean, square) = (1.0 / 0.75, 3.0 / 0.4375f64);
        assert_near(p[0], 1.82 * 0.95 - 0.1 * mean / (square.sqrt() + 1.0));
    }

    #[test]
    fn two_sgd_steps_have_the_values_computed_by_hand() {
        let plain = Sgd {
            lr: 0.1,
            momentum: 0.5,
            nesterov: false,
            weight_decay: 0.25,
        };
        for (sgd, want) in [
            (plain, [1.65, 1.43375]),
            (
                Sgd {
                    nesterov: true,
                    ..plain
                },
                [1.475, 1.3321875],
            ),
        ] {
            let (mut p, mut velocity) = ([2.0], [0.0]);
            // g = 3 + ¼ · 2 = 3.5, then ¼ of what is left; 2.1625 or 2.11875 is the velocity.
            sgd.step(&mut p, &[3.0], &mut velocity);
            assert_near(p[0], want[0]);
            sgd.step(&mut p, &[0.0], &mut velocity);
            assert_near(p[0], want[1]);
        }
    }

    #[test]
    fn two_lion_steps_have_the_values_computed_by_hand() {
        let lion = Lion {
            lr: 0.1,
            beta1: 0.5,
            beta2: 0.75,
            weight_decay: 0.5,
        };
        let (mut p, mut m) = ([2.0, 2.0], [0.0, 0.0]);
        lion.step(&mut p, &[4.0, 0.0], &mut m);
        assert_near(p[0], 2.0 - 0.1 * (1.0 + 1.0));
        assert_near(p[1], 2.0 - 0.1 * 1.0);
        assert_near(m[0], 1.0);
        // ½ · 1 + ½ · (−2) is negative.
        lion.step(&mut p, &[-2.0, 0.0], &mut m);
        assert_near(p[0], 1.8 - 0.1 * (-1.0 + 0.9));
        assert_near(m[0], 0.75 - 0.5);
    }

    #[test]
    fn clipping_scales_all_together_and_only_down() {
        let (mut a, mut b) = ([3.0], [0.0, 4.0]);
        assert_near(clip_global_norm(&mut [&mut a, &mut b], 10.0), 5.0);
        assert_eq!((a, b), ([3.0], [0.0, 4.0]));
        assert_near(clip_global_norm(&mut [&mut a, &mut b], 1.0), 5.0);
        assert_near(a[0], 3.0 / 5.000_001);
        assert_near(b[1], 4.0 / 5.000_001);
    }
}
