//! The loops of the cross-entropy on slices.

use std::ops::Range;

use candle_core::WithDType;

use super::Head;
use super::objective::Objective;
use crate::Real;
use crate::gemm::{Mat, MatMut, gemm};
use crate::linear::column_sums;
use crate::parallel::{rows_mut, rows_mut_with};
use crate::simd::{Kernel, Lanes, map1, max, sum};

/// Rows whose logits are held at one time: about 2²⁰ numbers, which stay in the
/// outer cache, and never so few that the products become thin.
pub(super) fn rows_a_chunk(classes: usize) -> usize {
    ((1 << 20) / classes.max(1)).max(128)
}

/// `x wᵀ + bias`, `n` rows.
pub(super) fn logits<T: Real>(
    head: &Head,
    n: usize,
    x: &[T],
    w: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
) {
    if let Some(bias) = bias {
        rows_mut(y, head.classes, |_, y| {
            for row in y.chunks_exact_mut(bias.len()) {
                row.copy_from_slice(bias);
            }
        });
    }
    let w = Mat::new(w, head.classes, head.d);
    let y = MatMut::new(y, n, head.classes);
    let x = Mat::new(x, n, head.d);
    gemm(head.precision, y, bias.is_some(), x, w.t());
}

/// Gradients of the arguments, where wanted.
pub(super) struct Grads<T> {
    pub(super) dx: Option<Vec<T>>,
    pub(super) dw: Option<Vec<T>>,
    pub(super) dbias: Option<Vec<T>>,
}

impl<T> Grads<T> {
    /// In the order of the arguments.
    pub(super) fn into_iter(self) -> impl Iterator<Item = Option<Vec<T>>> {
        [self.dx, self.dw, self.dbias].into_iter()
    }
}

/// Adds the part of one chunk of rows.
pub(super) fn chunk_grads<T: Real>(
    head: &Head,
    chunk: Range<usize>,
    x: &[T],
    w: &[T],
    dlogits: &[T],
    grads: &mut Grads<T>,
) {
    let Head {
        d,
        classes,
        precision,
        ..
    } = *head;
    let n = chunk.len();
    let g = Mat::new(dlogits, n, classes);
    if let Some(dx) = &mut grads.dx {
        let dx = MatMut::new(&mut dx[chunk.start * d..chunk.end * d], n, d);
        gemm(precision, dx, false, g, Mat::new(w, classes, d));
    }
    if let Some(dw) = &mut grads.dw {
        let dw = MatMut::new(dw, classes, d);
        gemm(precision, dw, chunk.start > 0, g.t(), Mat::new(x, n, d));
    }
    if let Some(dbias) = &mut grads.dbias {
        column_sums(dlogits, classes, dbias);
    }
}

/// What is known of one row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row {
    pub(super) loss: f64,
    /// Known only without a gradient.
    pub(super) correct: bool,
}

/// Loss of each row; over the logits comes their gradient, if `gradient`, else
/// nothing that means anything.
pub(super) fn rows<T: Real>(
    logits: &mut [T],
    classes: usize,
    targets: &[u32],
    objective: &Objective,
    gradient: bool,
) -> Vec<Row> {
    let mut rows = vec![Row::default(); targets.len()];
    rows_mut_with(logits, classes, &mut rows, |first, logits, rows| {
        T::dispatch(Rows {
            classes,
            targets: &targets[first..],
            objective,
            gradient,
            logits,
            rows,
        });
    });
    rows
}

struct Rows<'a, T> {
    classes: usize,
    targets: &'a [u32],
    objective: &'a Objective,
    gradient: bool,
    logits: &'a mut [T],
    rows: &'a mut [Row],
}

impl<T: Real> Kernel<T> for Rows<'_, T> {
    type Output = ();

    /// With `m` the largest logit and `s = Σ e^(x − m)`: `ln p = x − m − ln s`, and
    /// the gradient is `p` less the smoothed target.
    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let Objective {
            ignore_index,
            smoothing,
            scale,
            ..
        } = *self.objective;
        let classes = self.classes as f64;
        let logits = self.logits.chunks_exact_mut(self.classes);
        for ((x, &target), row) in logits.zip(self.targets).zip(self.rows) {
            if Some(target) == ignore_index {
                x.fill(T::zero());
                continue;
            }
            let target = target as usize;
            let largest = max(lanes, x);
            let of_target = x[target];
            row.correct =
                !self.gradient && of_target == largest && x[..target].iter().all(|&x| x != largest);
            let above_mean = match smoothing {
                0.0 => 0.0,
                _ => largest.to_f64() - sum(lanes, x).to_f64() / classes,
            };
            let shift = lanes.splat(largest);
            map1(
                lanes,
                x,
                #[inline(always)]
                |x| lanes.exp(lanes.sub(x, shift)),
            );
            let total = sum(lanes, x).to_f64();
            let above_target = (largest - of_target).to_f64();
            row.loss = total.ln() + (1.0 - smoothing) * above_target + smoothing * above_mean;
            if self.gradient {
                let factor = lanes.constant(scale / total);
                let even = lanes.constant(scale * smoothing / classes);
                map1(lanes, x, |e| lanes.sub(lanes.mul(e, factor), even));
                x[target] -= <T as WithDType>::from_f64(scale * (1.0 - smoothing));
            }
        }
    }
}

/// First column of the largest value of each row.
pub(super) fn argmax<T: Real>(x: &[T], classes: usize) -> Vec<u32> {
    let first_largest = |row: &[T]| {
        let largest = T::dispatch(Largest(row));
        (0..)
            .zip(row)
            .find_map(|(column, &x)| (x == largest).then_some(column))
    };
    x.chunks_exact(classes.max(1))
        .map(|row| first_largest(row).unwrap_or(0))
        .collect()
}

struct Largest<'a, T>(&'a [T]);

impl<T: Real> Kernel<T> for Largest<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) -> T {
        max(lanes, self.0)
    }
}
