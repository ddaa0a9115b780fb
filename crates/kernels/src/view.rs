//! Rows of tensors: read at any stride, written by several tasks at once.

use std::marker::PhantomData;
use std::ops::Range;

use candle_core::{Result, Storage, StorageRef, Tensor, bail};

use crate::Real;

/// A tensor whose rows are contiguous and lie at any stride, borrowed.
pub(crate) struct Strided<'a, T> {
    storage: StorageRef<'a>,
    start: usize,
    n: usize,
    width: usize,
    stride: usize,
    elem: PhantomData<T>,
}

/// Rows of a matrix in a slice.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    data: &'a [T],
    stride: usize,
}

/// Number of rows of `x`, of shape `[n, width]` or `[n, heads, width / heads]`, and what lies
/// between the starts of two.
///
/// # Errors
///
/// Fails if `x` has another shape, or its rows are not contiguous.
pub(crate) fn rows_of(
    x: &Tensor,
    name: &str,
    heads: usize,
    width: usize,
) -> Result<(usize, usize)> {
    let n = match x.dims() {
        &[n, all] if all == width => n,
        &[n, h, d] if h == heads && h * d == width => n,
        other => bail!(
            "attention: {name} of shape {other:?}, expected [n, {width}] or [n, {heads}, {}]",
            width / heads
        ),
    };
    // Each inner dimension of more than one element continues the one inside it.
    let inner = x.dims()[1..].iter().zip(&x.stride()[1..]);
    let contiguous = inner.rev().try_fold(1, |expected, (&size, &stride)| {
        (size == 1 || stride == expected).then_some(expected * size)
    });
    if contiguous.is_none() {
        bail!(
            "attention: the rows of {name} are not contiguous, strides {:?} for shape {:?}",
            x.stride(),
            x.shape()
        );
    }
    Ok((n, x.stride()[0]))
}

impl<'a, T: Real> Strided<'a, T> {
    /// Borrows `x`, of shape `[n, width]` or `[n, heads, width / heads]`.
    ///
    /// # Errors
    ///
    /// Fails if `x` is not on the CPU, not of type `T`, of another shape, or its
    /// rows are not contiguous.
    pub(crate) fn new(x: &'a Tensor, name: &str, heads: usize, width: usize) -> Result<Self> {
        let (n, stride) = rows_of(x, name, heads, width)?;
        if x.dtype() != T::DTYPE {
            bail!(
                "attention: {name} is {:?}, expected {:?}",
                x.dtype(),
                T::DTYPE
            );
        }
        let (storage, layout) = x.storage_and_layout();
        if !matches!(*storage, Storage::Cpu(_)) {
            bail!("attention: {name} is not on the CPU");
        }
        let start = layout.start_offset();
        Ok(Self {
            storage,
            start,
            n,
            width,
            stride,
            elem: PhantomData,
        })
    }

    /// Number of rows.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// The rows from column `column` on.
    pub(crate) fn rows(&self, column: usize) -> Rows<'_, T> {
        let Storage::Cpu(storage) = &*self.storage else {
            unreachable!("`new` accepts CPU storage only")
        };
        let all = T::cpu_storage_as_slice(storage).expect("`new` checked the type");
        let data = match self.n {
            0 => &[],
            n => &all[self.start..][..(n - 1) * self.stride + self.width][column..],
        };
        Rows {
            data,
            stride: self.stride,
        }
    }
}

impl<'a, T> Rows<'a, T> {
    /// Rows that follow one another.
    pub(crate) fn contiguous(data: &'a [T], width: usize) -> Self {
        Self {
            data,
            stride: width,
        }
    }

    /// Columns `column .. column + width` of row `i`.
    #[inline(always)]
    pub(crate) fn row(&self, i: usize, column: usize, width: usize) -> &'a [T] {
        &self.data[i * self.stride + column..][..width]
    }
}

/// A matrix that several tasks write, each its own part.
#[derive(Clone, Copy)]
pub(crate) struct SharedRows<'a, T> {
    data: *mut T,
    len: usize,
    stride: usize,
    lent: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for a `&mut [T]`, parts of which are handed out by `panel`,
// whose callers promise that no two overlap.
unsafe impl<T: Send> Send for SharedRows<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedRows<'_, T> {}

impl<'a, T> SharedRows<'a, T> {
    /// All of `data`, in rows that are `stride` wide.
    pub(crate) fn new(data: &'a mut [T], stride: usize) -> Self {
        Self {
            data: data.as_mut_ptr(),
            len: data.len(),
            stride,
            lent: PhantomData,
        }
    }

    /// The part in the given rows and columns.
    ///
    /// # Safety
    ///
    /// While the panel lives, nobody else may hold one that overlaps it.
    pub(crate) unsafe fn panel(&self, rows: Range<usize>, columns: Range<usize>) -> Panel<'a, T> {
        assert!(columns.end <= self.stride && rows.end * self.stride <= self.len);
        let first = (rows.start * self.stride + columns.start).min(self.len);
        Panel {
            // SAFETY: `first` is at most `len`.
            data: unsafe { self.data.add(first) },
            n: rows.len(),
            width: columns.len(),
            stride: self.stride,
            lent: PhantomData,
        }
    }
}

/// The part of a matrix that one task writes.
pub(crate) struct Panel<'a, T> {
    data: *mut T,
    n: usize,
    width: usize,
    stride: usize,
    lent: PhantomData<&'a mut [T]>,
}

impl<T> Panel<'_, T> {
    /// Row `i` of the part.
    #[inline(always)]
    pub(crate) fn row(&mut self, i: usize) -> &mut [T] {
        assert!(i < self.n);
        // SAFETY: `SharedRows::panel` checked that rows below `n` lie inside the
        // matrix, and this is the only panel that holds them.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(i * self.stride), self.width) }
    }
}

/// The columns of a matrix from `first` on.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a, T> {
    pub(crate) rows: SharedRows<'a, T>,
    pub(crate) first: usize,
}

impl<'a, T> Columns<'a, T> {
    /// Head `head` of some rows.
    ///
    /// # Safety
    ///
    /// As [`SharedRows::panel`].
    pub(crate) unsafe fn head(
        &self,
        rows: &Range<usize>,
        head: usize,
        head_dim: usize,
    ) -> Panel<'a, T> {
        let first = self.first + head * head_dim;
        // SAFETY: the caller's promise.
        unsafe { self.rows.panel(rows.clone(), first..first + head_dim) }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_narrowed_tensor_is_read_in_place() -> Result<()> {
        let x = Tensor::arange(0f64, 24.0, &Device::Cpu)?.reshape((3, 8))?;
        let middle = x.narrow(1, 2, 4)?.narrow(0, 1, 2)?;
        let rows = Strided::<f64>::new(&middle, "x", 2, 4)?;
        assert_eq!(rows.rows(0).row(1, 0, 4), [18.0, 19.0, 20.0, 21.0]);
        assert_eq!(rows.rows(2).row(0, 1, 1), [13.0]);
        let heads = middle.reshape((2, 2, 2))?;
        assert_eq!(Strided::<f64>::new(&heads, "x", 2, 4)?.n(), 2);
        Ok(())
    }

    #[test]
    fn what_cannot_be_read_in_place_is_refused() -> Result<()> {
        let x = Tensor::arange(0f64, 16.0, &Device::Cpu)?.reshape((4, 4))?;
        assert!(Strided::<f64>::new(&x.t()?, "x", 2, 4).is_err());
        assert!(Strided::<f32>::new(&x, "x", 2, 4).is_err());
        assert!(Strided::<f64>::new(&x, "x", 2, 6).is_err());
        let heads = x.reshape((4, 2, 2))?.transpose(0, 1)?.contiguous()?;
        assert!(Strided::<f64>::new(&heads.transpose(0, 1)?, "x", 2, 4).is_err());
        Ok(())
    }

    #[test]
    fn panels_cover_their_part_only() {
        let mut data = [0; 12];
        let shared = SharedRows::new(&mut data, 4);
        // SAFETY: the two panels share no element.
        let (mut left, mut right) = unsafe { (shared.panel(1..3, 0..2), shared.panel(1..3, 2..4)) };
        for i in 0..2 {
            left.row(i).fill(1);
            right.row(i).fill(2);
        }
        assert_eq!(data, [0, 0, 0, 0, 1, 1, 2, 2, 1, 1, 2, 2]);
    }
}
