//! Dropout without a mask: which elements are dropped is a function of the key.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(test)]
mod tests;

use candle_core::{Result, Tensor, bail};

use crate::Real;
use crate::rng::Key;
use crate::storage::{buffer, same_dtype, tensor, values, with_real};
use crate::tape::{Backward, Node, record};

/// `residual + keep ⊙ x / (1 − p)`, where each element of `keep` is one with
/// probability `1 − p`, else zero.
///
/// Element `i` is kept if the word `i` of the key's stream is at least `p · 2³²`:
/// nothing is stored for the backward pass, which draws the same words again.
/// Srivastava et al. 2014 <https://jmlr.org/papers/v15/srivastava14a.html>.
///
/// # Shapes
///
/// - `x`, `residual`: any, contiguous, the same
/// - returns: the same
///
/// # Errors
///
/// Fails unless `p` is in `[0, 1)`, or if shapes or types disagree.
pub fn dropout(x: &Tensor, residual: Option<&Tensor>, p: f32, key: Key) -> Result<Tensor> {
    if !(0.0..1.0).contains(&p) {
        bail!("dropout: p = {p} is outside 0..1");
    }
    if let Some(residual) = residual
        && residual.dims() != x.dims()
    {
        bail!(
            "dropout: x of {:?}, residual of {:?}",
            x.shape(),
            residual.shape()
        );
    }
    let args: Vec<&Tensor> = std::iter::once(x).chain(residual).collect();
    same_dtype(x, residual)?;
    let keep = cpu::Keep::new(p, key);
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return with_real!(x, T => cuda::dropout::<T>(device, keep, &args));
    }
    with_real!(x, T => {
        let x_values = values::<T>(x)?;
        let residual = residual.map(values::<T>).transpose()?;
        let mut y = buffer::<T>(x_values.len());
        cpu::dropout(keep, &x_values, residual.as_deref(), &mut y);
        let elem = std::marker::PhantomData::<T>;
        record(Dropout { keep, elem }, &args, y, x.shape())
    })
}

/// Arguments: `x`, `residual`.
struct Dropout<T> {
    keep: cpu::Keep,
    elem: std::marker::PhantomData<T>,
}

impl<T: Real> Node for Dropout<T> {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let mut grads = vec![None];
        if pass.wanted[0] {
            let dy = values::<T>(pass.grad)?;
            let mut dx = buffer::<T>(dy.len());
            cpu::dropout(self.keep, &dy, None, &mut dx);
            grads[0] = Some(tensor(dx, pass.grad.shape()));
        }
        if let Some(&wanted) = pass.wanted.get(1) {
            grads.push(wanted.then(|| pass.grad.clone()));
        }
        Ok(grads)
    }
}
