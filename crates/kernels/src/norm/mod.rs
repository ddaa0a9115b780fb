//! Normalisation of rows, with the residual added on the way in.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(test)]
mod tests;

use candle_core::{Result, Tensor, bail};

use crate::Real;
use crate::storage::{same_dtype, tensor, values, with_real};
use crate::tape::{Backward, Node, record};
use cpu::{Kind, Stats};

/// Layer normalisation of each row of `x + residual`.
///
/// Computes `y = γ ⊙ (s − mean(s)) / √(var(s) + ε) + β` with `s = x + residual`
/// and the biased variance, taken about the mean, so that a large mean costs no
/// digits. Ba et al. 2016, §3 <https://arxiv.org/abs/1607.06450>.
///
/// # Shapes
///
/// - `x`: `[.., d]`, contiguous; `residual`: the same
/// - `gamma`, `beta`: `[d]`
/// - returns: the shape of `x`
///
/// # Errors
///
/// Fails if shapes or types disagree.
pub fn layer_norm(
    x: &Tensor,
    residual: Option<&Tensor>,
    gamma: &Tensor,
    beta: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    norm(Kind::Layer, x, residual, gamma, beta, eps)
}

/// Root-mean-square normalisation of each row of `x + residual`.
///
/// Computes `y = γ ⊙ s / √(mean(s²) + ε)` with `s = x + residual`; Zhang &
/// Sennrich 2019, §4 <https://arxiv.org/abs/1910.07467>.
///
/// # Shapes
///
/// - `x`: `[.., d]`, contiguous; `residual`: the same
/// - `gamma`: `[d]`
/// - returns: the shape of `x`
///
/// # Errors
///
/// Fails if shapes or types disagree.
pub fn rms_norm(x: &Tensor, residual: Option<&Tensor>, gamma: &Tensor, eps: f64) -> Result<Tensor> {
    norm(Kind::RootMeanSquare, x, residual, gamma, None, eps)
}

/// [`rms_norm`] of each group of `d` neighbouring channels: of the heads of a row.
///
/// # Shapes
///
/// - `x`: `[.., m · d]`, contiguous
/// - `gamma`: `[d]`, the same for all groups
/// - returns: the shape of `x`
///
/// # Errors
///
/// Fails if shapes or types disagree.
pub fn rms_norm_groups(x: &Tensor, gamma: &Tensor, eps: f64) -> Result<Tensor> {
    let (d, width) = (gamma.dims1()?, x.dims().last().copied().unwrap_or(0));
    if d == 0 || width % d != 0 {
        bail!("norm: groups of {d} in rows of {width}");
    }
    rows(Kind::RootMeanSquare, d, x, None, gamma, None, eps)
}

fn norm(
    kind: Kind,
    x: &Tensor,
    residual: Option<&Tensor>,
    gamma: &Tensor,
    beta: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let Some(&d) = x.dims().last() else {
        bail!("norm: a scalar has no rows");
    };
    rows(kind, d, x, residual, gamma, beta, eps)
}

/// Normalises every `d` values of `x + residual`.
fn rows(
    kind: Kind,
    d: usize,
    x: &Tensor,
    residual: Option<&Tensor>,
    gamma: &Tensor,
    beta: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    for vector in std::iter::once(gamma).chain(beta) {
        if vector.dims() != [d] {
            bail!("norm: rows of {d}, scale or shift of {:?}", vector.shape());
        }
    }
    if let Some(residual) = residual
        && residual.dims() != x.dims()
    {
        bail!(
            "norm: x of {:?}, residual of {:?}",
            x.shape(),
            residual.shape()
        );
    }
    let args: Vec<&Tensor> = [x, gamma].into_iter().chain(residual).chain(beta).collect();
    same_dtype(x, args.iter().copied())?;

    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return with_real!(x, T => cuda::forward::<T>(device, kind, &args, residual, beta, eps));
    }
    with_real!(x, T => {
        let x_values = values::<T>(x)?;
        let residual_values = residual.map(values::<T>).transpose()?;
        let beta_values = beta.map(values::<T>).transpose()?;
        let rows = x_values.len().checked_div(d).unwrap_or(0);
        let mut stats = vec![Stats::default(); rows];
        let y = cpu::forward(
            kind,
            cpu::Input { x: &x_values, residual: residual_values.as_deref() },
            &values(gamma)?,
            beta_values.as_deref(),
            eps,
            &mut stats,
        );
        let node = Norm::<T> { kind, stats, has_residual: residual.is_some() };
        record(node, &args, y, x.shape())
    })
}

/// Arguments: `x`, `gamma`, then those of `residual` and `beta` that there are.
struct Norm<T> {
    kind: Kind,
    stats: Vec<Stats<T>>,
    has_residual: bool,
}

impl<T: Real> Node for Norm<T> {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// With `ŝ` the normalised row and `g = γ ⊙ dy`:
    /// `ds = (g − mean(g) − ŝ mean(g ⊙ ŝ)) / σ`, without `mean(g)` for RMS;
    /// `dγ = Σ dy ⊙ ŝ`, `dβ = Σ dy`; `x` and `residual` both get `ds`.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let x = values::<T>(&pass.args[0])?;
        let gamma = values::<T>(&pass.args[1])?;
        let residual = match self.has_residual {
            true => Some(values::<T>(&pass.args[2])?),
            false => None,
        };
        let mut grad = pass.take_grad()?;
        // dγ, then dβ.
        let mut sums = vec![T::zero(); 2 * gamma.len()];
        cpu::backward(
            self.kind,
            cpu::Input {
                x: &x,
                residual: residual.as_deref(),
            },
            &gamma,
            &self.stats,
            &mut grad,
            &mut sums,
        );
        let (dgamma, dbeta) = sums.split_at(gamma.len());
        let ds = tensor(grad, pass.args[0].shape());
        let deliver = |arg: usize, sums: &[T]| {
            pass.deliver(arg, |into: &mut [T], accumulate| {
                crate::simd::write(sums, into, accumulate);
                Ok(())
            })
        };

        let mut grads = vec![pass.wanted[0].then(|| ds.clone()), deliver(1, dgamma)?];
        if self.has_residual {
            grads.push(pass.wanted[2].then_some(ds));
        }
        if grads.len() < pass.args.len() {
            grads.push(deliver(grads.len(), dbeta)?);
        }
        Ok(grads)
    }
}
