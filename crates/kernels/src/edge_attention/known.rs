//! What the backward pass starts from.

use super::pairs::{End, Pairs, stride};
use crate::Real;
use crate::attention::Heads;
use crate::parallel::rows_mut;
use crate::simd::{Kernel, LONGEST, Lanes, prefetch, sum_of_products};
use crate::view::Rows;

/// Gradients of results, and two numbers for each destination and head.
pub(super) struct Known<'a, T> {
    /// Gradient with respect to the results: `[n_destinations, n_heads · head_dim]`.
    pub(super) dy: Rows<'a, T>,
    /// `[n_destinations, 2 · stride]`: the logarithm of the sum of `e^score`, then
    /// `Σ dy·y`. Side by side, as both are gathered.
    numbers: Vec<T>,
    stride: usize,
}

impl<'a, T: Real> Known<'a, T> {
    /// Computes `Σ dy·y`; `log_sum` is `[n_destinations, stride]`.
    pub(super) fn new(heads: &Heads, log_sum: &[T], y: &[T], dy: &'a [T]) -> Self {
        let (width, stride) = (heads.q_width(), stride(heads.n_heads));
        let mut numbers = vec![T::zero(); 2 * log_sum.len()];
        rows_mut(&mut numbers, 2 * stride, |first, numbers| {
            let rows = first..first + numbers.len() / (2 * stride);
            T::dispatch(Deltas {
                y: &y[rows.start * width..rows.end * width],
                dy: &dy[rows.start * width..rows.end * width],
                log_sum: &log_sum[rows.start * stride..rows.end * stride],
                heads,
                numbers,
            });
        });
        Self {
            dy: Rows::contiguous(dy, width),
            numbers,
            stride,
        }
    }

    /// Fills both kinds of numbers, a row an edge, and asks for those of edges behind.
    ///
    /// It only copies, so it is compiled once, for any instruction set.
    #[inline(never)]
    pub(super) fn gather(&self, pairs: &Pairs<'_>, to: [&mut [T]; 2]) {
        match self.stride {
            1 => self.gather_by::<1>(pairs, to),
            2 => self.gather_by::<2>(pairs, to),
            4 => self.gather_by::<4>(pairs, to),
            8 => self.gather_by::<8>(pairs, to),
            _ => self.gather_by::<LONGEST>(pairs, to),
        }
    }

    /// As [`Known::gather`], `S` numbers at a time.
    #[inline(always)]
    fn gather_by<const S: usize>(&self, pairs: &Pairs<'_>, [log_sums, deltas]: [&mut [T]; 2]) {
        let stride = self.stride;
        let rows = log_sums
            .chunks_exact_mut(stride)
            .zip(deltas.chunks_exact_mut(stride));
        for (e, (log_sums, deltas)) in (0..pairs.len()).zip(rows) {
            if let End::Source = pairs.shared {
                prefetch(self.row(pairs.ahead(e)));
            }
            let (of_sums, of_deltas) = self.row(pairs.destination(e)).split_at(stride);
            put::<T, S>(of_sums, log_sums);
            put::<T, S>(of_deltas, deltas);
        }
    }

    #[inline(always)]
    fn row(&self, destination: usize) -> &[T] {
        &self.numbers[destination * 2 * self.stride..][..2 * self.stride]
    }
}

/// Copies rows of a multiple of `S` numbers.
#[inline(always)]
fn put<T: Copy, const S: usize>(from: &[T], to: &mut [T]) {
    let (from, _) = from.as_chunks::<S>();
    let (to, _) = to.as_chunks_mut::<S>();
    for (from, to) in from.iter().zip(to) {
        *to = *from;
    }
}

struct Deltas<'a, T> {
    y: &'a [T],
    dy: &'a [T],
    log_sum: &'a [T],
    heads: &'a Heads,
    numbers: &'a mut [T],
}

impl<T: Real> Kernel<T> for Deltas<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let (width, stride) = (self.heads.q_width(), stride(self.heads.n_heads));
        let rows = self.y.chunks_exact(width).zip(self.dy.chunks_exact(width));
        let rows = rows.zip(self.log_sum.chunks_exact(stride));
        for (((y, dy), log_sum), numbers) in rows.zip(self.numbers.chunks_exact_mut(2 * stride)) {
            let (log_sums, deltas) = numbers.split_at_mut(stride);
            log_sums.copy_from_slice(log_sum);
            let d = self.heads.head_dim;
            let heads = y.chunks_exact(d).zip(dy.chunks_exact(d));
            for ((y, dy), delta) in heads.zip(deltas) {
                *delta = sum_of_products(lanes, y, dy);
            }
        }
    }
}
