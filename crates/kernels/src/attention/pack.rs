//! Rows into tiles and back: compact, padded, scaled, turned, transposed.

use std::ops::Range;

use super::rotary::{Direction, Turn};
use super::view::{Panel, Rows};
use super::window::BLOCK;
use crate::Real;
use crate::simd::{Kernel, Lanes, map};

/// `to[r] = factor · turned(from[rows.start + r])`, each row padded with zeros.
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
        for (row, to) in self.rows.zip(self.to.chunks_exact_mut(self.to_width)) {
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
        None => {
            let factor = lanes.splat(factor);
            map(lanes, from, to, |x| lanes.mul(x, factor));
        }
    }
}

/// `to[c][r] = from[r][c]`: rows become columns of a matrix that is [`BLOCK`] wide.
/// Columns past the last row, to the next whole strip, are zero.
pub(super) struct Transpose<'a, T> {
    pub(super) from: &'a [T],
    pub(super) from_width: usize,
    pub(super) width: usize,
    pub(super) to: &'a mut [T],
}

impl<T: Real> Kernel<T> for Transpose<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, _: L) {
        let rows = self.from.len() / self.from_width;
        for (c, to) in self.to.chunks_exact_mut(BLOCK).take(self.width).enumerate() {
            for (r, to) in to.iter_mut().enumerate() {
                *to = if r < rows {
                    self.from[r * self.from_width + c]
                } else {
                    T::zero()
                };
            }
        }
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
