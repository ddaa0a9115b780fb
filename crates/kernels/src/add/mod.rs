//! `x + y` as one of our nodes: a sum of Candle's would send the whole backward pass
//! Candle's way.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor, bail};

use crate::Real;
use crate::parallel::rows_mut;
use crate::simd::{Kernel, Lanes, map2};
use crate::storage::{same_dtype, values, with_real};
use crate::tape::{Backward, Node, record};

#[cfg(feature = "cuda")]
pub(crate) use cuda::{
    add_to as add_on_gpu, write as write_on_gpu, write_scaled as write_scaled_on_gpu,
};

/// `x + y`, element by element.
///
/// # Shapes
///
/// - `x`, `y`: the same, contiguous
/// - returns: the same
///
/// # Errors
///
/// Fails if shapes or types disagree.
pub fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if x.dims() != y.dims() {
        bail!("add: {:?} and {:?} differ in shape", x.shape(), y.shape());
    }
    same_dtype(x, [y])?;
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return with_real!(x, T => cuda::add::<T>(device, x, y));
    }
    with_real!(x, T => {
        let (mut sum, term) = (values::<T>(x)?.to_vec(), values::<T>(y)?);
        add_to(&mut sum, &term);
        record(AddNode, &[x, y], sum, x.shape().clone())
    })
}

struct AddNode;

impl Node for AddNode {
    fn name(&self) -> &'static str {
        "add"
    }

    /// Both gradients are that of the sum.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(pass
            .wanted
            .iter()
            .map(|wanted| wanted.then(|| pass.grad.clone()))
            .collect())
    }
}

/// `sum += term`, by all threads.
pub(crate) fn add_to<T: Real>(sum: &mut [T], term: &[T]) {
    rows_mut(sum, 1, |first, sum| {
        let term = &term[first..first + sum.len()];
        T::dispatch(AddTo { sum, term });
    });
}

struct AddTo<'a, T> {
    sum: &'a mut [T],
    term: &'a [T],
}

impl<T: Real> Kernel<T> for AddTo<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        map2(lanes, self.sum, self.term, |a, b| lanes.add(a, b));
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Var};
    use testkit::{assert_close, gradcheck_all, randn, reach};

    use super::*;

    #[test]
    fn a_sum_is_that_of_the_tensors_and_its_gradient_goes_to_both() -> Result<()> {
        let (x, y) = (
            Var::from_tensor(&randn(1, (3, 5))?)?,
            Var::from_tensor(&randn(2, (3, 5))?)?,
        );
        let sum = add(&x, &y)?;
        assert_close(&sum, &(x.as_tensor() + y.as_tensor())?, 0.0)?;
        let inputs = [("x", &x), ("y", &y)];
        gradcheck_all(&inputs, || add(&x, &y))?;
        reach(&sum.sqr()?.sum_all()?, inputs)
    }

    #[test]
    fn one_tensor_twice_gets_both_gradients() -> Result<()> {
        let x = Var::from_tensor(&randn(1, (2, 3))?)?;
        gradcheck_all(&[("x", &x)], || add(&add(&x, &x)?, &x))
    }

    #[test]
    fn other_shapes_and_types_are_errors() -> Result<()> {
        let x = randn(1, (2, 3))?;
        assert!(add(&x, &randn(1, (3, 2))?).is_err());
        assert!(add(&x, &x.to_dtype(DType::F32)?).is_err());
        Ok(())
    }
}
