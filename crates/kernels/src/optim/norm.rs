//! The norm of all gradients together, and clipping by it.

use rayon::prelude::*;

use crate::Real;
use crate::parallel::GRAIN;
use crate::simd::{Kernel, Lanes};

/// Euclidean norm, added up in `f64`: the same bits for any number of threads and
/// on any instruction set.
///
/// # Shapes
///
/// - `grads`: all gradients, in any order
pub fn global_norm(grads: &[f32]) -> f64 {
    let pieces: Vec<f64> = grads
        .par_chunks(GRAIN)
        .map(|piece| f32::dispatch(SumOfSquares(piece)))
        .collect();
    pieces.iter().sum::<f64>().sqrt()
}

/// What gradients of norm `norm` are multiplied by so that none has more than
/// `max_norm`: `min(1, max_norm / (norm + 10⁻⁶))`, as
/// `torch.nn.utils.clip_grad_norm_`. NaN if the norm is.
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    let factor = max_norm / (norm + 1e-6);
    if factor >= 1.0 { 1.0 } else { factor }
}

struct SumOfSquares<'a>(&'a [f32]);

impl Kernel<f32> for SumOfSquares<'_> {
    type Output = f64;

    /// Sixteen sums side by side, which the compiler makes vectors of.
    #[inline(always)]
    fn run<L: Lanes<Elem = f32>>(self, _: L) -> f64 {
        let mut sums = [0f64; 16];
        let (whole, rest) = self.0.as_chunks::<16>();
        for chunk in whole {
            for (sum, &x) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        for (sum, &x) in sums.iter_mut().zip(rest) {
            *sum += f64::from(x) * f64::from(x);
        }
        sums.iter().sum()
    }
}
