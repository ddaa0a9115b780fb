//! The loops of `linear` on slices.

use std::ops::Deref;

use super::Sizes;
use crate::gemm::{Mat, MatMut, gemm, product, product_beside, product_then};
use crate::parallel::{Pieces, each_piece, rows_a_piece, rows_mut, rows_mut_with_sums, rows_new};
use crate::simd::{Kernel, Lanes, map1, map2, write};
use crate::{Activation, Precision, Real};

/// Rows from which on the weights of several maps are copied below one another: one large
/// product then takes less time than several small ones, and copying little beside it.
pub(super) const ROWS_TO_JOIN: usize = 64;

/// The weights of all maps below one another, if there are several and it pays.
fn joined<T: Real>(sizes: &Sizes, weights: &[impl Deref<Target = [T]>]) -> Option<Vec<T>> {
    let pays = weights.len() > 1 && sizes.n >= ROWS_TO_JOIN;
    pays.then(|| {
        let mut all = Vec::with_capacity(sizes.columns() * sizes.d_in);
        weights.iter().for_each(|w| all.extend_from_slice(w));
        all
    })
}

/// `[x W₀ᵀ | x W₁ᵀ | …] + bias + residual`, where `bias` may be empty.
pub(super) fn affine<T: Real>(
    sizes: &Sizes,
    x: &[T],
    weights: &[impl Deref<Target = [T]>],
    bias: &[T],
    residual: Option<&[T]>,
) -> Vec<T> {
    let (n, d_in, columns) = (sizes.n, sizes.d_in, sizes.columns());
    let all = joined(sizes, weights);
    let one = match (&all, weights) {
        (Some(all), _) => Some(&all[..]),
        (None, [w]) => Some(&**w),
        _ => None,
    };
    let finish = |first: usize, y: &mut [T]| {
        add_to_rows(y, bias);
        if let Some(residual) = residual {
            write(&residual[first * columns..][..y.len()], y, true);
        }
    };
    let x = Mat::new(x, n, d_in);
    if let Some(w) = one {
        let w = Mat::new(w, columns, d_in);
        return product_then(sizes.precision, x, w.t(), finish);
    }
    let mut y = rows_new(n * columns, columns, finish);
    for (w, (first, out)) in weights.iter().zip(sizes.maps()) {
        // Without rows, there is nothing past the first column.
        let y = y.get_mut(first..).unwrap_or_default();
        let y = MatMut::columns_of(y, n, out, columns);
        gemm(sizes.precision, y, true, x, Mat::new(w, out, d_in).t());
    }
    y
}

/// Adds `bias` to each row, if it is not empty.
fn add_to_rows<T: Real>(rows: &mut [T], bias: &[T]) {
    if !bias.is_empty() {
        T::dispatch(AddToRows { rows, bias });
    }
}

/// `f(x wᵀ + bias) + residual`, and `f'(x wᵀ + bias)` if `keep`, else nothing. `bias` may
/// be empty.
pub(super) fn activated<T: Real>(
    sizes: &Sizes,
    f: Activation,
    (x, w): (&[T], &[T]),
    bias: &[T],
    residual: Option<&[T]>,
    keep: bool,
) -> [Vec<T>; 2] {
    let (n, d_in, columns) = (sizes.n, sizes.d_in, sizes.columns());
    let (x, w) = (Mat::new(x, n, d_in), Mat::new(w, columns, d_in));
    let residual = |first: usize, rows: &[T]| residual.map(|r| &r[first * columns..][..rows.len()]);
    if keep {
        let [slopes, y] = product_beside(sizes.precision, x, w.t(), |first, z, y| {
            let residual = residual(first, y);
            add_to_rows(z, bias);
            T::dispatch(ActivateAndDerive { f, z, residual, y });
        });
        return [y, slopes];
    }
    let y = product_then(sizes.precision, x, w.t(), |first, z| {
        let residual = residual(first, z);
        add_to_rows(z, bias);
        T::dispatch(Activate { f, z, residual });
    });
    [y, Vec::new()]
}

/// `g = g ⊙ slopes`, and its column sums into `sums` (if that is not empty).
pub(super) fn activate_backward<T: Real>(
    slopes: &[T],
    g: &mut [T],
    columns: usize,
    sums: &mut [T],
) {
    rows_mut_with_sums(g, columns, sums, |first, rows, sums| {
        let slopes = &slopes[first * columns..][..rows.len()];
        T::dispatch(Multiply { rows, slopes });
        T::dispatch(SumRows { rows, sums });
    });
}

/// Adds up the rows of `g` into `sums` (if that is not empty).
pub(crate) fn column_sums<T: Real>(g: &[T], columns: usize, sums: &mut [T]) {
    if sums.is_empty() || g.is_empty() {
        return;
    }
    let piece = rows_a_piece(columns) * columns;
    let mut partial = vec![T::zero(); g.len().div_ceil(piece) * columns];
    each_piece(Pieces::of(&mut partial, columns), |i, sums| {
        let rows = &g[i * piece..g.len().min((i + 1) * piece)];
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
    if let Some(all) = joined(sizes, weights) {
        let (g, all) = (Mat::new(g, n, columns), Mat::new(&all, columns, d_in));
        return product(sizes.precision, g, all);
    }
    let mut dx = Vec::new();
    for (w, (first, out)) in weights.iter().zip(sizes.maps()) {
        let g = Mat::columns_of(columns_from(g, first), n, out, columns);
        let w = Mat::new(w, out, d_in);
        match first {
            0 => dx = product(sizes.precision, g, w),
            _ => gemm(sizes.precision, MatMut::new(&mut dx, n, d_in), true, g, w),
        }
    }
    dx
}

/// `dw (+)= g[:, first..first + out]ᵀ x`
pub(super) fn weight_grad<T: Real>(
    sizes: &Sizes,
    (first, out): (usize, usize),
    g: &[T],
    x: &[T],
    dw: &mut [T],
    accumulate: bool,
) {
    let (n, d_in) = (sizes.n, sizes.d_in);
    let g = Mat::columns_of(columns_from(g, first), n, out, sizes.columns());
    let x = Mat::new(x, n, d_in);
    if sizes.precision == Precision::F32 && d_in > out && n > d_in {
        // Sums over many rows take less time when the result is higher than wide: on Zen 4
        // 512 by 128 ran at 191 GFLOP/s, 128 by 512 at 166 (by the `gemm` crate at 168 and 138).
        write_turned(&product(sizes.precision, x.t(), g), out, dw, accumulate);
    } else {
        let dw = MatMut::new(dw, out, d_in);
        gemm(sizes.precision, dw, accumulate, g.t(), x);
    }
}

/// `into (+)= fromᵀ`, where the rows of `from` are `width` wide.
fn write_turned<T: Real>(from: &[T], width: usize, into: &mut [T], accumulate: bool) {
    /// Rows of `from` that are read at one time, a line of the cache of each.
    const SIDE: usize = 16;
    let height = from.len() / width.max(1);
    rows_mut(into, height, |first, into| {
        for at in (0..height).step_by(SIDE) {
            let columns = at..height.min(at + SIDE);
            for (j, row) in (first..).zip(into.chunks_exact_mut(height)) {
                for (i, to) in columns.clone().zip(&mut row[columns.clone()]) {
                    let term = from[i * width + j];
                    *to = if accumulate { *to + term } else { term };
                }
            }
        }
    });
}

/// `gᵀ x`, the gradients of all weights below one another, if it pays to make them at once.
pub(super) fn weight_grads<T: Real>(sizes: &Sizes, g: &[T], x: &[T]) -> Option<Vec<T>> {
    let (n, d_in, columns) = (sizes.n, sizes.d_in, sizes.columns());
    let pays = sizes.widths.len() > 1 && n >= ROWS_TO_JOIN;
    pays.then(|| {
        let (g, x) = (Mat::new(g, n, columns), Mat::new(x, n, d_in));
        product(sizes.precision, g.t(), x)
    })
}

/// The matrix `g` from column `first` on; empty without rows.
fn columns_from<T>(g: &[T], first: usize) -> &[T] {
    g.get(first..).unwrap_or_default()
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

/// `z = f(z) + residual`
struct Activate<'a, T> {
    f: Activation,
    z: &'a mut [T],
    residual: Option<&'a [T]>,
}

impl<T: Real> Kernel<T> for Activate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let Self { f, z, residual } = self;
        match residual {
            None => map1(
                lanes,
                z,
                #[inline(always)]
                |z| f.apply(lanes, z),
            ),
            Some(residual) => map2(
                lanes,
                z,
                residual,
                #[inline(always)]
                |z, r| lanes.add(f.apply(lanes, z), r),
            ),
        }
    }
}

/// `y = f(z) + residual` and `z = f'(z)`: so the backward pass need not compute `f` again.
struct ActivateAndDerive<'a, T> {
    f: Activation,
    z: &'a mut [T],
    residual: Option<&'a [T]>,
    y: &'a mut [T],
}

impl<T: Real> Kernel<T> for ActivateAndDerive<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        let Self { f, z, residual, y } = self;
        for (z, y) in z.chunks_mut(L::N).zip(y.chunks_mut(L::N)) {
            let [value, slope] = f.with_derivative(lanes, lanes.load_partial(z));
            lanes.store_partial(z, slope);
            lanes.store_partial(y, value);
        }
        if let Some(residual) = residual {
            map2(lanes, y, residual, |y, r| lanes.add(y, r));
        }
    }
}

/// `rows = rows ⊙ slopes`
struct Multiply<'a, T> {
    rows: &'a mut [T],
    slopes: &'a [T],
}

impl<T: Real> Kernel<T> for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, lanes: L) {
        map2(lanes, self.rows, self.slopes, |g, slope| {
            lanes.mul(g, slope)
        });
    }
}
