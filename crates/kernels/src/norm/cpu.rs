//! The loops of the norms on slices.

use candle_core::WithDType;

use crate::Real;
use crate::parallel::{rows_mut_with_sums, rows_new_with};
use crate::simd::{
    Kernel, Lanes, map, map1_sum_by, map2, map3, sum, sum_by, sum_of_products, sum_of_products3,
    update,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Layer,
    RootMeanSquare,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Layer => "layer-norm",
            Self::RootMeanSquare => "rms-norm",
        }
    }
}

/// What the backward pass keeps of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stats<T> {
    /// Zero for RMS norm, which subtracts nothing.
    mean: T,
    /// `1 / √(variance + ε)`
    scale: T,
}

impl<T: Real> Default for Stats<T> {
    fn default() -> Self {
        Self {
            mean: T::zero(),
            scale: T::zero(),
        }
    }
}

/// Rows to normalise: `x + residual`.
#[derive(Clone, Copy)]
pub(super) struct Input<'a, T> {
    pub(super) x: &'a [T],
    pub(super) residual: Option<&'a [T]>,
}

impl<'a, T> Input<'a, T> {
    fn slice(self, from: usize, len: usize) -> Self {
        Self {
            x: &self.x[from..from + len],
            residual: self.residual.map(|r| &r[from..from + len]),
        }
    }
}

pub(super) fn forward<T: Real>(
    kind: Kind,
    input: Input<'_, T>,
    gamma: &[T],
    beta: Option<&[T]>,
    eps: f64,
    stats: &mut [Stats<T>],
) -> Vec<T> {
    let d = gamma.len();
    rows_new_with(input.x.len(), d, stats, |first, y, stats| {
        T::dispatch(Forward {
            kind,
            input: input.slice(first * d, y.len()),
            gamma,
            beta,
            eps,
            y,
            stats,
        });
    })
}

/// Turns `dy` of each row into `ds`, and adds `[dγ | dβ]` to `sums`.
pub(super) fn backward<T: Real>(
    kind: Kind,
    input: Input<'_, T>,
    gamma: &[T],
    stats: &[Stats<T>],
    dy: &mut [T],
    sums: &mut [T],
) {
    let d = gamma.len();
    rows_mut_with_sums(dy, d, sums, |first, dy, sums| {
        let (dgamma, dbeta) = sums.split_at_mut(d);
        T::dispatch(BackwardRows {
            kind,
            input: input.slice(first * d, dy.len()),
            gamma,
            stats: &stats[first..],
            dy,
            normal: &mut vec![T::zero(); d],
            dgamma,
            dbeta,
        });
    });
}

struct Forward<'a, T> {
    kind: Kind,
    input: Input<'a, T>,
    gamma: &'a [T],
    beta: Option<&'a [T]>,
    eps: f64,
    y: &'a mut [T],
    stats: &'a mut [Stats<T>],
}

impl<T: Real> Kernel<T> for Forward<'_, T> {
    type Output = ();

    /// The row of `y` holds `s`, then `s − mean`, then the result: it stays in
    /// the nearest cache.
    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let d = self.gamma.len();
        let per_element = <T as WithDType>::from_f64(1.0 / d as f64);
        let eps = lanes.constant(self.eps);
        let rows = self.y.chunks_exact_mut(d).zip(self.stats);
        for (row, (y, stats)) in rows.enumerate() {
            let input = self.input.slice(row * d, d);
            match input.residual {
                Some(residual) => map3(lanes, input.x, residual, y, |x, r| lanes.add(x, r)),
                None => y.copy_from_slice(input.x),
            }
            let mean = match self.kind {
                Kind::Layer => sum(lanes, y) * per_element,
                Kind::RootMeanSquare => T::zero(),
            };
            let shift = lanes.splat(mean);
            let squares = match self.kind {
                Kind::Layer => map1_sum_by(lanes, y, |s| lanes.sub(s, shift), |s| lanes.mul(s, s)),
                Kind::RootMeanSquare => sum_by(lanes, y, |s| lanes.mul(s, s)),
            };
            let variance = lanes.splat(squares * per_element);
            let root = lanes.sqrt(lanes.add(variance, eps));
            let scale = lanes.div(lanes.constant(1.0), root);
            *stats = Stats {
                mean,
                scale: lanes.max_lane(scale),
            };
            match self.beta {
                None => map2(lanes, y, self.gamma, |s, gamma| {
                    lanes.mul(lanes.mul(s, scale), gamma)
                }),
                Some(beta) => update(lanes, y, self.gamma, beta, |s, gamma, beta| {
                    lanes.mul_add(lanes.mul(s, scale), gamma, beta)
                }),
            }
        }
    }
}

struct BackwardRows<'a, T> {
    kind: Kind,
    input: Input<'a, T>,
    gamma: &'a [T],
    stats: &'a [Stats<T>],
    /// Becomes `ds`.
    dy: &'a mut [T],
    /// Room for a row of `ŝ`.
    normal: &'a mut [T],
    dgamma: &'a mut [T],
    dbeta: &'a mut [T],
}

impl<T: Real> Kernel<T> for BackwardRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let d = self.gamma.len();
        let per_element = <T as WithDType>::from_f64(1.0 / d as f64);
        let s = self.normal;
        let rows = self.dy.chunks_exact_mut(d).zip(self.stats);
        for (row, (dy, stats)) in rows.enumerate() {
            let input = self.input.slice(row * d, d);
            let (mean, scale) = (lanes.splat(stats.mean), lanes.splat(stats.scale));
            let normalise = |s| lanes.mul(lanes.sub(s, mean), scale);
            match input.residual {
                Some(r) => map3(lanes, input.x, r, s, |x, r| normalise(lanes.add(x, r))),
                None => map(lanes, input.x, s, normalise),
            }

            update(lanes, self.dgamma, dy, s, |sum, dy, s| {
                lanes.mul_add(dy, s, sum)
            });
            map2(lanes, self.dbeta, dy, |sum, dy| lanes.add(sum, dy));

            let along = sum_of_products3(lanes, dy, self.gamma, s) * per_element;
            let along = lanes.splat(along);
            let mean = match self.kind {
                Kind::Layer => sum_of_products(lanes, dy, self.gamma) * per_element,
                Kind::RootMeanSquare => T::zero(),
            };
            let mean = lanes.splat(mean);
            update(lanes, dy, s, self.gamma, |dy, s, gamma| {
                let g = lanes.sub(lanes.mul(dy, gamma), mean);
                lanes.mul(scale, lanes.sub(g, lanes.mul(s, along)))
            });
        }
    }
}
