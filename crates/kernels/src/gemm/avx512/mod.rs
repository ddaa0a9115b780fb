//! Products by vectors of 512 bits.

mod half;
mod single;
mod turn;

use super::matrix::Mat;
use super::room::{Room, Then};
use crate::{Precision, Real};
use half::Halves;
use single::Singles;

/// Witness that this machine makes a product by vectors of 512 bits, and how.
#[derive(Clone, Copy)]
pub(super) enum Wide {
    /// Of numbers rounded to `bf16`.
    Halves(Halves),
    /// Of numbers as they are.
    Singles(Singles),
}

impl Wide {
    /// Whether products of `bf16` are made here.
    pub(super) fn computes_bf16() -> bool {
        Halves::detect().is_some()
    }

    /// If it makes `a b` like this.
    pub(super) fn of<T: Real>(precision: Precision, a: Mat<'_, T>, b: Mat<'_, T>) -> Option<Self> {
        let halves = match precision {
            Precision::F32 => None,
            Precision::Bf16 => Halves::detect().map(Self::Halves),
        };
        halves.or_else(|| Singles::of(a, b).map(Self::Singles))
    }

    /// `dst (+)= a b`, then `then` for some rows after the other, each once, by the thread that
    /// made them, while they are in its cache.
    ///
    /// # Safety
    ///
    /// What is added to, and what lies between the rows of a product that is narrower than
    /// `dst`, is initialised.
    pub(super) unsafe fn gemm(
        self,
        dst: Room<'_, f32>,
        a: Mat<'_, f32>,
        b: Mat<'_, f32>,
        then: Then<'_, f32>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Self::Halves(halves) => halves.gemm(dst, a, b, then),
                Self::Singles(singles) => singles.gemm(dst, a, b, then),
            }
        }
    }
}

/// Rows of a task of `m` in all, in up to `most_panels` panels of `height` rows, such that the
/// thread with most rows has fewest; of ways that are as good, the one of fewest tasks.
fn rows_a_task(m: usize, height: usize, most_panels: usize) -> usize {
    let threads = rayon::current_num_threads();
    let most = |rows: &usize| m.div_ceil(*rows).div_ceil(threads) * rows;
    let ways = (1..=most_panels).rev().map(|panels| panels * height);
    ways.min_by_key(most).unwrap_or(height)
}
