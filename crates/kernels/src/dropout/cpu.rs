//! The loop of `dropout` on slices.

use candle_core::WithDType;

use crate::Real;
use crate::parallel::pieces_mut;
use crate::rng::Key;
use crate::simd::{Kernel, Lanes};

/// Which elements are kept, and what they are multiplied by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) key: Key,
    /// Words from here on are kept.
    pub(super) threshold: u32,
    pub(super) scale: f64,
}

impl Keep {
    pub(super) fn new(p: f32, key: Key) -> Self {
        let p = f64::from(p);
        Self {
            key,
            threshold: (p * 2f64.powi(32)) as u32,
            scale: 1.0 / (1.0 - p),
        }
    }
}

/// `y = residual + keep ⊙ x`
pub(super) fn dropout<T: Real>(keep: Keep, x: &[T], residual: Option<&[T]>, y: &mut [T]) {
    pieces_mut(y, |first, y| {
        let at = first..first + y.len();
        T::dispatch(Dropout {
            keep,
            first,
            x: &x[at.clone()],
            residual: residual.map(|r| &r[at]),
            y,
        });
    });
}

struct Dropout<'a, T> {
    keep: Keep,
    /// Index of the first element, a multiple of 64.
    first: usize,
    x: &'a [T],
    residual: Option<&'a [T]>,
    y: &'a mut [T],
}

impl<T: Real> Kernel<T> for Dropout<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self, _: L) {
        let Keep {
            key,
            threshold,
            scale,
        } = self.keep;
        let scale = <T as WithDType>::from_f64(scale);
        let blocks = self.x.chunks(64).zip(self.y.chunks_mut(64));
        for (i, (x, y)) in blocks.enumerate() {
            let words = key.words64((self.first / 64 + i) as u64);
            for ((y, &x), word) in y.iter_mut().zip(x).zip(words) {
                *y = if word >= threshold {
                    x * scale
                } else {
                    T::zero()
                };
            }
            if let Some(residual) = self.residual {
                for (y, &r) in y.iter_mut().zip(&residual[64 * i..]) {
                    *y += r;
                }
            }
        }
    }
}
