//! Gradients against differences, and `f32` against `f64`.

use candle_core::{DType, Result, Tensor, Var};
use testkit::{assert_close, gradcheck_all, randn, reach};

use super::oracle::key;
use super::*;

/// `f32` gradients are sums over up to 130 queries of terms that err as scores do,
/// by about 5e-6 of numbers of order one that have either sign.
const SINGLE: f64 = 1e-4;

impl Case {
    /// The inputs as variables: queries, keys, values, and the table if there is one.
    fn vars(&mut self) -> Result<Vec<(&'static str, Var)>> {
        let mut vars = Vec::new();
        for (name, x) in [("q", &mut self.q), ("k", &mut self.k), ("v", &mut self.v)] {
            let var = Var::from_tensor(x)?;
            *x = var.as_tensor().clone();
            vars.push((name, var));
        }
        if let Some(bias) = &mut self.attention.bias {
            let var = Var::from_tensor(&bias.table)?;
            bias.table = var.as_tensor().clone();
            vars.push(("table", var));
        }
        Ok(vars)
    }

    /// Gradients of a fixed contraction of the results by all inputs.
    fn gradients(mut self) -> Result<Vec<Tensor>> {
        let vars = self.vars()?;
        let y = self.run()?;
        let cotangent = randn(77, y.shape())?.to_dtype(y.dtype())?;
        let grads = (y * cotangent)?.sum_all()?.backward()?;
        let grad = |(_, var): &(_, Var)| Ok(grads.get(var.as_tensor()).unwrap().clone());
        vars.iter().map(grad).collect()
    }
}

/// Every derivative against a difference.
fn check(mut case: Case) -> Result<()> {
    let vars = case.vars()?;
    let named: Vec<_> = vars.iter().map(|(name, var)| (*name, var)).collect();
    gradcheck_all(&named, || case.run())
}

/// The derivative in a few directions against differences, and `f32` against `f64`:
/// for cases with too many inputs to nudge one by one.
fn check_large(case: &Case) -> Result<()> {
    let grads = case.clone().gradients()?;
    let loss = |case: &Case| -> Result<f64> {
        let y = case.run()?;
        (&y * randn(77, y.shape())?)?.sum_all()?.to_scalar()
    };
    for (i, grad) in grads.iter().enumerate() {
        let direction = randn(40 + i as u64, grad.shape())?;
        let along = |by: f64| -> Result<f64> {
            let mut moved = case.clone();
            let table = moved.attention.bias.as_mut().map(|bias| &mut bias.table);
            let mut inputs = [&mut moved.q, &mut moved.k, &mut moved.v]
                .into_iter()
                .chain(table);
            let input = inputs.nth(i).unwrap();
            *input = (&*input + (&direction * by)?)?;
            drop(inputs);
            loss(&moved)
        };
        let step = 1e-5;
        let want = (along(step)? - along(-step)?) / (2.0 * step);
        let got: f64 = (grad * &direction)?.sum_all()?.to_scalar()?;
        let bound = 1e-6 * want.abs().max(10.0);
        assert!(
            (got - want).abs() <= bound,
            "input {i}: tape {got}, differences {want}"
        );
    }
    for (single, double) in case.to_dtype(DType::F32)?.gradients()?.iter().zip(&grads) {
        assert_close(single, double, SINGLE)?;
    }
    Ok(())
}

#[test]
fn every_input_has_its_gradient_under_every_mask() -> Result<()> {
    let with = With {
        rotary: 2,
        buckets: 5,
    };
    for kind in KINDS {
        check(Case::new(kind, &[(7, 0), (2, 0)], (2, 1, 4), with)?)?;
        check(Case::new(kind, &[(2, 3)], (2, 2, 3), With::default())?)?;
    }
    Ok(())
}

#[test]
fn long_inputs_have_their_gradients_under_every_mask() -> Result<()> {
    for kind in KINDS {
        for (len, head_dim) in [(65, 8), (130, 12)] {
            check_large(&Case::new(
                kind,
                &[(3, 0), (len, 0)],
                (2, 1, head_dim),
                With::default(),
            )?)?;
        }
        let with = With {
            rotary: 12,
            buckets: 30,
        };
        check_large(&Case::new(kind, &[(66, 9)], (4, 2, 16), with)?)?;
    }
    Ok(())
}

#[test]
fn every_head_dimension_has_its_gradients() -> Result<()> {
    for head_dim in [1, 32, 64, 80] {
        check_large(&Case::new(
            Kind::Causal,
            &[(67, 0)],
            (6, 2, head_dim),
            With::default(),
        )?)?;
    }
    Ok(())
}

#[test]
fn several_passes_over_the_keys_add_up() -> Result<()> {
    let with = With {
        rotary: 8,
        buckets: 500,
    };
    for kind in [Kind::Causal, Kind::Band { left: 70, right: 3 }] {
        check_large(&Case::new(kind, &[(400, 0)], (1, 1, 8), with)?)?;
    }
    Ok(())
}

#[test]
fn dropout_has_its_gradient() -> Result<()> {
    for kind in KINDS {
        let mut case = Case::new(kind, &[(8, 0), (3, 0)], (2, 1, 4), With::default())?;
        case.attention.dropout = Some((0.4, key()));
        check(case.clone())?;
        let mut large = Case::new(kind, &[(80, 0)], (2, 1, 4), With::default())?;
        large.attention.dropout = Some((0.4, key()));
        check_large(&large)?;
    }
    Ok(())
}

#[test]
fn the_packed_tensor_has_one_gradient() -> Result<()> {
    for kind in KINDS {
        let with = With {
            rotary: 4,
            buckets: 5,
        };
        let mut case = Case::new(kind, &[(6, 0), (3, 0)], (2, 1, 4), with)?;
        let table = case.vars()?.pop().unwrap();
        let qkv = Var::from_tensor(&case.packed()?.detach())?;
        gradcheck_all(&[("qkv", &qkv), ("table", &table.1)], || {
            crate::attention_packed(qkv.as_tensor(), &case.attention)
        })?;
    }
    Ok(())
}

#[test]
fn gradients_arrive_everywhere() -> Result<()> {
    let with = With {
        rotary: 8,
        buckets: 7,
    };
    let mut case = Case::new(Kind::Causal, &[(70, 0)], (2, 1, 8), with)?.to_dtype(DType::F32)?;
    let vars = case.vars()?;
    let loss = case.run()?.sqr()?.sum_all()?;
    reach(&loss, vars)
}

#[test]
fn a_query_that_reads_nothing_passes_back_zero() -> Result<()> {
    let grads = Case::new(Kind::Gaps, &[(15, 0)], (1, 1, 4), With::default())?.gradients()?;
    let dq = grads[0].narrow(0, 5, 5)?.flatten_all()?.to_vec1::<f64>()?;
    assert!(dq.iter().all(|&g| g == 0.0), "{dq:?}");
    for grad in &grads {
        let grad = grad.flatten_all()?.to_vec1::<f64>()?;
        assert!(grad.iter().all(|g| g.is_finite()));
    }
    Ok(())
}

#[test]
fn only_what_is_asked_for_is_given() -> Result<()> {
    let mut case = Case::new(Kind::Causal, &[(5, 0)], (1, 1, 4), With::default())?;
    let k = Var::from_tensor(&case.k)?;
    case.k = k.as_tensor().clone();
    let store = case.run()?.sum_all()?.backward()?;
    assert!(store.get(&k).is_some() && store.get(&case.q).is_none());
    Ok(())
}
