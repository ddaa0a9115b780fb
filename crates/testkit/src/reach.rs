//! Whether the gradient arrives everywhere.

use std::borrow::Borrow;

use candle_core::{DType, Result, Tensor, Var};

/// Checks that after `loss.backward()` each of `params` has a finite gradient
/// that is not all zero.
///
/// An operation without a backward pass raises no error: everything upstream of it
/// keeps its first value for ever. This is the test that sees it.
///
/// # Shapes
///
/// - `loss`: one element
/// - `params`: any
///
/// # Errors
///
/// Those of the backward pass.
///
/// # Panics
///
/// When a parameter has no gradient, or one that is zero everywhere or not finite
/// somewhere: the message names all of them, or that there are no parameters.
///
/// # Examples
///
/// ```
/// use candle_core::{Result, Var};
///
/// # fn main() -> Result<()> {
/// let w = Var::from_tensor(&testkit::randn(1, (2, 2))?)?;
/// testkit::reach(&w.sqr()?.sum_all()?, [("w", &w)])?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn reach<N, V>(loss: &Tensor, params: impl IntoIterator<Item = (N, V)>) -> Result<()>
where
    N: AsRef<str>,
    V: Borrow<Var>,
{
    let grads = loss.backward()?;
    let mut checked = 0;
    let mut faults = Vec::new();
    for (name, var) in params {
        checked += 1;
        let fault = match grads.get(var.borrow().as_tensor()) {
            None => Some("no gradient"),
            Some(grad) => fault(grad)?,
        };
        faults.extend(fault.map(|fault| format!("{}: {fault}", name.as_ref())));
    }
    assert!(checked > 0, "there are no parameters to reach");
    let n = faults.len();
    assert!(
        faults.is_empty(),
        "{n} of {checked} parameters are out of reach:\n  {}",
        faults.join("\n  ")
    );
    Ok(())
}

fn fault(grad: &Tensor) -> Result<Option<&'static str>> {
    let grad = grad.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    Ok(if grad.iter().any(|g| !g.is_finite()) {
        Some("gradient is not finite")
    } else if grad.iter().all(|&g| g == 0.0) {
        Some("gradient is zero everywhere")
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::failure::failure;
    use crate::randn;

    #[test]
    fn parameters_that_are_used_pass_from_a_map_and_from_a_list() -> Result<()> {
        let store = BTreeMap::from([("w".to_string(), Var::from_tensor(&randn(1, 3)?)?)]);
        let loss = store["w"].sqr()?.sum_all()?;
        reach(&loss, &store)?;
        reach(&loss, [("w", &store["w"])])
    }

    #[test]
    fn every_parameter_out_of_reach_is_named_with_its_fault() -> Result<()> {
        let var = |seed| Var::from_tensor(&randn(seed, 3)?);
        let (used, unused, zeroed, infinite) = (var(1)?, var(2)?, var(3)?, var(4)?);
        let terms = [
            used.as_tensor().clone(),
            (zeroed.as_tensor() * zeroed.zeros_like()?)?,
            (infinite.as_tensor() * f64::INFINITY)?,
        ];
        let loss = Tensor::cat(&terms, 0)?.sum_all()?;
        let params = [
            ("used", &used),
            ("unused", &unused),
            ("zeroed", &zeroed),
            ("infinite", &infinite),
        ];
        assert_eq!(
            failure(|| reach(&loss, params)),
            "3 of 4 parameters are out of reach:\n  unused: no gradient\n  \
             zeroed: gradient is zero everywhere\n  infinite: gradient is not finite"
        );
        Ok(())
    }

    #[test]
    fn an_empty_list_is_not_a_pass() -> Result<()> {
        let x = Var::from_tensor(&randn(1, 1)?)?;
        let none: [(&str, &Var); 0] = [];
        assert_eq!(
            failure(|| reach(&x.sum_all()?, none)),
            "there are no parameters to reach"
        );
        Ok(())
    }
}
