//! Rows of a table by their index.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
mod lists;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use crate::Real;
use crate::storage::{buffer, values, with_real};
use crate::tape::{Backward, Node, record};

/// Row `ids[i]` of `table`, for every `i`.
///
/// The gradient of a row is the sum over the places that read it, taken in their
/// order by one thread, so its bits do not depend on the number of threads.
///
/// # Shapes
///
/// - `ids`: `[n]`, each below `rows`
/// - `table`: `[rows, d]`, contiguous
/// - returns: `[n, d]`
///
/// # Errors
///
/// Fails if an id is not below `rows`: the message names it and its place.
pub fn embedding(ids: Arc<[u32]>, table: &Tensor) -> Result<Tensor> {
    let (rows, d) = table.dims2()?;
    if let Some((place, id)) = ids.iter().enumerate().find(|&(_, &id)| id as usize >= rows) {
        bail!("embedding: id {id} at place {place} is not below the {rows} rows of the table");
    }
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(table) {
        return with_real!(table, T => cuda::embedding::<T>(device, ids, table));
    }
    with_real!(table, T => {
        let mut y = buffer::<T>(ids.len() * d);
        cpu::gather(&ids, &values(table)?, d, &mut y);
        let shape = (ids.len(), d);
        record(Embedding::<T>::new(ids), &[table], y, shape)
    })
}

/// Argument: the table.
struct Embedding<T> {
    ids: Arc<[u32]>,
    elem: std::marker::PhantomData<T>,
}

impl<T> Embedding<T> {
    fn new(ids: Arc<[u32]>) -> Self {
        let elem = std::marker::PhantomData;
        Self { ids, elem }
    }
}

impl<T: Real> Node for Embedding<T> {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let (rows, d) = pass.args[0].dims2()?;
        let dy = values::<T>(pass.grad)?;
        let dtable = pass.deliver(0, |dtable: &mut [T], accumulate| {
            let places = cpu::Places::new(&self.ids, rows);
            cpu::scatter(&places, &dy, d, dtable, accumulate);
            Ok(())
        })?;
        Ok(vec![dtable])
    }
}
