//! What is averaged, over which rows.

use candle_core::{Result, bail};

/// Options of the cross-entropy.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CrossEntropy {
    /// Rows with this target cost nothing and are not counted.
    pub ignore_index: Option<u32>,
    /// Share of the probability that is spread evenly over all classes, in `[0, 1]`.
    pub label_smoothing: f64,
    /// What the sum of the losses is divided by; the number of rows that are not
    /// ignored, if `None`. With micro-batches: the number in all of them.
    pub divisor: Option<f64>,
}

impl CrossEntropy {
    /// Checks the options and the targets, and counts.
    pub(super) fn resolve(&self, targets: &[u32], n: usize, classes: usize) -> Result<Objective> {
        let Self {
            ignore_index,
            label_smoothing,
            divisor,
        } = *self;
        if !(0.0..=1.0).contains(&label_smoothing) {
            bail!("cross-entropy: label_smoothing = {label_smoothing} is outside 0..=1");
        }
        if let Some(divisor) = divisor
            && !(divisor > 0.0 && divisor.is_finite())
        {
            bail!("cross-entropy: divisor = {divisor} is not a positive number");
        }
        if targets.len() != n {
            bail!("cross-entropy: {n} rows, {} targets", targets.len());
        }
        let mut n_valid = 0;
        for (row, &target) in targets.iter().enumerate() {
            if Some(target) == ignore_index {
                continue;
            }
            if target as usize >= classes {
                bail!("cross-entropy: target {target} of row {row} is not below {classes} classes");
            }
            n_valid += 1;
        }
        Ok(Objective {
            ignore_index,
            smoothing: label_smoothing,
            scale: 1.0 / divisor.unwrap_or(n_valid as f64),
            n_valid,
        })
    }
}

/// Checked options.
#[derive(Debug, Clone, Copy)]
pub(super) struct Objective {
    pub(super) ignore_index: Option<u32>,
    pub(super) smoothing: f64,
    /// What the sum of the losses is multiplied by.
    pub(super) scale: f64,
    pub(super) n_valid: usize,
}
