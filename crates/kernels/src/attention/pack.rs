//! Rows into tiles and back: compact, padded, scaled, turned, transposed.

use std::ops::Range;

use super::rotary::{Direction, Turn};
use super::window::STRIP;
use crate::Real;
use crate::simd::{Kernel, Lanes};
use crate::view::{Panel, Rows};

/// `to[r] = factor · turned(from[rows.start + r])`; each row is padded with zeros, and
/// so are the rows, to whole strips.
pub(super) struct Pack<'a, T> {
    pub(super) from: Rows<'a, T>,
    pub(super) rows: Range<usize>,
    /// First column that is read.
    pub(super) column: usize,
    pub(super) width: usize,
    pub(super) turn: Option<Turn<'a, T>>,
    pub(super) factor: T,
    pub(super) to: &'a mut [T],
    pub(super) to_width: usize,
}

impl<T: Real> Kernel<T> for Pack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let n = self.rows.len();
        let strips = n.next_multiple_of(STRIP) * self.to_width;
        let (to, padding) = self.to[..strips].split_at_mut(n * self.to_width);
        padding.fill(T::zero());
        for (row, to) in self.rows.zip(to.chunks_exact_mut(self.to_width)) {
            let from = self.from.row(row, self.column, self.width);
            let (to, padding) = to.split_at_mut(self.width);
            write_row(
                lanes,
                row,
                from,
                to,
                self.turn,
                Direction::Forward,
                self.factor,
            );
            padding.fill(T::zero());
        }
    }
}

/// `to[r] = factor · turned back(from[r])`, where `first` is the number of row 0.
pub(super) struct Unpack<'a, 'b, T> {
    pub(super) from: &'a [T],
    pub(super) from_width: usize,
    pub(super) first: usize,
    pub(super) width: usize,
    pub(super) turn: Option<Turn<'a, T>>,
    pub(super) factor: T,
    pub(super) to: Panel<'b, T>,
}

impl<T: Real> Kernel<T> for Unpack<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(mut self, lanes: L) {
        for (r, from) in self.from.chunks_exact(self.from_width).enumerate() {
            let (row, to) = (self.first + r, self.to.row(r));
            let from = &from[..self.width];
            write_row(
                lanes,
                row,
                from,
                to,
                self.turn,
                Direction::Back,
                self.factor,
            );
        }
    }
}

#[inline(always)]
fn write_row<L: Lanes>(
    lanes: L,
    row: usize,
    from: &[L::Elem],
    to: &mut [L::Elem],
    turn: Option<Turn<'_, L::Elem>>,
    direction: Direction,
    factor: L::Elem,
) {
    match turn {
        Some(turn) => turn.apply(lanes, row, direction, factor, from, to),
        None => scale(lanes, factor, from, to),
    }
}

/// `to = factor · from`
#[inline(always)]
pub(super) fn scale<L: Lanes>(lanes: L, factor: L::Elem, from: &[L::Elem], to: &mut [L::Elem]) {
    let factor = lanes.splat(factor);
    let mut to = to.chunks_exact_mut(L::N);
    let mut from = from.chunks_exact(L::N);
    for (from, to) in (&mut from).zip(&mut to) {
        lanes.store(to, lanes.mul(lanes.load(from), factor));
    }
    if !from.remainder().is_empty() {
        let last = lanes.mul(lanes.load_partial(from.remainder()), factor);
        lanes.store_partial(to.into_remainder(), last);
    }
}

/// `Σ a[r]·b[r]` of each row, into `to`.
pub(super) struct RowProducts<'a, T> {
    pub(super) a: &'a [T],
    pub(super) a_width: usize,
    pub(super) b: Rows<'a, T>,
    pub(super) first: usize,
    pub(super) column: usize,
    pub(super) width: usize,
    pub(super) to: &'a mut [T],
}

impl<T: Real> Kernel<T> for RowProducts<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        for (r, (a, to)) in self.a.chunks_exact(self.a_width).zip(self.to).enumerate() {
            let b = self.b.row(self.first + r, self.column, self.width);
            *to = crate::simd::sum_of_products(lanes, &a[..self.width], b);
        }
    }
}
