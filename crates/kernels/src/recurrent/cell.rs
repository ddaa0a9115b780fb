//! What differs between the layers: one step of several sequences.

use rayon::prelude::*;

use crate::Real;
use crate::parallel::rows_a_piece;
use crate::simd::Lanes;

/// One step of a recurrence, on rows that are `d` or `GATES · d` wide.
pub(super) trait Cell: Send + Sync + 'static {
    /// Name in error messages.
    const NAME: &'static str;
    /// Parts of a row of the projections.
    const GATES: usize;
    /// Whether the gradients of the two projections differ.
    const APART: bool;

    fn forward<T: Real>(rows: Forward<'_, T>);

    fn backward<T: Real>(rows: Backward<'_, T>);
}

/// One step ahead.
pub(super) struct Forward<'a, T> {
    pub(super) d: usize,
    /// Holds the projected inputs; receives the gates, after their functions.
    pub(super) gates: &'a mut [T],
    /// The projected states of the step before.
    pub(super) hidden: &'a [T],
    /// The states of the step before.
    pub(super) before: &'a [T],
    /// What the step before left in `extra`.
    pub(super) extra_before: &'a [T],
    /// Receives what else the cell remembers.
    pub(super) extra: &'a mut [T],
    /// Receives the states.
    pub(super) states: &'a mut [T],
}

/// One step back.
pub(super) struct Backward<'a, T> {
    pub(super) d: usize,
    pub(super) gates: &'a [T],
    pub(super) extra: &'a [T],
    pub(super) before: &'a [T],
    pub(super) extra_before: &'a [T],
    /// Holds the gradient of the states; receives that of the states before, but for
    /// what comes through their projection.
    pub(super) dstates: &'a mut [T],
    /// As `dstates`, of what the cell remembers, where that is passed on.
    pub(super) dextra: &'a mut [T],
    /// Receives the gradient of the projected inputs.
    pub(super) dgates: &'a mut [T],
    /// Receives that of the projected states, if it is another one; else empty.
    pub(super) dhidden: &'a mut [T],
}

impl<T: Real> Forward<'_, T> {
    /// Takes the step, in pieces of rows that depend on the shape alone.
    pub(super) fn run<C: Cell>(self) {
        let Self {
            d,
            mut gates,
            mut hidden,
            mut before,
            mut extra_before,
            mut extra,
            mut states,
        } = self;
        let rows = rows_a_piece(C::GATES * d);
        let mut pieces = Vec::new();
        while !states.is_empty() {
            pieces.push(Forward {
                d,
                gates: split_mut(&mut gates, rows * C::GATES * d),
                hidden: split(&mut hidden, rows * C::GATES * d),
                before: split(&mut before, rows * d),
                extra_before: split(&mut extra_before, rows * d),
                extra: split_mut(&mut extra, rows * d),
                states: split_mut(&mut states, rows * d),
            });
        }
        each(pieces, C::forward);
    }
}

impl<T: Real> Backward<'_, T> {
    /// As [`Forward::run`].
    pub(super) fn run<C: Cell>(self) {
        let Self {
            d,
            mut gates,
            mut extra,
            mut before,
            mut extra_before,
            mut dstates,
            mut dextra,
            mut dgates,
            mut dhidden,
        } = self;
        let rows = rows_a_piece(C::GATES * d);
        let mut pieces = Vec::new();
        while !dstates.is_empty() {
            pieces.push(Backward {
                d,
                gates: split(&mut gates, rows * C::GATES * d),
                extra: split(&mut extra, rows * d),
                before: split(&mut before, rows * d),
                extra_before: split(&mut extra_before, rows * d),
                dstates: split_mut(&mut dstates, rows * d),
                dextra: split_mut(&mut dextra, rows * d),
                dgates: split_mut(&mut dgates, rows * C::GATES * d),
                dhidden: split_mut(&mut dhidden, rows * C::GATES * d),
            });
        }
        each(pieces, C::backward);
    }
}

fn each<P: Send>(mut pieces: Vec<P>, work: impl Fn(P) + Sync + Send) {
    match pieces.len() {
        0 => {}
        1 => pieces.pop().into_iter().for_each(work),
        _ => pieces.into_par_iter().for_each(work),
    }
}

/// The first `n` elements of `x`, or all, which it then no longer has.
fn split<'a, T>(x: &mut &'a [T], n: usize) -> &'a [T] {
    let (first, rest) = x.split_at(n.min(x.len()));
    *x = rest;
    first
}

/// As [`split`].
fn split_mut<'a, T>(x: &mut &'a mut [T], n: usize) -> &'a mut [T] {
    let at = n.min(x.len());
    let (first, rest) = std::mem::take(x).split_at_mut(at);
    *x = rest;
    first
}

/// The vector of `x` at `i`, filled up with zeros at the end.
#[inline(always)]
pub(super) fn get<L: Lanes>(lanes: L, x: &[L::Elem], i: usize) -> L::V {
    match x.len() - i >= L::N {
        true => lanes.load(&x[i..]),
        false => lanes.load_partial(&x[i..]),
    }
}

/// Writes the vector `v` at `i` of `x`, as far as that reaches.
#[inline(always)]
pub(super) fn put<L: Lanes>(lanes: L, x: &mut [L::Elem], i: usize, v: L::V) {
    match x.len() - i >= L::N {
        true => lanes.store(&mut x[i..], v),
        false => lanes.store_partial(&mut x[i..], v),
    }
}
