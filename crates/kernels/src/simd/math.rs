//! Transcendental functions on vectors.
//!
//! `f32` uses polynomials at full vector width; `f64`, which only proves
//! gradients, uses the standard library lane by lane.

use candle_core::cpu::erf::erf_f64 as erf_of;
use pulp::Simd;

/// `e^x` within 2 units in the last place, for `x` in `[-87.3, 88.3]`; clamped
/// above, zero below, NaN for NaN: a broken score must not look like a small one.
///
/// `x = n·ln 2 + r` with `|r| ≤ ln 2 / 2`; a polynomial gives `e^r`, and `n` is
/// added to the exponent bits (Cephes, `expf`).
#[inline(always)]
pub(super) fn exp_f32<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// Adding it rounds to an integer, whose bits then sit at the bottom.
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23
    const LOWEST: f32 = -87.336_54;
    const HIGHEST: f32 = 88.376_26;
    const POWERS: [f32; 8] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
        1.0,
        1.0,
    ];
    let c = |x| simd.splat_f32s(x);
    let clamped = simd.min_f32s(simd.max_f32s(x, c(LOWEST)), c(HIGHEST));
    let shifted = simd.mul_add_e_f32s(clamped, c(std::f32::consts::LOG2_E), c(ROUND));
    let n = simd.sub_f32s(shifted, c(ROUND));
    let r = simd.mul_add_e_f32s(n, c(-0.693_359_4), clamped);
    let r = simd.mul_add_e_f32s(n, c(2.121_944_4e-4), r);

    let p = horner(simd, POWERS, r);

    let exponent =
        simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let scaled = simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), exponent));
    let y = simd.select_f32s(simd.less_than_f32s(x, c(LOWEST)), c(0.0), scaled);
    keep_nan(simd, x, y)
}

/// Error function within 1.2e-7, two units in the last place of one.
///
/// An odd polynomial near zero; beyond, `1 − e^p(|x|)`, whose tail keeps its
/// digits (minimax fits by N. Juffa).
#[inline(always)]
pub(super) fn erf_f32<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const SPLIT: f32 = 0.927_734_4;
    const NEAR: [f32; 6] = [
        -5.967_617e-4,
        4.991_194_3e-3,
        -2.676_813_5e-2,
        1.128_199_2e-1,
        -3.761_253_4e-1,
        1.283_791_7e-1,
    ];
    const FAR: [f32; 8] = [
        -1.728_534_7e-5,
        3.831_971_3e-4,
        -3.883_964_4e-3,
        2.425_462_2e-2,
        -1.067_778_8e-1,
        -6.348_467e-1,
        -1.287_175_2e-1,
        0.0,
    ];
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let near = simd.mul_add_e_f32s(horner(simd, NEAR, simd.mul_f32s(x, x)), x, x);
    let magnitude = simd.abs_f32s(x);
    let exponent = simd.sub_f32s(horner(simd, FAR, magnitude), magnitude);
    let positive = simd.sub_f32s(one, exp_f32(simd, exponent));
    let negative = simd.sub_f32s(zero, positive);
    let far = simd.select_f32s(simd.less_than_f32s(x, zero), negative, positive);
    let is_near = simd.less_than_f32s(magnitude, simd.splat_f32s(SPLIT));
    simd.select_f32s(is_near, near, far)
}

/// The polynomial at `x`, highest power first.
#[inline(always)]
fn horner<S: Simd, const N: usize>(simd: S, coefficients: [f32; N], x: S::f32s) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        sum = simd.mul_add_e_f32s(sum, x, simd.splat_f32s(coefficient));
    }
    sum
}

/// `y`, but NaN where `x` is: minima and maxima lose it.
#[inline(always)]
fn keep_nan<S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.select_f32s(simd.equal_f32s(x, x), y, x)
}

/// `e^x`, lane by lane.
#[inline(always)]
pub(super) fn exp_f64<S: Simd>(_: S, x: S::f64s) -> S::f64s {
    lanewise::<S>(x, f64::exp)
}

/// Error function, lane by lane.
#[inline(always)]
pub(super) fn erf_f64<S: Simd>(_: S, x: S::f64s) -> S::f64s {
    lanewise::<S>(x, erf_of)
}

#[inline(always)]
fn lanewise<S: Simd>(x: S::f64s, f: impl Fn(f64) -> f64) -> S::f64s {
    let mut values = [0f64; 8]; // the widest vector
    let values = &mut values[..S::F64_LANES];
    S::as_mut_simd_f64s(values).0[0] = x;
    for value in &mut *values {
        *value = f(*value);
    }
    S::as_simd_f64s(values).0[0]
}

#[cfg(test)]
mod tests {
    use super::super::{Kernel, Lanes, Real, map};
    use super::*;

    type Unary = fn(f64) -> f64;

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Tanh,
        Sigmoid,
        Erf,
    }

    struct Apply<'a, T>(Function, &'a [T], &'a mut [T]);

    impl<T: Real> Kernel<T> for Apply<'_, T> {
        type Output = ();
        #[inline(always)]
        fn run<L: Lanes<Elem = T>>(self, lanes: L) {
            match self.0 {
                Function::Exp => map(lanes, self.1, self.2, |v| lanes.exp(v)),
                Function::Tanh => map(lanes, self.1, self.2, |v| lanes.tanh(v)),
                Function::Sigmoid => map(lanes, self.1, self.2, |v| lanes.sigmoid(v)),
                Function::Erf => map(lanes, self.1, self.2, |v| lanes.erf(v)),
            }
        }
    }

    fn cases() -> [(Function, Unary, f64); 4] {
        [
            (Function::Exp, f64::exp, 2.5e-7), // relative
            (Function::Tanh, f64::tanh, 2e-7),
            (Function::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 2e-7),
            (Function::Erf, erf_of, 1.2e-7),
        ]
    }

    #[test]
    fn single_precision_is_close_to_the_definition() {
        let x: Vec<f32> = (-20_000..20_000).map(|i| i as f32 * 4.0e-3).collect();
        for (function, want, bound) in cases() {
            let mut y = vec![0f32; x.len()];
            f32::dispatch(Apply(function, &x, &mut y));
            for (&x, &y) in x.iter().zip(&y) {
                let want = want(f64::from(x));
                let error = (f64::from(y) - want).abs()
                    / want.abs().max(if matches!(function, Function::Exp) {
                        0.0
                    } else {
                        1.0
                    });
                assert!(error <= bound, "f({x}) = {y}, want {want}: {error:e}");
            }
        }
    }

    #[test]
    fn double_precision_is_exact_enough_to_prove_gradients() {
        let x: Vec<f64> = (-2_000..2_000).map(|i| f64::from(i) * 4.03e-2).collect();
        for (function, want, _) in cases() {
            let mut y = vec![0f64; x.len()];
            f64::dispatch(Apply(function, &x, &mut y));
            for (&x, &y) in x.iter().zip(&y) {
                let want = want(x);
                assert!(
                    (y - want).abs() <= 1e-14 * want.abs().max(1.0),
                    "f({x}) = {y}, want {want}"
                );
            }
        }
    }

    #[test]
    fn not_a_number_stays_so() {
        for function in [
            Function::Exp,
            Function::Tanh,
            Function::Sigmoid,
            Function::Erf,
        ] {
            let mut y = [0f32; 17];
            f32::dispatch(Apply(function, &[f32::NAN; 17], &mut y));
            assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
            let mut y = [0f64; 3];
            f64::dispatch(Apply(function, &[f64::NAN; 3], &mut y));
            assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
        }
    }

    #[test]
    fn a_masked_score_has_no_weight() {
        let x = [f32::NEG_INFINITY, -1e30, -200.0, 0.0];
        let mut y = [1f32; 4];
        f32::dispatch(Apply(Function::Exp, &x, &mut y));
        assert_eq!(y, [0.0, 0.0, 0.0, 1.0]);
    }
}
