//! Where a product goes, and what follows it.

use std::mem::MaybeUninit;

use crate::Real;
use crate::parallel::zeroed;

/// Called with the number of the first of some rows of a product, these rows, and those that
/// lie beside them, zeros at first, if there are any.
pub(super) type Then<'a, T> = &'a (dyn Fn(usize, &mut [T], &mut [T]) + Sync);

/// Room for a product, in rows that are `width` wide; it ends with the last number of it.
pub(super) struct Room<'a, T> {
    pub(super) data: &'a mut [MaybeUninit<T>],
    /// Room for as many numbers beside, or none.
    pub(super) sides: &'a mut [MaybeUninit<T>],
    pub(super) width: usize,
    /// Whether the product is added to what is there, which then is initialised.
    pub(super) accumulate: bool,
}

/// Rows of a product, for one thread.
pub(super) struct Task<'a, T> {
    /// The number of the first.
    pub(super) first: usize,
    pub(super) data: &'a mut [MaybeUninit<T>],
    pub(super) sides: &'a mut [MaybeUninit<T>],
}

impl<T: Real> Room<'_, T> {
    /// All of it, some rows each.
    pub(super) fn tasks(&mut self, rows: usize) -> Vec<Task<'_, T>> {
        let len = rows * self.width;
        let mut sides = self.sides.chunks_mut(len);
        let tasks = self.data.chunks_mut(len).enumerate();
        let task = |(i, data)| Task {
            first: i * rows,
            data,
            sides: sides.next().unwrap_or_default(),
        };
        tasks.map(task).collect()
    }

    /// The same, of `f32`, if it is.
    pub(super) fn singles(&mut self) -> Option<Room<'_, f32>> {
        Some(Room {
            data: T::singles_mut(self.data)?,
            sides: T::singles_mut(self.sides)?,
            width: self.width,
            accumulate: self.accumulate,
        })
    }
}

impl<T: Real> Task<'_, T> {
    /// Does what follows.
    ///
    /// # Safety
    ///
    /// All of `data` was written.
    pub(super) unsafe fn finish(self, then: Then<'_, T>) {
        // SAFETY: the caller's promise.
        then(
            self.first,
            unsafe { written(self.data) },
            zeroed(self.sides),
        );
    }
}

/// What was written into `room`.
///
/// # Safety
///
/// All of it was.
pub(super) unsafe fn written<T>(room: &mut [MaybeUninit<T>]) -> &mut [T] {
    let room: *mut [MaybeUninit<T>] = room;
    // SAFETY: the caller's promise; the layout is that of `T`.
    unsafe { &mut *(room as *mut [T]) }
}
