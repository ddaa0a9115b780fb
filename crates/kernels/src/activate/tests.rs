//! Non-linearities against their definition and differences.

use candle_core::{DType, Device, Result, Tensor, Var};
use testkit::{assert_close, gradcheck, gradcheck_all, oracle, randn, reach};

use super::*;

type Definition = fn(f64) -> f64;

const ALL: [(Activation, Definition); 5] = [
    (Activation::GeluTanh, oracle::gelu_tanh),
    (Activation::GeluErf, oracle::gelu_erf),
    (Activation::Silu, oracle::silu),
    (Activation::Relu, oracle::relu),
    (Activation::Tanh, oracle::tanh),
];

/// Lengths around every vector width, and of several pieces.
const SIZES: [usize; 7] = [0, 1, 3, 15, 17, 65, 40_000];

#[test]
fn oracle_every_activation_in_both_types() -> Result<()> {
    for n in SIZES {
        let x = (randn(1, n)? * 4.0)?;
        for (f, definition) in ALL {
            let want = oracle::map(&x, definition)?;
            assert_close(&activate(&x, f)?, &want, 1e-13)?;
            // The functions inside err by 2e-7, their product with x is relative.
            let single = activate(&x.to_dtype(DType::F32)?, f)?;
            assert_close(&single, &want, 1e-6)?;
        }
    }
    Ok(())
}

#[test]
fn oracle_far_arguments_have_their_limits() -> Result<()> {
    let x = Tensor::new(&[-1e4f32, -90.0, 0.0, 90.0, 1e4], &Device::Cpu)?;
    for (f, _) in ALL {
        let y = activate(&x, f)?.to_vec1::<f32>()?;
        if f == Activation::Tanh {
            assert_eq!(y, [-1.0, -1.0, 0.0, 1.0, 1.0]);
            continue;
        }
        assert!(y[..2].iter().all(|y| y.abs() < 1e-30), "{f:?}: {y:?}");
        assert_eq!(y[2..], [0.0, 90.0, 1e4], "{f:?}");
    }
    Ok(())
}

#[test]
fn oracle_swiglu_in_both_types() -> Result<()> {
    for n in SIZES {
        let (gate, up) = ((randn(1, n)? * 3.0)?, randn(2, n)?);
        let want = oracle::swiglu(&gate, &up)?;
        assert_close(&swiglu(&gate, &up)?, &want, 1e-13)?;
        let single = swiglu(&gate.to_dtype(DType::F32)?, &up.to_dtype(DType::F32)?)?;
        assert_close(&single, &want, 1e-6)?;
    }
    Ok(())
}

#[test]
fn gradients_match_differences() -> Result<()> {
    let x = Var::from_tensor(&(randn(1, (3, 7))? * 2.0)?)?;
    let up = Var::from_tensor(&randn(2, (3, 7))?)?;
    for (f, _) in ALL {
        gradcheck(&x, |x| activate(x, f))?;
    }
    gradcheck_all(&[("gate", &x), ("up", &up)], || swiglu(&x, &up))?;
    gradcheck(&up, |up| swiglu(&randn(1, (3, 7))?, up))
}

#[test]
fn gradients_in_single_precision_are_those_of_double() -> Result<()> {
    for n in [17, 40_000] {
        let (x, up, dy) = ((randn(1, n)? * 4.0)?, randn(2, n)?, randn(3, n)?);
        for f in ALL.map(|(f, _)| Some(f)).into_iter().chain([None]) {
            let grads = |dtype| -> Result<(Tensor, Option<Tensor>)> {
                let x = Var::from_tensor(&x.to_dtype(dtype)?)?;
                let up = Var::from_tensor(&up.to_dtype(dtype)?)?;
                let y = match f {
                    Some(f) => activate(&x, f)?,
                    None => swiglu(&x, &up)?,
                };
                let grads = (y * dy.to_dtype(dtype)?)?.sum_all()?.backward()?;
                let dx = grads.get(x.as_tensor()).unwrap().clone();
                Ok((dx, grads.get(up.as_tensor()).cloned()))
            };
            let (single, double) = (grads(DType::F32)?, grads(DType::F64)?);
            // The derivative of x σ(u(x)) errs by 2e-7 |x u'|, which is below 20.
            assert_close(&single.0, &double.0, 4e-6)?;
            if let (Some(single), Some(double)) = (single.1, double.1) {
                assert_close(&single, &double, 1e-6)?;
            }
        }
    }
    Ok(())
}

#[test]
fn the_parts_of_each_activation_differ_by_the_argument() -> Result<()> {
    // f(x) − f(−x) = x for all but tanh: x g(x) with g(x) + g(−x) = 1. Tanh is odd itself.
    let x = randn(1, 100)?;
    for (f, _) in ALL {
        let (plus, minus) = (activate(&x, f)?, activate(&x.neg()?, f)?);
        match f {
            Activation::Tanh => assert_close(&plus, &minus.neg()?, 0.0)?,
            _ => assert_close(&(plus - minus)?, &x, 1e-13)?,
        }
    }
    Ok(())
}

#[test]
fn every_argument_is_reached() -> Result<()> {
    let x = Var::from_tensor(&randn(1, (2, 3))?)?;
    let up = Var::from_tensor(&randn(2, (2, 3))?)?;
    let y = swiglu(&activate(&x, Activation::GeluErf)?, &up)?;
    reach(&y.sum_all()?, [("x", &x), ("up", &up)])
}

#[test]
fn operands_that_disagree_are_refused() -> Result<()> {
    let x = randn(1, (2, 3))?;
    assert!(swiglu(&x, &randn(1, (3, 2))?).is_err());
    assert!(swiglu(&x, &x.to_dtype(DType::F32)?).is_err());
    assert!(activate(&x.t()?, Activation::Relu).is_err());
    assert!(
        activate(
            &Tensor::zeros(3, DType::U8, &Device::Cpu)?,
            Activation::Relu
        )
        .is_err()
    );
    Ok(())
}
