//! Products by vectors of 512 bits where there are none.

use super::matrix::Mat;
use super::room::{Room, Then};
use crate::{Precision, Real};

/// Witness that this machine makes a product by vectors of 512 bits: there is none.
#[derive(Clone, Copy)]
pub(super) enum Wide {}

impl Wide {
    /// No.
    pub(super) fn computes_bf16() -> bool {
        false
    }

    /// None.
    pub(super) fn of<T: Real>(_: Precision, _: Mat<'_, T>, _: Mat<'_, T>) -> Option<Self> {
        None
    }

    /// As on a machine that makes them.
    ///
    /// # Safety
    ///
    /// It is never called.
    pub(super) unsafe fn gemm(
        self,
        _: Room<'_, f32>,
        _: Mat<'_, f32>,
        _: Mat<'_, f32>,
        _: Then<'_, f32>,
    ) {
        match self {}
    }
}
