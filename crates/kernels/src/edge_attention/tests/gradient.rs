//! Gradients against differences, and `f32` against `f64`.

use candle_core::{DType, Result};
use testkit::{assert_close, gradcheck_all, reach};

use super::*;
use crate::edge_attention_packed;

/// `f32` gradients are sums of up to 130 terms that err as scores do, by about 5e-6 of
/// numbers of order one that have either sign.
const SINGLE: f64 = 1e-4;

/// Every derivative against a difference.
fn check(mut case: Case) -> Result<()> {
    let vars = case.vars()?;
    let named: Vec<_> = vars.iter().map(|(name, var)| (*name, var)).collect();
    gradcheck_all(&named, || case.run())
}

#[test]
fn every_input_has_its_gradient_under_every_setting() -> Result<()> {
    for with in WITH {
        check(Case::new(random(1, (5, 5), 4, false)?, (2, 1, 4), with)?)?;
        check(Case::new(random(2, (3, 6), 3, true)?, (2, 2, 3), with)?)?;
    }
    Ok(())
}

#[test]
fn a_hub_of_many_blocks_has_its_gradients() -> Result<()> {
    check(Case::new(random(3, (2, 70), 2, true)?, (2, 1, 2), WITH[5])?)
}

#[test]
fn single_precision_gradients_are_close_to_double() -> Result<()> {
    for with in WITH {
        for heads in [
            (8, 8, 16),
            (8, 8, 8),
            (4, 4, 16),
            (16, 16, 32),
            (1, 1, 16),
            (4, 2, 12),
            (2, 1, 33),
        ] {
            let case = Case::new(random(4, (90, 90), 9, true)?, heads, with)?;
            let single = case.to_dtype(DType::F32)?.gradients()?;
            for (single, double) in single.iter().zip(&case.gradients()?) {
                assert_close(single, double, SINGLE)?;
            }
        }
    }
    Ok(())
}

#[test]
fn the_packed_tensor_has_one_gradient() -> Result<()> {
    let mut case = Case::new(random(5, (5, 5), 3, false)?, (2, 1, 4), WITH[5])?;
    let vars = case.vars()?;
    let qkv = Tensor::cat(&[&case.q, &case.k, &case.v], 1)?.detach();
    let qkv = Var::from_tensor(&qkv)?;
    let mut inputs = vec![("qkv", &qkv)];
    inputs.extend(vars[3..].iter().map(|(name, var)| (*name, var)));
    gradcheck_all(&inputs, || {
        edge_attention_packed(qkv.as_tensor(), &case.attention)
    })
}

#[test]
fn gradients_arrive_everywhere() -> Result<()> {
    let case = Case::new(random(6, (50, 50), 9, false)?, (2, 1, 8), WITH[5])?;
    let mut case = case.to_dtype(DType::F32)?;
    let vars = case.vars()?;
    let loss = case.run()?.sqr()?.sum_all()?;
    reach(&loss, vars)
}

#[test]
fn a_row_that_reads_nothing_or_is_not_read_has_zero_gradient() -> Result<()> {
    // Row 1 reads nothing, row 2 is not read.
    let edges = Arc::new(Edges::new(vec![0, 2, 2, 3], vec![0, 1, 1], 3)?);
    let grads = Case::new(edges, (1, 1, 4), With::default())?.gradients()?;
    for (grad, row) in [(&grads[0], 1), (&grads[1], 2), (&grads[2], 2)] {
        assert_eq!(grad.to_vec2::<f64>()?[row], [0.0; 4]);
    }
    Ok(())
}

#[test]
fn only_what_is_asked_for_is_given() -> Result<()> {
    let mut case = Case::new(random(7, (5, 5), 3, false)?, (1, 1, 4), WITH[5])?;
    let features = Var::from_tensor(case.attention.features.as_ref().unwrap())?;
    case.attention.features = Some(features.as_tensor().clone());
    let store = case.run()?.sum_all()?.backward()?;
    assert!(store.get(&features).is_some() && store.get(&case.q).is_none());
    Ok(())
}
