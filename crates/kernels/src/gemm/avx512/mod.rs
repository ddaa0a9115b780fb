//! Products by vectors of 512 bits, of tiles of registers.
//!
//! Words are multiplied, which a [`word`] says more about: numbers of `f32` as they lie, or
//! pairs of numbers that are rounded to `bf16` on the way; sums are `f32`. Of products of rows
//! with a matrix ([`rows`]) and of sums over rows ([`sums`], the gradients of weights) every
//! number is one chain of sums, cut at fixed places: its bits depend neither on the threads nor
//! on its neighbours.

mod ahead;
mod as_words;
mod pack;
mod rows;
mod sums;
mod tile;
mod turn;
mod word;

use std::marker::PhantomData;

use super::matrix::Mat;
use super::room::{Room, Then};
use crate::{Precision, Real};
use word::{Pair, Word};

/// Rows of a result of `f32` from which on packing the right matrix pays.
const FEWEST_ROWS: usize = 64;
/// Terms of sums over rows of `f32` from which on they pay, and columns of their result.
const FEWEST_TERMS: usize = 64;
const FEWEST_COLUMNS: usize = 16;

/// Witness that this machine makes a product by vectors of 512 bits, and of which words.
#[derive(Clone, Copy)]
pub(super) enum Wide {
    /// Of numbers rounded to `bf16`.
    Halves(Words<Pair>),
    /// Of numbers as they are.
    Singles(Words<f32>),
}

impl Wide {
    /// Whether products of `bf16` are made here.
    pub(super) fn computes_bf16() -> bool {
        Words::<Pair>::detect().is_some()
    }

    /// If it makes `a b` like this. Products of `bf16` are all made here, those of `f32` if
    /// they are faster.
    pub(super) fn of<T: Real>(precision: Precision, a: Mat<'_, T>, b: Mat<'_, T>) -> Option<Self> {
        let halves = match precision {
            Precision::F32 => None,
            Precision::Bf16 => Words::detect().map(Self::Halves),
        };
        let pays = if is_sum(a, b) {
            a.cols >= FEWEST_TERMS && b.cols >= FEWEST_COLUMNS
        } else {
            a.col_stride == 1 && a.rows >= FEWEST_ROWS
        };
        let singles = || Words::detect().filter(|_| pays).map(Self::Singles);
        halves.or_else(singles)
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
                Self::Halves(words) => words.gemm(dst, a, b, then),
                Self::Singles(words) => words.gemm(dst, a, b, then),
            }
        }
    }
}

/// Witness that this machine multiplies words of a kind.
#[derive(Clone, Copy)]
pub(super) struct Words<W>(PhantomData<W>);

impl<W: Word> Words<W> {
    /// If it does.
    fn detect() -> Option<Self> {
        W::is_multiplied_here().then_some(Self(PhantomData))
    }

    /// As [`Wide::gemm`].
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn gemm(
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

/// Rows of a task of `m` in all, in up to `most_panels` panels of `height` rows, such that the
/// thread with most rows has fewest; of ways that are as good, the one of fewest tasks.
fn rows_a_task(m: usize, height: usize, most_panels: usize) -> usize {
    let threads = rayon::current_num_threads();
    let most = |rows: &usize| m.div_ceil(*rows).div_ceil(threads) * rows;
    let ways = (1..=most_panels).rev().map(|panels| panels * height);
    ways.min_by_key(most).unwrap_or(height)
}
