//! `embedding` on a GPU: rows by index, and sums over the places that read a row.

use std::marker::PhantomData;
use std::sync::Arc;

use candle_core::{CudaDevice, Result, Tensor};

use super::cpu::Places;
use super::lists::{Lists, rounds};
use crate::Real;
use crate::cuda::{Buffer, Grid, Pointer, device_of_all, launch, pointer};
use crate::tape::{Backward, Node, record_storage};

/// Row `ids[i]` of `table`, for every `i`.
pub(super) fn embedding<T: Real>(
    device: &CudaDevice,
    ids: Arc<[u32]>,
    table: &Tensor,
) -> Result<Tensor> {
    let (n, (_, d)) = (ids.len(), table.dims2()?);
    let y = Buffer::<T>::new(device, n * d)?;
    let uploaded = Buffer::from_host(device, &ids)?;
    let args = [
        uploaded.pointer().into(),
        pointer::<T>(table)?.into(),
        y.pointer().into(),
        n.into(),
        d.into(),
    ];
    launch::<T>(device, "embedding", Grid::warps(n), &args)?;
    let elem = PhantomData::<T>;
    record_storage(
        EmbeddingOnGpu { ids, elem },
        &[table],
        y.into_storage(),
        (n, d),
    )
}

/// Argument: the table.
struct EmbeddingOnGpu<T> {
    ids: Arc<[u32]>,
    elem: PhantomData<T>,
}

impl<T: Real> Node for EmbeddingOnGpu<T> {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let (rows, d) = pass.args[0].dims2()?;
        let device = device_of_all(pass.args)?;
        let dy = pointer::<T>(pass.grad)?;
        let dtable = pass.deliver_on_gpu::<T>(0, |dtable, accumulate| {
            let places = Places::new(&self.ids, rows);
            scatter::<T>(device, &places, dy, d, dtable, accumulate)
        })?;
        Ok(vec![dtable])
    }
}

/// Adds up the rows of `dy` that belong to each row of the table: into it, if `accumulate`,
/// else over it. Every sum is complete before it is added.
fn scatter<T: Real>(
    device: &CudaDevice,
    places: &Places,
    dy: Pointer,
    d: usize,
    dtable: Pointer,
    accumulate: bool,
) -> Result<()> {
    let all_read = (0..places.rows()).all(|row| !places.of(row).is_empty());
    if !accumulate && !all_read {
        crate::add::write_on_gpu::<T>(device, None, dtable, places.rows() * d, false)?;
    }
    let mut source = dy;
    // Keeps the memory of the source.
    let mut _held = None;
    for round in rounds(places) {
        sum_listed::<T>(device, &round.finished, source, d, dtable, accumulate)?;
        let partial = Buffer::<T>::new(device, round.partial.rows.len() * d)?;
        sum_listed::<T>(device, &round.partial, source, d, partial.pointer(), false)?;
        source = partial.pointer();
        _held = Some(partial);
    }
    Ok(())
}

/// Row `rows[i]` of `into = ` or `+=` the sum of the rows of `from` that are listed for it.
fn sum_listed<T: Real>(
    device: &CudaDevice,
    lists: &Lists,
    from: Pointer,
    d: usize,
    into: Pointer,
    accumulate: bool,
) -> Result<()> {
    if lists.rows.is_empty() {
        return Ok(());
    }
    // One copy to the device in place of three.
    let joined = [&lists.rows[..], &lists.starts, &lists.places].concat();
    let joined = Buffer::from_host(device, &joined)?;
    let rows = joined.pointer();
    let starts = rows.at::<u32>(lists.rows.len());
    let places = starts.at::<u32>(lists.starts.len());
    let args = [
        from.into(),
        rows.into(),
        starts.into(),
        places.into(),
        into.into(),
        d.into(),
        accumulate.into(),
    ];
    let threads = d.next_multiple_of(32).clamp(32, 256) as u32;
    launch::<T>(
        device,
        "sum_listed_rows",
        Grid::blocks(lists.rows.len(), threads),
        &args,
    )
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use testkit::{assert_close, rand_ids, randn};

    use super::super::embedding;
    use super::*;
    use crate::cuda::agree::{agree, empty, gpu};

    #[test]
    #[ignore = "needs a GPU"]
    fn rows_and_gradients_agree_with_the_cpu() -> Result<()> {
        // Rows that nobody reads, rows of one place and of many.
        for (n, rows, d) in [
            (1, 1, 1),
            (31, 5, 32),
            (32, 64, 33),
            (64, 1, 31),
            (65, 1, 255),
            (257, 1000, 257),
            (1000, 3, 7),
            (1000, 200, 1000),
            (5000, 2, 3),
        ] {
            let ids: Arc<[u32]> = rand_ids(2, n, rows as u32).into();
            agree(&[&[rows, d]], |v| embedding(ids.clone(), &v[0]))?;
        }
        Ok(())
    }

    /// Positions of equal segments, and one table read twice.
    #[test]
    #[ignore = "needs a GPU"]
    fn repeated_positions_and_tables_agree_with_the_cpu() -> Result<()> {
        let positions: Arc<[u32]> = (0..80 * 50).map(|i| i % 50).collect();
        agree(&[&[60, 16]], |v| embedding(positions.clone(), &v[0]))?;
        let (some, others): (Arc<[u32]>, Arc<[u32]>) = ([0, 2, 2].into(), [2, 1, 2].into());
        agree(&[&[5, 3]], |v| {
            crate::add(
                &embedding(some.clone(), &v[0])?,
                &embedding(others.clone(), &v[0])?,
            )
        })
    }

    /// As [`crate::FlatGrads`] asks: what nobody reads keeps what it holds.
    #[test]
    #[ignore = "needs a GPU"]
    fn sums_are_added_to_what_is_there() -> Result<()> {
        let (n, rows, d) = (300, 4, 5);
        // Row 3 is read by nobody, row 0 by more than one block adds up.
        let ids: Vec<u32> = (0..n as u32)
            .map(|i| if i % 3 == 0 { i % 2 } else { 0 })
            .collect();
        let (dy, start) = (randn(1, (n, d))?, randn(2, (rows, d))?);
        let want = start.index_add(&Tensor::new(&ids[..], &Device::Cpu)?, &dy, 0)?;
        let (dy, into) = (dy.to_device(&gpu()?)?, start.to_device(&gpu()?)?);
        let device = crate::cuda::device_of(&dy).expect("on a GPU");
        let places = Places::new(&ids, rows);
        let (from, to) = (pointer::<f64>(&dy)?, pointer::<f64>(&into)?);
        scatter::<f64>(device, &places, from, d, to, true)?;
        assert_close(&into.to_device(&Device::Cpu)?, &want, 1e-12)
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn no_places_and_no_columns_are_no_error() -> Result<()> {
        let table = randn(1, (3, 4))?.to_device(&gpu()?)?;
        assert_eq!(embedding(Arc::new([]), &table)?.dims(), [0, 4]);
        assert_eq!(embedding([1, 0].into(), &empty((3, 0))?)?.dims(), [2, 0]);
        // The gradient of a table that nobody reads is zero.
        let device = crate::cuda::device_of(&table).expect("on a GPU");
        let (nobody, to) = (Places::new(&[], 3), pointer::<f64>(&table)?);
        scatter::<f64>(device, &nobody, Pointer::NULL, 4, to, false)?;
        assert_eq!(
            table.to_device(&Device::Cpu)?.to_vec2::<f64>()?,
            [[0.0; 4]; 3]
        );
        Ok(())
    }
}
