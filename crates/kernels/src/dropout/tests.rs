//! Dropout against its definition, its statistics, and differences.

use candle_core::{DType, Result, Tensor, Var};
use testkit::{assert_close, gradcheck_all, randn, reach};

use super::*;
use crate::rng::Domain;

fn key(seed: u64) -> Key {
    Key {
        seed,
        domain: Domain::Dropout,
        step: 3,
        site: 5,
    }
}

/// The definition: one word at a time.
fn definition(x: &Tensor, residual: Option<&Tensor>, p: f32, key: Key) -> Result<Tensor> {
    let p = f64::from(p);
    let flat = x.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    let kept = (0..).zip(flat).map(|(i, x)| {
        let kept = f64::from(key.word(i)) >= (p * 2f64.powi(32)).floor();
        if kept { x / (1.0 - p) } else { 0.0 }
    });
    let y = Tensor::from_vec(kept.collect(), x.shape(), x.device())?;
    residual.map_or(Ok(y.clone()), |r| y + r)
}

#[test]
fn oracle_in_both_types_with_and_without_residual() -> Result<()> {
    for n in [0, 1, 3, 17, 63, 64, 65, 40_000] {
        let (x, r) = (randn(1, n)?, randn(2, n)?);
        for p in [0.0, 0.1, 0.75] {
            for residual in [None, Some(&r)] {
                let want = definition(&x, residual, p, key(7))?;
                assert_close(&dropout(&x, residual, p, key(7))?, &want, 1e-14)?;
                let single = |t: &Tensor| t.to_dtype(DType::F32);
                let residual = residual.map(single).transpose()?;
                let got = dropout(&single(&x)?, residual.as_ref(), p, key(7))?;
                // Two roundings of numbers up to 16, one of which is 5e-7.
                assert_close(&got, &want, 1e-6)?;
            }
        }
    }
    Ok(())
}

#[test]
fn gradients_match_differences() -> Result<()> {
    let x = Var::from_tensor(&randn(1, (7, 11))?)?;
    let r = Var::from_tensor(&randn(2, (7, 11))?)?;
    let all = [("x", &x), ("r", &r)];
    gradcheck_all(&all, || dropout(&x, Some(&r), 0.4, key(1)))?;
    gradcheck_all(&all[..1], || dropout(&x, None, 0.4, key(1)))?;
    let fixed = x.as_detached_tensor();
    gradcheck_all(&all[1..], || dropout(&fixed, Some(&r), 0.4, key(1)))
}

#[test]
fn the_share_of_dropped_elements_is_p_and_the_mean_is_kept() -> Result<()> {
    let n = 100_000;
    let ones = Tensor::ones(n, DType::F32, &candle_core::Device::Cpu)?;
    for p in [0.1f32, 0.5, 0.9] {
        let y = dropout(&ones, None, p, key(11))?.to_vec1::<f32>()?;
        let dropped = y.iter().filter(|&&y| y == 0.0).count() as f64 / n as f64;
        let p = f64::from(p);
        // Five standard errors.
        let bound = 5.0 * (p * (1.0 - p) / n as f64).sqrt();
        assert!((dropped - p).abs() < bound, "{dropped} of {p}");
        let mean = y.iter().map(|&y| f64::from(y)).sum::<f64>() / n as f64;
        assert!((mean - 1.0).abs() < bound / (1.0 - p) + 1e-6, "{mean}");
    }
    Ok(())
}

#[test]
fn keys_drop_different_elements_and_one_key_the_same() -> Result<()> {
    let x = randn(1, 1000)?;
    let draw = |key| dropout(&x, None, 0.5, key)?.to_vec1::<f64>();
    assert_eq!(draw(key(1))?, draw(key(1))?);
    assert_ne!(draw(key(1))?, draw(key(2))?);
    assert_ne!(draw(key(1))?, draw(Key { site: 6, ..key(1) })?);
    Ok(())
}

#[test]
fn every_argument_is_reached() -> Result<()> {
    let x = Var::from_tensor(&randn(1, (4, 8))?)?;
    let r = Var::from_tensor(&randn(2, (4, 8))?)?;
    let y = dropout(&x, Some(&r), 0.5, key(1))?;
    reach(&y.sum_all()?, [("x", &x), ("r", &r)])
}

#[test]
fn a_p_that_is_no_probability_is_refused() -> Result<()> {
    let x = randn(1, 3)?;
    for p in [-0.1, 1.0, f32::NAN] {
        assert!(dropout(&x, None, p, key(1)).is_err(), "{p}");
    }
    assert!(dropout(&x, Some(&randn(1, 4)?), 0.1, key(1)).is_err());
    Ok(())
}
