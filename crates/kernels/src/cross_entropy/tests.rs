//! Cross-entropy against its definition, differences, and itself in other words.

use candle_core::{DType, Result, Tensor, Var};
use testkit::{assert_close, gradcheck_all, oracle, rand_ids, randn, reach};

use super::*;
use crate::linear;

const IGNORED: u32 = u32::MAX;

fn var(seed: u64, shape: &[usize]) -> Result<Var> {
    Var::from_tensor(&randn(seed, shape)?)
}

/// Random targets, every fourth of them ignored.
fn targets(seed: u64, n: usize, classes: usize) -> Arc<[u32]> {
    let mut targets = rand_ids(seed, n, classes as u32);
    targets.iter_mut().step_by(4).for_each(|t| *t = IGNORED);
    targets.into()
}

fn smoothed(label_smoothing: f64) -> CrossEntropy {
    CrossEntropy {
        ignore_index: Some(IGNORED),
        label_smoothing,
        divisor: None,
    }
}

/// Sizes `(n, in, classes)`: vectors shorter and longer than the machine's, more
/// than one piece, more than one chunk.
const SIZES: [(usize, usize, usize); 6] = [
    (2, 1, 1),
    (3, 5, 3),
    (9, 17, 17),
    (65, 3, 65),
    (300, 4, 257),
    (130, 2, 9001),
];

#[test]
fn oracle_both_forms_in_both_types() -> Result<()> {
    for (n, d, classes) in SIZES {
        let (x, w, b) = (
            randn(1, (n, d))?,
            randn(2, (classes, d))?,
            randn(3, classes)?,
        );
        let targets = targets(4, n, classes);
        for smoothing in [0.0, 0.1, 1.0] {
            let objective = smoothed(smoothing);
            let logits = oracle::linear(&x, &w, Some(&b))?;
            let want = oracle::cross_entropy(&logits, &targets, IGNORED, smoothing)?;
            let want = Tensor::new(want, x.device())?;
            // Sums in f32 run over up to 9001 terms in 8 or more lanes: about 30 ulp.
            for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
                let [x, w, b] = [&x, &w, &b].map(|t| t.to_dtype(dtype));
                let (x, w, b) = (x?, w?, b?);
                let got = linear_cross_entropy(&x, &w, Some(&b), targets.clone(), &objective)?;
                assert_close(&got, &want, tolerance)?;
                let logits = linear(&x, &w, Some(&b), None, None)?;
                let got = cross_entropy(&logits, targets.clone(), &objective)?;
                assert_close(&got, &want, tolerance)?;
            }
        }
    }
    Ok(())
}

#[test]
fn oracle_evaluation_counts_and_adds_up() -> Result<()> {
    for (n, d, classes) in SIZES {
        let (x, w, b) = (
            randn(1, (n, d))?,
            randn(2, (classes, d))?,
            randn(3, classes)?,
        );
        let targets = targets(4, n, classes);
        let logits = oracle::linear(&x, &w, Some(&b))?;
        let best = argmax_rows(&logits)?;
        for (row, logits) in logits.to_vec2::<f64>()?.iter().enumerate() {
            let first = logits.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let first = logits.iter().position(|&x| x == first).unwrap();
            assert_eq!(best[row] as usize, first);
        }
        let got = linear_cross_entropy_eval(&x, &w, Some(&b), &targets, &smoothed(0.1))?;
        let want: f64 = oracle::cross_entropy_rows(&logits, &targets, IGNORED, 0.1)?
            .iter()
            .sum();
        assert!((got.loss - want).abs() <= 1e-10 * want, "{got:?}, {want}");
        let valid = targets.iter().filter(|&&t| t != IGNORED).count();
        let correct = targets.iter().zip(&best).filter(|(t, b)| t == b).count();
        assert_eq!((got.n_valid, got.n_correct), (valid, correct));
    }
    Ok(())
}

#[test]
fn gradients_match_differences_for_every_argument() -> Result<()> {
    for smoothing in [0.0, 0.3] {
        let (x, w, b) = (var(1, &[5, 3])?, var(2, &[4, 3])?, var(3, &[4])?);
        let (targets, objective) = (targets(4, 5, 4), smoothed(smoothing));
        let all = [("x", &x), ("w", &w), ("b", &b)];
        // Times 3: the upstream gradient is not one.
        gradcheck_all(&all, || {
            linear_cross_entropy(&x, &w, Some(&b), targets.clone(), &objective)? * 3.0
        })?;
        gradcheck_all(&all[..2], || {
            linear_cross_entropy(&x, &w, None, targets.clone(), &objective)
        })?;
        gradcheck_all(&all[1..2], || {
            linear_cross_entropy(
                x.as_detached_tensor().as_ref(),
                &w,
                None,
                targets.clone(),
                &objective,
            )
        })?;
        let logits = var(5, &[5, 4])?;
        gradcheck_all(&[("logits", &logits)], || {
            cross_entropy(&logits, targets.clone(), &objective)? * 3.0
        })?;
    }
    Ok(())
}

#[test]
fn gradients_over_chunks_and_in_single_precision_are_those_of_composed_operations() -> Result<()> {
    for (n, d, classes) in SIZES {
        let targets = targets(4, n, classes);
        let objective = smoothed(0.1);
        let grads = |dtype, fused: bool| -> Result<Vec<Tensor>> {
            let var = |seed, shape: &[usize]| -> Result<Var> {
                Var::from_tensor(&randn(seed, shape)?.to_dtype(dtype)?)
            };
            let (x, w, b) = (
                var(1, &[n, d])?,
                var(2, &[classes, d])?,
                var(3, &[classes])?,
            );
            let loss = if fused {
                linear_cross_entropy(&x, &w, Some(&b), targets.clone(), &objective)?
            } else {
                let logits = linear(&x, &w, Some(&b), None, None)?;
                cross_entropy(&logits, targets.clone(), &objective)?
            };
            let store = loss.backward()?;
            let grad = |v: &Var| store.get(v.as_tensor()).cloned();
            Ok([&x, &w, &b].into_iter().filter_map(grad).collect())
        };
        let want = grads(DType::F64, false)?;
        assert_eq!(want.len(), 3);
        for (got, want) in grads(DType::F64, true)?.iter().zip(&want) {
            assert_close(got, want, 1e-13)?;
        }
        for (got, want) in grads(DType::F32, true)?.iter().zip(&want) {
            assert_close(got, want, 1e-6)?;
        }
    }
    Ok(())
}

#[test]
fn ignored_rows_have_no_say() -> Result<()> {
    let (x, w) = (var(1, &[3, 4])?, var(2, &[5, 4])?);
    let objective = smoothed(0.2);
    let all = linear_cross_entropy(&x, &w, None, vec![1, IGNORED, 3].into(), &objective)?;
    let kept = Tensor::cat(&[x.narrow(0, 0, 1)?, x.narrow(0, 2, 1)?], 0)?;
    let some = linear_cross_entropy(&kept, &w, None, vec![1, 3].into(), &objective)?;
    assert_close(&all, &some, 1e-15)?;
    let grads = all.backward()?;
    let dx = grads.get(x.as_tensor()).unwrap().to_vec2::<f64>()?;
    assert_eq!(dx[1], [0.0; 4]);
    Ok(())
}

#[test]
fn a_divisor_replaces_the_count_so_that_micro_batches_add_up() -> Result<()> {
    let (x, w) = (randn(1, (4, 3))?, randn(2, (5, 3))?);
    let whole = smoothed(0.0);
    let part = CrossEntropy {
        divisor: Some(3.0),
        ..whole
    };
    let targets = [0, IGNORED, 2, 4];
    let loss = |first: usize, n: usize, objective| {
        let targets = targets[first..first + n].into();
        linear_cross_entropy(&x.narrow(0, first, n)?, &w, None, targets, objective)
    };
    let sum = (loss(0, 1, &part)? + loss(1, 3, &part)?)?;
    assert_close(&sum, &loss(0, 4, &whole)?, 1e-14)
}

#[test]
fn a_batch_without_a_target_is_nan_and_moves_nothing() -> Result<()> {
    let (x, w) = (var(1, &[2, 3])?, var(2, &[4, 3])?);
    let loss = linear_cross_entropy(&x, &w, None, vec![IGNORED; 2].into(), &smoothed(0.0))?;
    assert!(loss.to_scalar::<f64>()?.is_nan());
    let grads = loss.backward()?;
    for v in [&x, &w] {
        let grad = grads.get(v.as_tensor()).unwrap();
        assert_eq!(grad.abs()?.sum_all()?.to_scalar::<f64>()?, 0.0);
    }
    Ok(())
}

#[test]
fn a_logit_that_is_not_a_number_shows_in_the_loss() -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        for broken in 0..20 {
            let mut logits = vec![0.5f64; 20];
            logits[broken] = f64::NAN;
            let logits = Tensor::from_vec(logits, (1, 20), &candle_core::Device::Cpu)?;
            let logits = logits.to_dtype(dtype)?;
            let loss = cross_entropy(&logits, vec![3].into(), &CrossEntropy::default())?;
            assert!(loss.to_dtype(DType::F64)?.to_scalar::<f64>()?.is_nan());
        }
    }
    Ok(())
}

#[test]
fn large_logits_do_not_overflow() -> Result<()> {
    let logits = Tensor::new(
        &[[1e30f32, 0.0, -1e30], [-1e30, -1e30, -1e30]],
        &candle_core::Device::Cpu,
    )?;
    let loss = cross_entropy(&logits, vec![0, 1].into(), &CrossEntropy::default())?;
    let want = 3f32.ln() / 2.0;
    assert!((loss.to_scalar::<f32>()? - want).abs() < 1e-6);
    Ok(())
}

#[test]
fn every_parameter_is_reached() -> Result<()> {
    let (x, w, b) = (var(1, &[6, 3])?, var(2, &[4, 3])?, var(3, &[4])?);
    let loss = linear_cross_entropy(&x, &w, Some(&b), targets(4, 6, 4), &smoothed(0.0))?;
    reach(&loss, [("x", &x), ("w", &w), ("b", &b)])
}

#[test]
fn of_equal_logits_the_first_counts() -> Result<()> {
    let x = Tensor::new(
        &[[1f32, 3.0, 3.0], [2.0, 2.0, 2.0]],
        &candle_core::Device::Cpu,
    )?;
    assert_eq!(argmax_rows(&x)?, [1, 0]);
    let identity = Tensor::eye(3, DType::F32, x.device())?;
    let score = |targets: &[u32]| {
        linear_cross_entropy_eval(&x, &identity, None, targets, &CrossEntropy::default())
    };
    assert_eq!(score(&[1, 0])?.n_correct, 2);
    assert_eq!(score(&[2, 1])?.n_correct, 0);
    Ok(())
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_value() -> Result<()> {
    let (x, w) = (randn(1, (2, 3))?, randn(2, (4, 3))?);
    let default = CrossEntropy::default();
    let message = |targets: &[u32], objective: CrossEntropy| {
        linear_cross_entropy(&x, &w, None, targets.into(), &objective)
            .map_err(|e| e.to_string())
            .unwrap_err()
    };
    for (got, want) in [
        (
            message(&[0, 4], default),
            "target 4 of row 1 is not below 4 classes",
        ),
        (message(&[0], default), "2 rows, 1 targets"),
        (message(&[0, 1], smoothed(1.5)), "label_smoothing = 1.5"),
        (
            message(&[0, 1], smoothed(f64::NAN)),
            "label_smoothing = NaN",
        ),
        (
            message(
                &[0, 1],
                CrossEntropy {
                    divisor: Some(0.0),
                    ..default
                },
            ),
            "divisor = 0",
        ),
    ] {
        assert!(got.contains(want), "{got}");
    }
    assert!(linear_cross_entropy(&x, &x, Some(&x), vec![0, 1].into(), &default).is_err());
    assert!(argmax_rows(&Tensor::zeros((2, 0), DType::F32, x.device())?).is_err());
    Ok(())
}
