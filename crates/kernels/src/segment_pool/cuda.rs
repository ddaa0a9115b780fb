//! Pooling on a GPU.

use std::marker::PhantomData;

use candle_core::{CudaDevice, Result, Tensor};

use super::Pool;
use crate::Real;
use crate::cuda::{Buffer, Grid, launch, pointer};
use crate::tape::{Backward, Node, record_storage};

/// What the kernels know a pool by.
fn number(pool: Pool) -> u32 {
    match pool {
        Pool::Mean => 0,
        Pool::Sum => 1,
        Pool::First => 2,
        Pool::Last => 3,
    }
}

/// One row for each segment of `x`.
pub(super) fn pool<T: Real>(
    device: &CudaDevice,
    x: &Tensor,
    cu_seqlens: &[u32],
    pool: Pool,
) -> Result<Tensor> {
    let (batch, (_, d)) = (cu_seqlens.len() - 1, x.dims2()?);
    let y = Buffer::<T>::new(device, batch * d)?;
    let walls = Buffer::from_host(device, cu_seqlens)?;
    let args = [
        pointer::<T>(x)?.into(),
        walls.pointer().into(),
        y.pointer().into(),
        d.into(),
        number(pool).into(),
    ];
    let grid = Grid {
        blocks: (batch, d.div_ceil(32)),
        threads: (32, 8),
        shared: 0,
    };
    launch::<T>(device, "segment_pool", grid, &args)?;
    let elem = PhantomData::<T>;
    let node = SegmentPoolOnGpu { pool, walls, elem };
    record_storage(node, &[x], y.into_storage(), (batch, d))
}

/// Argument: `x`.
struct SegmentPoolOnGpu<T> {
    pool: Pool,
    /// Where each segment starts, and the last one ends.
    walls: Buffer<u32>,
    elem: PhantomData<T>,
}

impl<T: Real> Node for SegmentPoolOnGpu<T> {
    fn name(&self) -> &'static str {
        "segment-pool"
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let (n, d) = pass.args[0].dims2()?;
        let dx = Buffer::<T>::new(self.walls.device(), n * d)?;
        let args = [
            pointer::<T>(pass.grad)?.into(),
            self.walls.pointer().into(),
            dx.pointer().into(),
            n.into(),
            (self.walls.len() - 1).into(),
            d.into(),
            number(self.pool).into(),
        ];
        launch::<T>(
            self.walls.device(),
            "segment_pool_backward",
            Grid::warps(n),
            &args,
        )?;
        Ok(vec![Some(dx.into_tensor((n, d)))])
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::segment_pool;
    use super::*;
    use crate::cuda::agree::{agree, empty};

    #[test]
    #[ignore = "needs a GPU"]
    fn every_pool_agrees_with_the_cpu() -> Result<()> {
        // Segments of one row, around eight, of many, and empty ones at both ends.
        let walls: [&[u32]; 5] = [
            &[0, 1],
            &[0, 3, 10, 18, 27],
            &[0, 0, 4, 4, 4, 7, 7],
            &[0, 31, 63, 96, 351, 608],
            &[0, 1, 2, 3, 303],
        ];
        for walls in walls {
            for d in [1, 31, 32, 33, 257] {
                let n = walls[walls.len() - 1] as usize;
                for pool in [Pool::Mean, Pool::Sum, Pool::First, Pool::Last] {
                    agree(&[&[n, d]], |v| segment_pool(&v[0], walls.into(), pool))?;
                }
            }
        }
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn no_rows_give_zeros_and_no_segments_no_error() -> Result<()> {
        let none = empty((0, 3))?;
        for pool in [Pool::Mean, Pool::Sum, Pool::First, Pool::Last] {
            let y = segment_pool(&none, [0, 0, 0].into(), pool)?.to_device(&Device::Cpu)?;
            assert_eq!(y.to_vec2::<f64>()?, [[0.0; 3]; 2]);
            assert_eq!(segment_pool(&none, [0].into(), pool)?.dims(), [0, 3]);
        }
        Ok(())
    }
}
