//! Gradient slots beside the tape's own gradients.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var, bail};
use testkit::{assert_close, rand_ids, randn};

use super::*;
use crate::tape::{Backward, Node, record};
use crate::{CrossEntropy, embedding, layer_norm, linear, linear_cross_entropy};

const VOCAB: usize = 11;

/// A table that is both embedding and head, a matrix, a scale and a shift.
fn parameters() -> Result<Vec<Var>> {
    let shapes: [&[usize]; 4] = [&[VOCAB, 5], &[5, 5], &[5], &[5]];
    let var = |(seed, shape): (usize, &&[usize])| {
        Var::from_tensor(&randn(seed as u64, *shape)?.to_dtype(DType::F32)?)
    };
    shapes.iter().enumerate().map(var).collect()
}

/// The loss of a small language model with tied weights.
fn tied(vars: &[Var], seed: u64) -> Result<Tensor> {
    let [table, w, gamma, beta] = vars else {
        unreachable!("four parameters")
    };
    let ids: Arc<[u32]> = rand_ids(seed, 9, VOCAB as u32).into();
    let targets = rand_ids(seed + 1, 9, VOCAB as u32).into();
    let x = embedding(ids, table)?;
    let x = linear(&x, w, None, None, Some(&x))?;
    let x = layer_norm(&x, None, gamma, Some(beta), 1e-5)?;
    linear_cross_entropy(&x, table, None, targets, &CrossEntropy::default())
}

fn slot(flat: &FlatGrads, var: &Var) -> Vec<f32> {
    let of = flat.of(var).expect("the processor's memory is there");
    of.expect("every parameter has a slot").to_vec()
}

fn stored(loss: Tensor, var: &Var) -> Result<Vec<f32>> {
    let grads = loss.backward()?;
    let grad = grads.get(var.as_tensor()).expect("reached");
    grad.flatten_all()?.to_vec1()
}

#[test]
fn slots_and_the_tape_give_the_same_bits_with_tied_weights() -> Result<()> {
    let vars = parameters()?;
    let mut flat = FlatGrads::new(&vars)?;
    flat.backward(tied(&vars, 1)?)?;
    for (i, var) in vars.iter().enumerate() {
        let want = stored(tied(&vars, 1)?, var)?;
        assert!(want.iter().any(|&g| g != 0.0));
        assert_eq!(slot(&flat, var), want, "parameter {i}");
    }
    Ok(())
}

#[test]
fn values_lie_in_the_order_of_the_parameters() -> Result<()> {
    let vars = parameters()?;
    let mut flat = FlatGrads::new(&vars)?;
    flat.backward(tied(&vars, 1)?)?;
    let joined: Vec<f32> = vars.iter().flat_map(|var| slot(&flat, var)).collect();
    assert_eq!(flat.values()?[..], joined);
    Ok(())
}

#[test]
fn two_passes_add_up_to_their_sum() -> Result<()> {
    let vars = parameters()?;
    let mut flat = FlatGrads::new(&vars)?;
    flat.backward(tied(&vars, 1)?)?;
    flat.backward(tied(&vars, 7)?)?;
    let sum = (tied(&vars, 1)? + tied(&vars, 7)?)?;
    for var in &vars {
        let want = Tensor::new(stored(sum.clone(), var)?, &Device::Cpu)?;
        let got = Tensor::new(slot(&flat, var), &Device::Cpu)?;
        // Four numbers below one, added in another order.
        assert_close(&got, &want, 3e-7)?;
    }
    flat.clear();
    flat.backward(tied(&vars, 7)?)?;
    assert_eq!(slot(&flat, &vars[1]), stored(tied(&vars, 7)?, &vars[1])?);
    Ok(())
}

#[test]
fn what_candles_own_operations_compute_lands_in_the_slot() -> Result<()> {
    let vars = parameters()?;
    let loss = || tied(&vars, 1)? + vars[1].sqr()?.sum_all()?;
    let mut flat = FlatGrads::new(&vars)?;
    flat.backward(loss()?)?;
    let want = Tensor::new(stored(loss()?, &vars[1])?, &Device::Cpu)?;
    let got = Tensor::new(slot(&flat, &vars[1]), &Device::Cpu)?;
    assert_close(&got, &want, 1e-6)?;
    assert_eq!(slot(&flat, &vars[0]), stored(loss()?, &vars[0])?);
    Ok(())
}

#[test]
fn a_parameter_that_nothing_reads_has_zeros_also_after_another_pass() -> Result<()> {
    let vars = parameters()?;
    let mut flat = FlatGrads::new(&vars)?;
    flat.backward(tied(&vars, 1)?)?;
    flat.clear();
    flat.backward(linear(&vars[0], &vars[1], None, None, None)?.sum_all()?)?;
    assert_eq!(slot(&flat, &vars[2]), [0.0; 5]);
    assert!(slot(&flat, &vars[1]).iter().all(|&g| g != 0.0));
    Ok(())
}

#[test]
fn parameters_without_a_slot_leave_their_gradient_to_the_tape() -> Result<()> {
    let vars = parameters()?;
    let mut flat = FlatGrads::new(&vars[1..])?;
    flat.backward(tied(&vars, 1)?)?;
    assert!(flat.of(&vars[0])?.is_none());
    assert_eq!(slot(&flat, &vars[1]), stored(tied(&vars, 1)?, &vars[1])?);
    Ok(())
}

/// Its backward pass fails, after one that worked.
struct Failing;

impl Node for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn backward(&self, _: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        bail!("no way back")
    }
}

#[test]
fn a_pass_that_fails_gives_the_buffer_back_and_ends_the_lending() -> Result<()> {
    let vars = parameters()?;
    let mut flat = FlatGrads::new(&vars)?;
    let broken = record(Failing, &[&vars[1]], vec![0f32; 25], (5, 5))?;
    let loss = linear(&vars[0], &broken, None, None, None)?;
    let message = flat.backward(loss).unwrap_err().to_string();
    assert!(message.contains("no way back"), "{message}");
    assert_eq!(flat.values()?.len(), VOCAB * 5 + 25 + 10);
    // Outside, the tape keeps its gradients.
    assert_eq!(stored(tied(&vars, 1)?, &vars[1])?.len(), 25);
    flat.clear();
    flat.backward(tied(&vars, 1)?)?;
    assert_eq!(slot(&flat, &vars[0]), stored(tied(&vars, 1)?, &vars[0])?);
    Ok(())
}

#[test]
fn double_precision_has_no_slots() -> Result<()> {
    let double = Var::from_tensor(&randn(1, (2, 2))?)?;
    assert!(FlatGrads::new([&double]).is_err());
    Ok(())
}
