//! Matrix products of `f32`, by tiles of registers that read the left matrix where it lies.
//!
//! Of products of rows with a matrix ([`rows`]) and of sums over rows ([`sums`], the
//! gradients of weights) every number is one chain of sums, cut at fixed places: its bits
//! depend neither on the threads nor on its neighbours.

mod ahead;
mod pack;
mod rows;
mod sums;
mod tile;

use crate::Real;
use crate::gemm::matrix::Mat;
use crate::gemm::room::{Room, Then};

/// Rows of a result from which on packing the right matrix pays.
const FEWEST_ROWS: usize = 64;
/// Terms of sums over rows from which on they pay, and columns of their result.
const FEWEST_TERMS: usize = 64;
const FEWEST_COLUMNS: usize = 16;

/// Witness that this machine has vectors of 512 bits.
#[derive(Clone, Copy)]
pub(in crate::gemm) struct Singles(());

impl Singles {
    /// If the machine has them, and `a b` is a product that is made faster here.
    pub(super) fn of<T: Real>(a: Mat<'_, T>, b: Mat<'_, T>) -> Option<Self> {
        let pays = if is_sum(a, b) {
            a.cols >= FEWEST_TERMS && b.cols >= FEWEST_COLUMNS
        } else {
            a.col_stride == 1 && a.rows >= FEWEST_ROWS
        };
        (pays && crate::instruction_set() == "avx512").then_some(Self(()))
    }

    /// As [`Wide::gemm`](super::Wide::gemm).
    ///
    /// # Safety
    ///
    /// As there.
    pub(super) unsafe fn gemm(
        self,
        dst: Room<'_, f32>,
        a: Mat<'_, f32>,
        b: Mat<'_, f32>,
        then: Then<'_, f32>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if is_sum(a, b) {
                self.sums(dst, a, b, then);
            } else {
                self.rows(dst, a, b, then);
            }
        }
    }
}

/// Whether `a b` adds up products of rows: both sides are many rows.
fn is_sum<T: Copy>(a: Mat<'_, T>, b: Mat<'_, T>) -> bool {
    a.col_stride != 1 && a.row_stride == 1 && b.col_stride == 1
}
