//! `act(x Wᵀ + b) + residual`: one node, gradients of all four.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

pub(crate) use cpu::column_sums;

use candle_core::{Result, Tensor, bail};

use crate::simd::write;
use crate::storage::{same_dtype, values, with_real};
use crate::tape::{Backward, Node, record, tracked};
use crate::{Activation, Precision, Real};

/// Affine map with an optional activation and an optional residual.
///
/// Computes `y = f(x Wᵀ + b) + residual`.
///
/// # Shapes
///
/// - `x`: `[n, in]`, contiguous
/// - `w`: `[out, in]`, `bias`: `[out]`
/// - `residual`: `[n, out]`
/// - returns: `[n, out]`
///
/// # Errors
///
/// Fails if shapes or types disagree.
pub fn linear(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    activation: Option<Activation>,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    forward(x, &[(w, bias)], activation, residual)
}

/// Several affine maps of the same input, their results side by side.
///
/// Computes `y = [x W₀ᵀ + b₀ | x W₁ᵀ + b₁ | …]`: queries, keys and values of
/// attention keep weights of their own and share one result.
///
/// # Shapes
///
/// - `x`: `[n, in]`, contiguous
/// - each `w`: `[outᵢ, in]`, `bias`: `[outᵢ]`
/// - returns: `[n, Σ outᵢ]`
///
/// # Errors
///
/// Fails if shapes or types disagree, or if there is no map.
pub fn linear_concat(x: &Tensor, maps: &[(&Tensor, Option<&Tensor>)]) -> Result<Tensor> {
    forward(x, maps, None, None)
}

fn forward(
    x: &Tensor,
    maps: &[(&Tensor, Option<&Tensor>)],
    activation: Option<Activation>,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    let (n, d_in) = x.dims2()?;
    let mut columns = 0;
    let mut widths = Vec::with_capacity(maps.len());
    for (w, bias) in maps {
        let (out, w_in) = w.dims2()?;
        if w_in != d_in {
            bail!("linear: x is {n}×{d_in}, the weight reads {w_in} columns");
        }
        if let Some(bias) = bias
            && bias.dims() != [out]
        {
            bail!("linear: {out} outputs, bias of shape {:?}", bias.shape());
        }
        widths.push(out);
        columns += out;
    }
    if maps.is_empty() {
        bail!("linear: no weight given");
    }
    if let Some(residual) = residual
        && residual.dims() != [n, columns]
    {
        bail!(
            "linear: result is {n}×{columns}, residual of shape {:?}",
            residual.shape()
        );
    }
    let weights = maps.iter().map(|(w, _)| *w);
    let biases = maps.iter().filter_map(|(_, b)| *b);
    let args: Vec<&Tensor> = std::iter::once(x)
        .chain(weights)
        .chain(biases)
        .chain(residual)
        .collect();
    same_dtype(x, args.iter().copied())?;

    let sizes = Sizes {
        n,
        d_in,
        widths,
        precision: Precision::current(),
    };
    if activation.is_some() && maps.len() > 1 {
        bail!("linear: an activation after several maps");
    }
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return with_real!(x, T => cuda::forward::<T>(device, sizes, maps, activation, &args, residual));
    }
    with_real!(x, T => {
        let bias = joined_bias::<T>(maps, &sizes)?;
        let x_values = values::<T>(x)?;
        let weights = maps.iter().map(|(w, _)| values::<T>(w));
        let weights = weights.collect::<Result<Vec<_>>>()?;
        let residual_values = residual.map(values::<T>).transpose()?;
        let rest = residual_values.as_deref();
        let [y, slopes] = match activation {
            Some(f) => {
                let keep = tracked(args.iter().copied());
                cpu::activated(&sizes, f, (&x_values, &weights[0]), &bias, rest, keep)
            }
            None => {
                [cpu::affine(&sizes, &x_values, &weights, &bias, rest), Vec::new()]
            }
        };
        let node = LinearNode {
            sizes,
            has_bias: maps.iter().map(|(_, b)| b.is_some()).collect(),
            activated: activation.is_some(),
            slopes,
            has_residual: residual.is_some(),
        };
        record(node, &args, y, (n, columns))
    })
}

/// The biases side by side, zero where a map has none; empty if none has one.
fn joined_bias<T: Real>(maps: &[(&Tensor, Option<&Tensor>)], sizes: &Sizes) -> Result<Vec<T>> {
    let mut joined = Vec::new();
    if maps.iter().any(|(_, b)| b.is_some()) {
        for ((_, bias), &out) in maps.iter().zip(&sizes.widths) {
            match bias {
                Some(bias) => joined.extend_from_slice(&values(bias)?),
                None => joined.resize(joined.len() + out, T::zero()),
            }
        }
    }
    Ok(joined)
}

/// Rows, input columns, and output columns of each map; and how they are multiplied.
#[derive(Debug, Clone)]
struct Sizes {
    n: usize,
    d_in: usize,
    widths: Vec<usize>,
    precision: Precision,
}

impl Sizes {
    fn columns(&self) -> usize {
        self.widths.iter().sum()
    }

    /// First column and number of columns of each map.
    fn maps(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut first = 0;
        self.widths.iter().map(move |&out| {
            first += out;
            (first - out, out)
        })
    }
}

/// Arguments: `x`, the weights, those biases that there are, `residual`.
struct LinearNode<T> {
    sizes: Sizes,
    has_bias: Vec<bool>,
    activated: bool,
    /// Derivatives of the activation; empty without one.
    slopes: Vec<T>,
    has_residual: bool,
}

impl<T: Real> Node for LinearNode<T> {
    fn name(&self) -> &'static str {
        "linear"
    }

    /// With `g = dy ⊙ f'`: `dx = g W`, `dW = gᵀ x`, `db = Σ g`, `dr = dy`.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let widths = &self.sizes.widths;
        let (columns, maps) = (self.sizes.columns(), widths.len());
        let biased = self.has_bias.iter().any(|&b| b);
        let mut bias_sums = vec![T::zero(); if biased { columns } else { 0 }];
        let (dy, mut scaled);
        let g: &[T] = if self.activated {
            scaled = match self.has_residual {
                true => values::<T>(pass.grad)?.to_vec(),
                false => pass.take_grad()?,
            };
            cpu::activate_backward(&self.slopes, &mut scaled, columns, &mut bias_sums);
            &scaled
        } else {
            dy = values::<T>(pass.grad)?;
            cpu::column_sums(&dy, columns, &mut bias_sums);
            &dy
        };
        let x = values::<T>(&pass.args[0])?;

        let mut grads = Vec::with_capacity(pass.args.len());
        grads.push(pass.deliver_new(0, || {
            let weights = pass.args[1..=maps].iter().map(values::<T>);
            let weights = weights.collect::<Result<Vec<_>>>()?;
            Ok(cpu::input_grad(&self.sizes, g, &weights))
        })?);
        let d_in = self.sizes.d_in;
        let all = pass.wanted[1..=maps].iter().any(|&wanted| wanted);
        let all = all.then(|| cpu::weight_grads(&self.sizes, g, &x)).flatten();
        for (i, map) in self.sizes.maps().enumerate() {
            grads.push(pass.deliver(1 + i, |dw: &mut [T], accumulate| {
                match &all {
                    Some(all) => {
                        let (first, out) = map;
                        write(&all[first * d_in..][..out * d_in], dw, accumulate);
                    }
                    None => cpu::weight_grad(&self.sizes, map, g, &x, dw, accumulate),
                }
                Ok(())
            })?);
        }
        let mut first = 0;
        for (&has_bias, &out) in self.has_bias.iter().zip(widths) {
            if has_bias {
                grads.push(pass.deliver(grads.len(), |db: &mut [T], accumulate| {
                    write(&bias_sums[first..first + out], db, accumulate);
                    Ok(())
                })?);
            }
            first += out;
        }
        debug_assert_eq!(
            grads.len(),
            1 + maps + self.has_bias.iter().filter(|&&b| b).count()
        );
        if self.has_residual {
            let wanted = pass.wanted[grads.len()];
            grads.push(wanted.then(|| pass.grad.clone()));
        }
        Ok(grads)
    }
}

#[cfg(test)]
mod tests;
