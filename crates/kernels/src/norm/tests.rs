//! The norms against their definition, differences, and each other.

use candle_core::{DType, Result, Tensor, Var};
use testkit::{assert_close, gradcheck_all, max_error, oracle, randn, reach};

use super::*;

/// Widths below, at and above every vector width, and ragged.
const WIDTHS: [usize; 6] = [1, 3, 16, 17, 65, 256];
const EPS: f64 = 1e-5;

fn var(seed: u64, shape: &[usize]) -> Result<Var> {
    Var::from_tensor(&randn(seed, shape)?)
}

#[test]
fn oracle_both_norms_in_both_types() -> Result<()> {
    for d in WIDTHS {
        let (x, r) = (randn(1, (5, d))?, randn(2, (5, d))?);
        let (gamma, beta) = (randn(3, d)?, randn(4, d)?);
        let s = (&x + &r)?;
        let layer = oracle::layer_norm(&s, &gamma, Some(&beta), EPS)?;
        let rms = oracle::rms_norm(&s, &gamma, EPS)?;
        // A sum of d terms errs by √d ulp; a row may amplify that by 1/√ε = 316 if
        // its variance is tiny, which normal numbers of d = 1 always have.
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 3e-6)] {
            let [x, r, gamma, beta] = [&x, &r, &gamma, &beta].map(|t| t.to_dtype(dtype));
            let (x, r, gamma, beta) = (x?, r?, gamma?, beta?);
            let got = layer_norm(&x, Some(&r), &gamma, Some(&beta), EPS)?;
            assert_close(&got, &layer, tolerance)?;
            let got = rms_norm(&x, Some(&r), &gamma, EPS)?;
            assert_close(&got, &rms, tolerance)?;
        }
    }
    Ok(())
}

/// The textbook's `E[x²] − E[x]²` would have no digit left here.
#[test]
fn oracle_a_large_mean_costs_no_more_than_its_own_rounding() -> Result<()> {
    let x = (randn(5, (4, 64))? + 4096.0)?.to_dtype(DType::F32)?;
    let gamma = Tensor::ones(64, DType::F32, x.device())?;
    let want = oracle::layer_norm(&x, &gamma, None, EPS)?;
    let got = layer_norm(&x, None, &gamma, None, EPS)?;
    // The mean is rounded to 2⁻²⁴ · 4096 = 2.4e-4, a few times over.
    let error = max_error(&got, &want)?;
    assert!(error < 1e-3, "{error}");
    Ok(())
}

#[test]
fn gradients_match_differences_for_every_argument() -> Result<()> {
    for d in [1, 3, 9] {
        let (x, r) = (var(1, &[2, 2, d])?, var(2, &[2, 2, d])?);
        let (gamma, beta) = (var(3, &[d])?, var(4, &[d])?);
        let all = [("x", &x), ("r", &r), ("gamma", &gamma), ("beta", &beta)];
        gradcheck_all(&all, || layer_norm(&x, Some(&r), &gamma, Some(&beta), 0.1))?;
        gradcheck_all(&all[..3], || layer_norm(&x, Some(&r), &gamma, None, 0.1))?;
        gradcheck_all(&all[..3], || rms_norm(&x, Some(&r), &gamma, 0.1))?;
        gradcheck_all(&[all[0], all[2]], || rms_norm(&x, None, &gamma, 0.1))?;
    }
    Ok(())
}

#[test]
fn gradients_in_single_precision_are_those_of_double() -> Result<()> {
    for d in WIDTHS {
        let grads = |dtype| -> Result<Vec<Tensor>> {
            let vars = [(1, vec![7, d]), (2, vec![7, d]), (3, vec![d]), (4, vec![d])]
                .map(|(seed, shape)| Var::from_tensor(&randn(seed, shape)?.to_dtype(dtype)?));
            let [x, r, gamma, beta] = vars;
            let (x, r, gamma, beta) = (x?, r?, gamma?, beta?);
            let y = layer_norm(&x, Some(&r), &gamma, Some(&beta), EPS)?;
            let loss = (y * randn(5, (7, d))?.to_dtype(dtype)?)?.sum_all()?;
            let store = loss.backward()?;
            let grad = |v: &Var| store.get(v.as_tensor()).cloned();
            Ok([&x, &r, &gamma, &beta]
                .into_iter()
                .filter_map(grad)
                .collect())
        };
        for (single, double) in grads(DType::F32)?.iter().zip(grads(DType::F64)?) {
            // As for the values; sums over rows add a few ulp.
            assert_close(single, &double, 1e-5)?;
        }
    }
    Ok(())
}

#[test]
fn a_row_depends_on_no_other_row() -> Result<()> {
    let (x, gamma) = (randn(1, (6, 33))?, randn(2, 33)?);
    let all = layer_norm(&x, None, &gamma, None, EPS)?;
    for row in 0..6 {
        let one = layer_norm(&x.narrow(0, row, 1)?, None, &gamma, None, EPS)?;
        assert_close(&one, &all.narrow(0, row, 1)?, 0.0)?;
    }
    Ok(())
}

#[test]
fn layer_norm_ignores_a_shift_and_rms_norm_a_scale() -> Result<()> {
    let (x, gamma) = (randn(1, (3, 20))?, randn(2, 20)?);
    let shifted = layer_norm(&(&x + 3.0)?, None, &gamma, None, EPS)?;
    assert_close(&shifted, &layer_norm(&x, None, &gamma, None, EPS)?, 1e-12)?;
    let scaled = rms_norm(&(&x * 3.0)?, None, &gamma, 0.0)?;
    assert_close(&scaled, &rms_norm(&x, None, &gamma, 0.0)?, 1e-12)
}

#[test]
fn no_rows_and_no_columns_are_no_error() -> Result<()> {
    for shape in [(0, 4), (4, 0)] {
        let x = var(1, &[shape.0, shape.1])?;
        let y = layer_norm(&x, None, &randn(2, shape.1)?, None, EPS)?;
        assert_eq!(y.dims(), x.dims());
        y.sum_all()?.backward()?;
    }
    Ok(())
}

#[test]
fn every_parameter_is_reached() -> Result<()> {
    let (x, r) = (var(1, &[3, 8])?, var(2, &[3, 8])?);
    let (gamma, beta) = (var(3, &[8])?, var(4, &[8])?);
    let y = layer_norm(&x, Some(&r), &gamma, Some(&beta), EPS)?;
    let y = rms_norm(&y, Some(&x.as_tensor().clone()), &gamma, EPS)?;
    let params = [("x", &x), ("r", &r), ("gamma", &gamma), ("beta", &beta)];
    reach(&(y * randn(5, (3, 8))?)?.sum_all()?, params)
}

#[test]
fn shapes_and_types_that_disagree_are_refused() -> Result<()> {
    let (x, gamma) = (randn(1, (3, 8))?, randn(2, 8)?);
    let other = randn(2, 7)?;
    assert!(layer_norm(&x, None, &other, None, EPS).is_err());
    assert!(layer_norm(&x, None, &gamma, Some(&other), EPS).is_err());
    assert!(layer_norm(&x, Some(&gamma), &gamma, None, EPS).is_err());
    assert!(rms_norm(&x, None, &gamma.to_dtype(DType::F32)?, EPS).is_err());
    assert!(rms_norm(&x.t()?, None, &randn(2, 3)?, EPS).is_err());
    Ok(())
}

#[test]
fn groups_of_a_row_are_rows_of_their_own() -> Result<()> {
    let (x, gamma) = (var(1, &[3, 8])?, var(2, &[4])?);
    let rows = oracle::rms_norm(&x.reshape((6, 4))?, &gamma, EPS)?;
    let y = rms_norm_groups(&x, &gamma, EPS)?;
    assert_close(&y, &rows.reshape((3, 8))?, 1e-12)?;
    let inputs = [("x", &x), ("gamma", &gamma)];
    gradcheck_all(&inputs, || rms_norm_groups(&x, &gamma, EPS))?;
    reach(&(y * randn(3, (3, 8))?)?.sum_all()?, inputs)?;
    assert!(rms_norm_groups(&x, &randn(2, 3)?, EPS).is_err());
    Ok(())
}
