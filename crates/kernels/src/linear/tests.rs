//! The affine maps against their definition, differences, and each other.

use candle_core::{DType, Result, Var};
use testkit::{assert_close, gradcheck_all, oracle, randn, reach};

use super::*;

type Definition = fn(f64) -> f64;

const ACTIVATIONS: [(Option<Activation>, Definition); 6] = [
    (None, |x| x),
    (Some(Activation::GeluTanh), oracle::gelu_tanh),
    (Some(Activation::GeluErf), oracle::gelu_erf),
    (Some(Activation::Silu), oracle::silu),
    (Some(Activation::Relu), oracle::relu),
    (Some(Activation::Tanh), oracle::tanh),
];

/// `(n, in, out)`: around vector widths, nothing, and several pieces.
const SIZES: [(usize, usize, usize); 8] = [
    (1, 1, 1),
    (3, 17, 5),
    (17, 3, 65),
    (65, 65, 16),
    (300, 31, 129),
    (80, 65, 16),
    (0, 3, 4),
    (3, 0, 4),
];

fn var(seed: u64, shape: &[usize]) -> Result<Var> {
    Var::from_tensor(&randn(seed, shape)?)
}

#[test]
fn oracle_every_activation_in_both_types() -> Result<()> {
    for (n, d_in, out) in SIZES {
        let (x, w) = (randn(1, (n, d_in))?, randn(2, (out, d_in))?);
        let (b, r) = (randn(3, out)?, randn(4, (n, out))?);
        for (activation, definition) in ACTIVATIONS {
            for (bias, residual) in [(None, None), (Some(&b), None), (Some(&b), Some(&r))] {
                let want = oracle::map(&oracle::linear(&x, &w, bias)?, definition)?;
                let want = residual.map_or(Ok(want.clone()), |r| want + r)?;
                // A sum of d terms of size 1 errs by √d ulp, times its size, √d: 65 · 6e-8,
                // relative to results above one.
                for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 5e-6)] {
                    let cast = |t: &Tensor| t.to_dtype(dtype);
                    let (bias, residual) = (bias.map(cast), residual.map(cast));
                    let got = linear(
                        &cast(&x)?,
                        &cast(&w)?,
                        bias.transpose()?.as_ref(),
                        activation,
                        residual.transpose()?.as_ref(),
                    )?;
                    assert_close(&got, &want, tolerance)?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn oracle_maps_side_by_side() -> Result<()> {
    for (n, d_in, out) in SIZES {
        let x = randn(1, (n, d_in))?;
        let widths = [out, 1, 2 * out];
        let mut weights = Vec::new();
        for (i, &out) in widths.iter().enumerate() {
            let seed = 10 * i as u64;
            weights.push((randn(seed + 2, (out, d_in))?, randn(seed + 3, out)?));
        }
        // The middle one has no bias.
        let bias = |i: usize| (i != 1).then_some(&weights[i].1);
        let maps: Vec<_> = (0..3).map(|i| (&weights[i].0, bias(i))).collect();
        let got = linear_concat(&x, &maps)?;
        assert_eq!(got.dims(), [n, 3 * out + 1]);
        if n == 0 {
            continue; // Candle cannot read a narrowed tensor without rows.
        }
        let mut first = 0;
        for (i, &out) in widths.iter().enumerate() {
            let want = oracle::linear(&x, maps[i].0, maps[i].1)?;
            assert_close(&got.narrow(1, first, out)?, &want, 1e-12)?;
            first += out;
        }
    }
    Ok(())
}

#[test]
fn gradients_match_differences_for_every_activation() -> Result<()> {
    let (x, w) = (var(1, &[5, 7])?, var(2, &[3, 7])?);
    let (b, r) = (var(3, &[3])?, var(4, &[5, 3])?);
    let all = [("x", &x), ("w", &w), ("b", &b), ("r", &r)];
    for (activation, _) in ACTIVATIONS {
        gradcheck_all(&all, || linear(&x, &w, Some(&b), activation, Some(&r)))?;
        gradcheck_all(&all[..2], || linear(&x, &w, None, activation, None))?;
    }
    // More rows than inputs, and more inputs than outputs: the weight's is made turned.
    let (x, w) = (var(1, &[19, 18])?, var(2, &[3, 18])?);
    gradcheck_all(&[("x", &x), ("w", &w)], || linear(&x, &w, None, None, None))
}

/// From so many rows on, several maps are one product.
#[test]
fn maps_of_many_rows_are_those_of_few_and_so_are_their_gradients() -> Result<()> {
    let (few, many) = (cpu::ROWS_TO_JOIN - 1, cpu::ROWS_TO_JOIN);
    let (w0, w1, w2) = (var(2, &[3, 5])?, var(3, &[2, 5])?, var(4, &[9, 5])?);
    let (b0, b2) = (var(5, &[3])?, var(6, &[9])?);
    let parts = [(&*w0, Some(&*b0)), (&*w1, None), (&*w2, Some(&*b2))];
    let vars = [&w0, &w1, &w2, &b0, &b2];
    let x = randn(1, (many + few, 5))?;
    let dy = randn(7, (many + few, 14))?;
    let sums = |pieces: &[(usize, usize)]| -> Result<Vec<Tensor>> {
        let mut all: Vec<Tensor> = vars.iter().map(|v| v.zeros_like()).collect::<Result<_>>()?;
        let (mut results, mut inputs) = (Vec::new(), Vec::new());
        for &(first, n) in pieces {
            let x = Var::from_tensor(&x.narrow(0, first, n)?.copy()?)?;
            let y = linear_concat(&x, &parts)?;
            let grads = (&y * dy.narrow(0, first, n)?)?.sum_all()?.backward()?;
            for (sum, var) in all.iter_mut().zip(vars) {
                *sum = (&*sum + grads.get(var).expect("every weight is reached"))?;
            }
            results.push(y.detach());
            inputs.push(grads.get(&x).expect("the input is reached").clone());
        }
        all.extend([Tensor::cat(&results, 0)?, Tensor::cat(&inputs, 0)?]);
        Ok(all)
    };
    let apart = [(0, few), (few, few), (2 * few, 1)];
    for (together, apart) in sums(&[(0, many), (many, few)])?.iter().zip(sums(&apart)?) {
        assert_close(together, &apart, 1e-12)?;
    }
    Ok(())
}

#[test]
fn gradients_match_differences_for_maps_side_by_side() -> Result<()> {
    let (x, w0, w1) = (var(1, &[4, 5])?, var(2, &[3, 5])?, var(3, &[2, 5])?);
    let b1 = var(4, &[2])?;
    let all = [("x", &x), ("w0", &w0), ("w1", &w1), ("b1", &b1)];
    gradcheck_all(&all, || linear_concat(&x, &[(&w0, None), (&w1, Some(&b1))]))
}

#[test]
fn gradients_in_single_precision_are_those_of_double() -> Result<()> {
    for (n, d_in, out) in SIZES {
        for (activation, _) in ACTIVATIONS {
            // ReLU's derivative jumps where rounding decides.
            if activation == Some(Activation::Relu) {
                continue;
            }
            let grads = |dtype| -> Result<Vec<Tensor>> {
                let shapes: [&[usize]; 4] = [&[n, d_in], &[out, d_in], &[out], &[n, out]];
                let vars = shapes
                    .iter()
                    .zip(1..)
                    .map(|(&shape, seed)| Var::from_tensor(&randn(seed, shape)?.to_dtype(dtype)?));
                let vars: Vec<Var> = vars.collect::<Result<_>>()?;
                let y = linear(
                    &vars[0],
                    &vars[1],
                    Some(&vars[2]),
                    activation,
                    Some(&vars[3]),
                )?;
                let dy = randn(9, (n, out))?.to_dtype(dtype)?;
                let store = (y * dy)?.sum_all()?.backward()?;
                let grad = |v: &Var| store.get(v.as_tensor()).cloned();
                Ok(vars.iter().filter_map(grad).collect())
            };
            let (single, double) = (grads(DType::F32)?, grads(DType::F64)?);
            assert_eq!(double.len(), 4);
            for (single, double) in single.iter().zip(&double) {
                // Sums of up to 300 terms of size 1, and derivatives of activations
                // whose argument is off by 5e-6.
                assert_close(single, double, 3e-5)?;
            }
        }
    }
    Ok(())
}

#[test]
fn a_row_depends_on_no_other_row() -> Result<()> {
    let (x, w) = (randn(1, (6, 33))?, randn(2, (9, 33))?);
    let f = Some(Activation::GeluErf);
    let all = linear(&x, &w, None, f, None)?;
    for row in 0..6 {
        let one = linear(&x.narrow(0, row, 1)?, &w, None, f, None)?;
        // Another shape is another order of summation.
        assert_close(&one, &all.narrow(0, row, 1)?, 1e-13)?;
    }
    Ok(())
}

#[test]
fn every_argument_is_reached() -> Result<()> {
    let (x, w, b) = (var(1, &[5, 7])?, var(2, &[3, 7])?, var(3, &[3])?);
    let (r, v) = (var(4, &[5, 3])?, var(5, &[2, 3])?);
    let y = linear(&x, &w, Some(&b), Some(Activation::Silu), Some(&r))?;
    let y = linear_concat(&y, &[(&v, None), (&v, None)])?;
    let all = [("x", &x), ("w", &w), ("b", &b), ("r", &r), ("v", &v)];
    reach(&y.sum_all()?, all)
}

#[test]
fn shapes_and_types_that_disagree_are_refused() -> Result<()> {
    let (x, w) = (randn(1, (5, 7))?, randn(2, (3, 7))?);
    let (b, r) = (randn(3, 4)?, randn(4, (5, 4))?);
    assert!(linear(&x, &x.t()?, None, None, None).is_err());
    assert!(linear(&x, &w, Some(&b), None, None).is_err());
    assert!(linear(&x, &w, None, None, Some(&r)).is_err());
    assert!(linear(&x, &w.to_dtype(DType::F32)?, None, None, None).is_err());
    assert!(linear(&randn(1, (7, 5))?.t()?, &w, None, None, None).is_err());
    assert!(linear_concat(&x, &[]).is_err());
    Ok(())
}
