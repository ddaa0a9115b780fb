//! Products of `bf16` where there are no instructions for them: none.

use std::mem::MaybeUninit;

use super::Mat;

/// Witness that this machine multiplies `bf16`: there is none.
#[derive(Clone, Copy)]
pub(super) enum Halves {}

impl Halves {
    /// Nothing.
    pub(super) fn detect() -> Option<Self> {
        None
    }

    /// As on a machine that multiplies them.
    ///
    /// # Safety
    ///
    /// It is never called.
    pub(super) unsafe fn gemm(
        self,
        _: &mut [MaybeUninit<f32>],
        _: usize,
        _: bool,
        _: Mat<'_, f32>,
        _: Mat<'_, f32>,
    ) {
        match self {}
    }
}
