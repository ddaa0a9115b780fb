//! One row for each segment of a packed batch.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::Real;
use crate::segments;
use crate::storage::{buffer, tensor, values, with_real};
use crate::tape::{Backward, Node, record};

/// What stands for a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The mean of its rows.
    Mean,
    /// The sum of its rows.
    Sum,
    /// Its first row.
    First,
    /// Its last row.
    Last,
}

/// One row for each segment of `x`; zeros for a segment without rows.
///
/// # Shapes
///
/// - `x`: `[n, d]`, contiguous
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
/// - returns: `[batch, d]`
///
/// # Errors
///
/// Fails if the boundaries do not rise from 0 to `n`.
pub fn segment_pool(x: &Tensor, cu_seqlens: Arc<[u32]>, pool: Pool) -> Result<Tensor> {
    let (n, d) = x.dims2()?;
    segments::check("segment-pool", &cu_seqlens, n)?;
    let batch = cu_seqlens.len() - 1;
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return with_real!(x, T => cuda::pool::<T>(device, x, &cu_seqlens, pool));
    }
    with_real!(x, T => {
        let mut y = buffer::<T>(batch * d);
        cpu::pool(pool, &cu_seqlens, &values(x)?, d, &mut y);
        let elem = std::marker::PhantomData::<T>;
        let node = SegmentPool { pool, cu_seqlens, elem };
        record(node, &[x], y, (batch, d))
    })
}

/// Argument: `x`.
struct SegmentPool<T> {
    pool: Pool,
    cu_seqlens: Arc<[u32]>,
    elem: std::marker::PhantomData<T>,
}

impl<T: Real> Node for SegmentPool<T> {
    fn name(&self) -> &'static str {
        "segment-pool"
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let (n, d) = pass.args[0].dims2()?;
        let mut dx = buffer::<T>(n * d);
        let dy = values::<T>(pass.grad)?;
        cpu::pool_backward(self.pool, &self.cu_seqlens, &dy, d, &mut dx);
        Ok(vec![Some(tensor(dx, (n, d)))])
    }
}
