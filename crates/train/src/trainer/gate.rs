//! What an update must be before it may change a weight.

use attn_core::lora;
use candle_core::Var;
use kernels::FlatGrads;

use crate::error::{Error, Result};

const SMALLER_STEPS: &str =
    "the last checkpoint is intact; lower train.lr or set train.grad_clip in a new run";

/// The loss of update `step` is a number.
pub(super) fn finite_loss(step: u64, value: f64) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Error::NonFinite {
        step,
        tensor: "the loss".into(),
        value,
        remedy: SMALLER_STEPS,
    })
}

/// The gradient of update `step`, of norm `norm`, is made of numbers.
///
/// # Errors
///
/// Names the first parameter whose gradient is not.
pub(super) fn finite_gradient(
    step: u64,
    norm: f64,
    params: &[(String, Var)],
    grads: &FlatGrads,
) -> Result<()> {
    if norm.is_finite() {
        return Ok(());
    }
    let (mut tensor, mut value) = ("the norm of the gradient".into(), norm);
    for (name, var) in params {
        let grad = grads.of(var)?.unwrap_or_default();
        if let Some(found) = grad.iter().find(|g| !g.is_finite()) {
            (tensor, value) = (format!("the gradient of `{name}`"), f64::from(*found));
            break;
        }
    }
    Err(Error::NonFinite {
        step,
        tensor,
        value,
        remedy: SMALLER_STEPS,
    })
}

/// Every parameter has a gradient that is not zero everywhere. Checked after the first
/// step: an operation that cuts the gradient trains without an error, and wrongly.
///
/// # Errors
///
/// Names every parameter that has none.
pub(super) fn every_parameter_is_reached(
    params: &[(String, Var)],
    grads: &FlatGrads,
) -> Result<()> {
    let mut missed = Vec::new();
    for (name, var) in params {
        // Moving all scores of a query by one number changes no weight, so without a
        // rotation the bias of the keys has no gradient but rounding noise. What narrows in
        // an adapter has one only after what widens has left zero.
        let may_be_missed = name.ends_with("wk.bias") || name.ends_with(lora::A);
        let grad = grads.of(var)?.unwrap_or_default();
        if !may_be_missed && grad.iter().all(|&g| g == 0.0) {
            missed.push(name.as_str());
        }
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(Error::Unreached {
        params: missed.join(", "),
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn var(values: &[f32]) -> candle_core::Result<Var> {
        Var::from_tensor(&Tensor::new(values, &Device::Cpu)?)
    }

    fn grads_of(loss: Tensor, params: &[(String, Var)]) -> candle_core::Result<FlatGrads> {
        let mut grads = FlatGrads::new(params.iter().map(|(_, var)| var))?;
        grads.backward(loss)?;
        Ok(grads)
    }

    #[test]
    fn a_parameter_that_no_gradient_reaches_is_named() -> candle_core::Result<()> {
        let params = [
            ("a".to_owned(), var(&[1.0, 2.0])?),
            ("b".to_owned(), var(&[3.0])?),
        ];
        let grads = grads_of(params[0].1.sqr()?.sum_all()?, &params)?;
        let error = every_parameter_is_reached(&params, &grads).expect_err("b has no gradient");
        assert!(error.to_string().contains("reaches b;"), "{error}");
        assert!(every_parameter_is_reached(&params[..1], &grads).is_ok());
        Ok(())
    }

    #[test]
    fn the_tensor_that_is_not_finite_is_named_with_its_step() -> candle_core::Result<()> {
        let params = [
            ("a".to_owned(), var(&[1.0])?),
            ("b".to_owned(), var(&[0.0])?),
        ];
        let loss = (params[0].1.as_tensor() + params[1].1.log()?)?.sum_all()?;
        let grads = grads_of(loss, &params)?;
        let norm = grads.norm()?;
        let error = finite_gradient(7, norm, &params, &grads).expect_err("1/0 is not finite");
        let line = error.to_string();
        assert!(
            line.starts_with("step 7: the gradient of `b` is inf"),
            "{line}"
        );
        assert!(
            finite_loss(3, f64::NAN)
                .is_err_and(|e| e.to_string().starts_with("step 3: the loss is NaN"))
        );
        Ok(())
    }
}
