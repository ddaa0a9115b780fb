//! The loop of `edge_sum` on slices.

use std::ops::Range;

use crate::Real;
use crate::edges::Side;
use crate::parallel::numbers;
use crate::simd::{Kernel, Lanes, map2};
use crate::view::{Panel, SharedRows};

/// `y`, zeros at first: the weighted sum of the rows of `x` at the other ends of the
/// edges of each row.
pub(super) fn sum<T: Real>(side: Side<'_>, weights: &[f32], x: &[T], d: usize, y: &mut [T]) {
    let y = SharedRows::new(y, d);
    numbers(side.pieces.len(), &|i| {
        let rows = &side.pieces[i];
        // SAFETY: pieces share no row.
        let y = unsafe { y.panel(rows.clone(), 0..d) };
        T::dispatch(Piece {
            side,
            weights,
            x,
            d,
            rows: rows.clone(),
            y,
        });
    });
}

struct Piece<'a, T> {
    side: Side<'a>,
    weights: &'a [f32],
    x: &'a [T],
    d: usize,
    rows: Range<usize>,
    y: Panel<'a, T>,
}

impl<T: Real> Kernel<T> for Piece<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(mut self, lanes: L) {
        let d = self.d;
        for (at, row) in self.rows.enumerate() {
            let y = self.y.row(at);
            for place in self.side.places(row) {
                let weight = self.weights[self.side.number(place)];
                let weight = lanes.constant(f64::from(weight));
                let x = &self.x[self.side.ends[place] as usize * d..][..d];
                map2(
                    lanes,
                    y,
                    x,
                    #[inline(always)]
                    |y, x| lanes.mul_add(weight, x, y),
                );
            }
        }
    }
}
