//! The learning rate as a pure function of the step.
//!
//! Nothing is counted up, so nothing can be counted twice on resume.

use std::f64::consts::PI;

use crate::config::{Schedule, Shape};

/// The learning rate of every step of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRate {
    peak: f64,
    schedule: Schedule,
    steps: u64,
}

impl LearningRate {
    /// A rate that rises to `peak` and follows `schedule` over a run of `steps` updates.
    pub fn new(peak: f64, schedule: Schedule, steps: u64) -> Self {
        Self {
            peak,
            schedule,
            steps,
        }
    }

    /// The rate of update `step`, counted from 0.
    ///
    /// In a warm-up of `w` steps it is `peak · (step + 1) / (w + 1)`: the first update
    /// already moves, and `peak` is reached at step `w`. From there each shape
    /// falls so that it would be at `min_lr` at step `steps`, one past the last; these
    /// are the formulas of nanoGPT's `get_lr` with `lr_decay_iters = max_iters = steps`
    /// (<https://github.com/karpathy/nanoGPT>).
    pub fn at(&self, step: u64) -> f64 {
        let warmup = self.schedule.warmup_steps;
        if step < warmup {
            return self.peak * (step + 1) as f64 / (warmup + 1) as f64;
        }
        let toward = |min_lr: f64, share: f64| min_lr + share * (self.peak - min_lr);
        match self.schedule.shape {
            Shape::Constant => self.peak,
            Shape::Linear { min_lr } => toward(min_lr, 1.0 - progress(step, warmup, self.steps)),
            Shape::Cosine { min_lr } => {
                let share = 0.5 * (1.0 + (PI * progress(step, warmup, self.steps)).cos());
                toward(min_lr, share)
            }
            Shape::Wsd {
                decay_steps,
                min_lr,
            } => {
                let start = self.steps.saturating_sub(decay_steps).max(warmup);
                toward(min_lr, 1.0 - progress(step, start, self.steps))
            }
        }
    }
}

/// How much of the way from `start` to `end` is behind us at `step`, in `[0, 1]`.
fn progress(step: u64, start: u64, end: u64) -> f64 {
    if step >= end {
        return 1.0;
    }
    step.saturating_sub(start) as f64 / (end - start) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(shape: Shape, warmup_steps: u64, steps: u64) -> impl Fn(u64) -> f64 {
        let schedule = Schedule {
            warmup_steps,
            shape,
        };
        move |step| LearningRate::new(1e-3, schedule, steps).at(step)
    }

    #[track_caller]
    fn assert_close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-15, "{got} instead of {want}");
    }

    #[test]
    fn warm_up_starts_above_zero_and_reaches_the_peak_after_its_steps() {
        for shape in [Shape::Constant, Shape::Cosine { min_lr: 1e-4 }] {
            let lr = rates(shape, 4, 100);
            for (step, fifths) in [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0), (4, 5.0)] {
                assert_close(lr(step), 1e-3 * fifths / 5.0);
            }
        }
    }

    #[test]
    fn constant_stays() {
        let lr = rates(Shape::Constant, 0, 10);
        assert!((0..20).all(|step| lr(step) == 1e-3));
    }

    #[test]
    fn linear_falls_by_the_same_amount_each_step() {
        let lr = rates(Shape::Linear { min_lr: 2e-4 }, 10, 90);
        assert_close(lr(10), 1e-3);
        assert_close(lr(50), 6e-4);
        assert_close(lr(90), 2e-4);
        assert_close(lr(1000), 2e-4);
        assert_close(lr(40) - lr(41), 1e-5);
    }

    #[test]
    fn cosine_is_nanogpt_s() {
        let (warmup, steps, min_lr) = (100u64, 2000u64, 1e-4);
        let get_lr = |it: u64| -> f64 {
            if it < warmup {
                return 1e-3 * (it + 1) as f64 / (warmup + 1) as f64;
            }
            if it > steps {
                return min_lr;
            }
            let decay_ratio = (it - warmup) as f64 / (steps - warmup) as f64;
            let coeff = 0.5 * (1.0 + (std::f64::consts::PI * decay_ratio).cos());
            min_lr + coeff * (1e-3 - min_lr)
        };
        let lr = rates(Shape::Cosine { min_lr }, warmup, steps);
        for step in 0..=steps + 2 {
            assert_eq!(lr(step).to_bits(), get_lr(step).to_bits(), "step {step}");
        }
    }

    #[test]
    fn stable_stays_until_the_decay_and_then_falls_linearly() {
        let shape = Shape::Wsd {
            decay_steps: 20,
            min_lr: 0.0,
        };
        let lr = rates(shape, 10, 100);
        assert!((10..=80).all(|step| lr(step) == 1e-3));
        assert_close(lr(90), 5e-4);
        assert_close(lr(100), 0.0);
    }

    #[test]
    fn a_run_shorter_than_its_phases_stays_finite_and_within_its_bounds() {
        let min_lr = 1e-5;
        let wsd = Shape::Wsd {
            decay_steps: 50,
            min_lr,
        };
        for shape in [Shape::Linear { min_lr }, Shape::Cosine { min_lr }, wsd] {
            for (warmup, steps) in [(0, 1), (5, 5), (10, 3), (0, 0)] {
                let lr = rates(shape, warmup, steps);
                assert!((0..20).all(|step| (min_lr..=1e-3).contains(&lr(step))));
            }
        }
    }
}
