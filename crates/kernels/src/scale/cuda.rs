//! Multiples on a GPU.

use candle_core::{CudaDevice, Result, Tensor};

use super::ScaleNode;
use crate::Real;
use crate::cuda::{Buffer, Grid, launch, pointer};
use crate::tape::record_storage;

/// `factor · x`
pub(super) fn scale<T: Real>(device: &CudaDevice, x: &Tensor, factor: f64) -> Result<Tensor> {
    let n = x.elem_count();
    let y = Buffer::<T>::new(device, n)?;
    let args = [
        pointer::<T>(x)?.into(),
        y.pointer().into(),
        n.into(),
        T::arg(factor),
    ];
    launch::<T>(device, "scale", Grid::elements(n), &args)?;
    record_storage(ScaleNode { factor }, &[x], y.into_storage(), x.shape())
}

#[cfg(test)]
mod tests {
    use super::super::scale;
    use super::*;
    use crate::cuda::agree::{agree, empty};

    #[test]
    #[ignore = "needs a GPU"]
    fn multiples_agree_with_the_cpu() -> Result<()> {
        for n in [1, 31, 33, 255, 257, 1000] {
            agree(&[&[n]], |v| scale(&v[0], -2.5))?;
        }
        let none = empty((0, 4))?;
        assert_eq!(scale(&none, 2.0)?.dims(), [0, 4]);
        Ok(())
    }
}
