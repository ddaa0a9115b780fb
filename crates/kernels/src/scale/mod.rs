//! `c x` as one of our nodes: a product of Candle's would send the whole backward pass
//! Candle's way, and could be no part of a checkpointed function.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor, WithDType};

use crate::storage::{values, with_real};
use crate::tape::{Backward, Node, record};

/// `factor · x`, element by element; for tensors that are small beside what is done with
/// them.
///
/// # Shapes
///
/// - `x`: any, contiguous
/// - returns: the same
///
/// # Errors
///
/// Fails if `x` is neither `f32` nor `f64`.
pub fn scale(x: &Tensor, factor: f64) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return with_real!(x, T => cuda::scale::<T>(device, x, factor));
    }
    with_real!(x, T => {
        let c = T::from_f64(factor);
        let scaled = values::<T>(x)?.iter().map(|&x| c * x).collect();
        record(ScaleNode { factor }, &[x], scaled, x.shape().clone())
    })
}

struct ScaleNode {
    factor: f64,
}

impl Node for ScaleNode {
    fn name(&self) -> &'static str {
        "scale"
    }

    /// `dx = c dy`
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![match pass.wanted[0] {
            true => Some(scale(&pass.grad.detach(), self.factor)?),
            false => None,
        }])
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Var};
    use testkit::{assert_close, gradcheck, randn, reach};

    use super::*;

    #[test]
    fn it_is_the_product_and_its_gradient_is_scaled_alike() -> Result<()> {
        let x = Var::from_tensor(&randn(1, (3, 5))?)?;
        assert_close(&scale(&x, -2.5)?, &(x.as_tensor() * -2.5)?, 0.0)?;
        gradcheck(&x, |x| scale(x, -2.5))?;
        reach(&scale(&x, 3.0)?.sqr()?.sum_all()?, [("x", &x)])?;
        assert!(scale(&x.to_dtype(DType::U32)?, 2.0).is_err());
        Ok(())
    }
}
