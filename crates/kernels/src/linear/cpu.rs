//! The loops of `linear` on slices.

use std::ops::Deref;

use candle_core::{Result, Tensor};

use super::{Sizes, columns_from};
use crate::gemm::{Mat, MatMut, gemm, product};
use crate::parallel::{rows_mut, rows_new, rows_new_with_sums};
use crate::simd::{Kernel, Lanes, map2, map3};
use crate::storage::values;
use crate::{Activation, Real};

/// What the product is added to: `residual + bias`, either of which may be absent.
pub(super) fn start<T: Real>(
    n: usize,
    columns: usize,
    bias: &[T],
    residual: Option<&Tensor>,
) -> Result<Vec<T>> {
    let residual = residual.map(values::<T>).transpose()?;
    Ok(rows_new(n * columns, columns, |first, rows| {
        let at = first * columns;
        if let Some(residual) = &residual {
            rows.copy_from_slice(&residual[at..at + rows.len()]);
        }
        if !bias.is_empty() {
            T::dispatch(AddToRows { rows, bias });
        }
    }))
}

/// `y[:, ..out] += x wᵀ`, in rows that are `columns` wide.
pub(super) fn add_product<T: Real>(sizes: &Sizes, x: &[T], w: &[T], y: &mut [T], out: usize) {
    let (n, d_in) = (sizes.n, sizes.d_in);
    let y = MatMut::columns_of(y, n, out, sizes.columns());
    let (x, w) = (Mat::new(x, n, d_in), Mat::new(w, out, d_in));
    gemm(sizes.precision, y, true, x, w.t());
}

/// `y = f(y) + residual`; returns the `y` of before if `keep`.
pub(super) fn activate<T: Real>(
    f: Activation,
    y: &mut Vec<T>,
    columns: usize,
    residual: Option<&[T]>,
    keep: bool,
) -> Vec<T> {
    let piece = |first: usize, before: Option<&[T]>, y: &mut [T]| {
        let at = first * columns;
        T::dispatch(Activate {
            f,
            before: before.map(|before| &before[at..at + y.len()]),
            residual: residual.map(|r| &r[at..at + y.len()]),
            y,
        });
    };
    if !keep {
        rows_mut(y, columns, |first, y| piece(first, None, y));
        return Vec::new();
    }
    let before = std::mem::take(y);
    *y = rows_new(before.len(), columns, |first, y| {
        piece(first, Some(&before), y);
    });
    before
}

/// `dy ⊙ f'(before)`, and its column sums into `sums` (if that is not empty).
pub(super) fn activate_backward<T: Real>(
    f: Activation,
    before: &[T],
    dy: &[T],
    columns: usize,
    sums: &mut [T],
) -> Vec<T> {
    rows_new_with_sums(dy.len(), columns, sums, |first, g, sums| {
        let at = first * columns..first * columns + g.len();
        T::dispatch(ActivateBackward {
            f,
            before: &before[at.clone()],
            dy: &dy[at],
            g,
        });
        T::dispatch(SumRows { rows: g, sums });
    })
}

/// Adds up the rows of `g` into `sums` (if that is not empty).
pub(crate) fn column_sums<T: Real>(g: &[T], columns: usize, sums: &mut [T]) {
    use rayon::prelude::*;
    if sums.is_empty() || g.is_empty() {
        return;
    }
    let piece = crate::parallel::rows_a_piece(columns) * columns;
    let mut partial = vec![T::zero(); g.len().div_ceil(piece) * columns];
    g.par_chunks(piece)
        .zip(partial.par_chunks_mut(columns))
        .for_each(|(rows, sums)| {
            T::dispatch(SumRows { rows, sums });
        });
    T::dispatch(SumRows {
        rows: &partial,
        sums,
    });
}

/// `dx = Σ g[:, its columns] w` over the weights of all maps.
pub(super) fn input_grad<T: Real>(
    sizes: &Sizes,
    g: &[T],
    weights: &[impl Deref<Target = [T]>],
) -> Vec<T> {
    let (n, d_in, columns) = (sizes.n, sizes.d_in, sizes.columns());
    let mut dx = Vec::new();
    let mut first = 0;
    for (i, (w, &out)) in weights.iter().zip(&sizes.widths).enumerate() {
        let g = Mat::columns_of(columns_from(g, first), n, out, columns);
        let w = Mat::new(w, out, d_in);
        match i {
            0 => dx = product(sizes.precision, g, w),
            _ => gemm(sizes.precision, MatMut::new(&mut dx, n, d_in), true, g, w),
        }
        first += out;
    }
    dx
}

/// `dw (+)= g[:, ..out]ᵀ x`
pub(super) fn weight_grad<T: Real>(
    sizes: &Sizes,
    out: usize,
    g: &[T],
    x: &[T],
    dw: &mut [T],
    accumulate: bool,
) {
    let (n, d_in) = (sizes.n, sizes.d_in);
    let g = Mat::columns_of(g, n, out, sizes.columns());
    let (dw, x) = (MatMut::new(dw, out, d_in), Mat::new(x, n, d_in));
    gemm(sizes.precision, dw, accumulate, g.t(), x);
}

/// `into (+)= from`
pub(super) fn write<T: Real>(from: &[T], into: &mut [T], accumulate: bool) {
    if accumulate {
        T::dispatch(AddToRows {
            rows: into,
            bias: from,
        });
    } else {
        into.copy_from_slice(from);
    }
}

struct AddToRows<'a, T> {
    rows: &'a mut [T],
    bias: &'a [T],
}

impl<T: Real> Kernel<T> for AddToRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        for row in self.rows.chunks_exact_mut(self.bias.len()) {
            map2(lanes, row, self.bias, |y, b| lanes.add(y, b));
        }
    }
}

struct SumRows<'a, T> {
    rows: &'a [T],
    sums: &'a mut [T],
}

impl<T: Real> Kernel<T> for SumRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        if self.sums.is_empty() {
            return;
        }
        for row in self.rows.chunks_exact(self.sums.len()) {
            map2(lanes, self.sums, row, |sum, g| lanes.add(sum, g));
        }
    }
}

struct Activate<'a, T> {
    f: Activation,
    /// The argument, or `None` if `y` holds it.
    before: Option<&'a [T]>,
    residual: Option<&'a [T]>,
    y: &'a mut [T],
}

impl<T: Real> Kernel<T> for Activate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let Self {
            f,
            before,
            residual,
            y,
        } = self;
        if let Some(before) = before {
            y.copy_from_slice(before);
        }
        match residual {
            None => {
                let n = y.len();
                let whole = n - n % L::N;
                for i in (0..whole).step_by(L::N) {
                    let v = f.apply(lanes, lanes.load(&y[i..]));
                    lanes.store(&mut y[i..], v);
                }
                let v = f.apply(lanes, lanes.load_partial(&y[whole..]));
                lanes.store_partial(&mut y[whole..], v);
            }
            Some(residual) => map2(
                lanes,
                y,
                residual,
                #[inline(always)]
                |y, r| lanes.add(f.apply(lanes, y), r),
            ),
        }
    }
}

struct ActivateBackward<'a, T> {
    f: Activation,
    before: &'a [T],
    dy: &'a [T],
    g: &'a mut [T],
}

impl<T: Real> Kernel<T> for ActivateBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        map3(
            lanes,
            self.before,
            self.dy,
            self.g,
            #[inline(always)]
            |x, dy| lanes.mul(dy, self.f.derivative(lanes, x)),
        );
    }
}
