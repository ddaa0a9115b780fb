//! The loops of `linear` on slices.

use candle_core::{Result, Tensor};

use super::Sizes;
use crate::gemm::{Mat, MatMut, gemm};
use crate::parallel::{rows_mut, rows_mut_with_sums};
use crate::simd::{Kernel, Lanes, map2, map3};
use crate::storage::{buffer, values};
use crate::{Activation, Real};

/// What the product is added to: `residual + bias`, either of which may be absent.
pub(super) fn start<T: Real>(
    n: usize,
    columns: usize,
    bias: &[T],
    residual: Option<&Tensor>,
) -> Result<Vec<T>> {
    let mut y = match residual {
        Some(residual) => values::<T>(residual)?.to_vec(),
        None => buffer(n * columns),
    };
    if !bias.is_empty() {
        rows_mut(&mut y, columns, |_, rows| {
            T::dispatch(AddToRows { rows, bias });
        });
    }
    Ok(y)
}

/// `y[:, ..out] += x wᵀ`, in rows that are `columns` wide.
pub(super) fn product<T: Real>(sizes: &Sizes, x: &[T], w: &[T], y: &mut [T], out: usize) {
    let (n, d_in) = (sizes.n, sizes.d_in);
    let y = MatMut::columns_of(y, n, out, sizes.columns());
    gemm(y, true, Mat::new(x, n, d_in), Mat::new(w, out, d_in).t());
}

/// `y = f(y) + residual`; returns the `y` of before if `keep`.
pub(super) fn activate<T: Real>(
    f: Activation,
    y: &mut Vec<T>,
    columns: usize,
    residual: Option<&[T]>,
    keep: bool,
) -> Vec<T> {
    let before = if keep {
        std::mem::replace(y, buffer(y.len()))
    } else {
        Vec::new()
    };
    rows_mut(y, columns, |first, y| {
        let at = first * columns..first * columns + y.len();
        let before = before.get(at.clone());
        let residual = residual.map(|r| &r[at]);
        T::dispatch(Activate {
            f,
            before,
            residual,
            y,
        });
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
    let mut g = buffer(dy.len());
    rows_mut_with_sums(&mut g, columns, sums, |first, g, sums| {
        let at = first * columns..first * columns + g.len();
        T::dispatch(ActivateBackward {
            f,
            before: &before[at.clone()],
            dy: &dy[at],
            g: &mut *g,
        });
        T::dispatch(SumRows { rows: g, sums });
    });
    g
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

/// `dx (+)= g w`
#[expect(clippy::too_many_arguments, reason = "three matrices and their sizes")]
pub(super) fn input_grad<T: Real>(
    n: usize,
    d_in: usize,
    out: usize,
    g: &[T],
    columns: usize,
    w: &[T],
    dx: &mut [T],
    accumulate: bool,
) {
    gemm(
        MatMut::new(dx, n, d_in),
        accumulate,
        Mat::columns_of(g, n, out, columns),
        Mat::new(w, out, d_in),
    );
}

/// `dw (+)= gᵀ x`
#[expect(clippy::too_many_arguments, reason = "three matrices and their sizes")]
pub(super) fn weight_grad<T: Real>(
    n: usize,
    d_in: usize,
    out: usize,
    g: &[T],
    columns: usize,
    x: &[T],
    dw: &mut [T],
    accumulate: bool,
) {
    gemm(
        MatMut::new(dw, out, d_in),
        accumulate,
        Mat::columns_of(g, n, out, columns).t(),
        Mat::new(x, n, d_in),
    );
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
