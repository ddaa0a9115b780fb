//! Linear maps on a GPU: products by cuBLAS, all else in one pass over the result.

use candle_core::{CudaDevice, Result, Tensor};

use super::Sizes;
use crate::cuda::{Arg, Buffer, Grid, Matrix, Pointer, column_sums, gemm, launch, pointer};
use crate::tape::{Backward, Node, record_storage, tracked};
use crate::{Activation, Real};

/// `[f(x W₀ᵀ + b₀) | …] + residual`
pub(super) fn forward<T: Real>(
    device: &CudaDevice,
    sizes: Sizes,
    maps: &[(&Tensor, Option<&Tensor>)],
    activation: Option<Activation>,
    args: &[&Tensor],
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    let (n, columns) = (sizes.n, sizes.columns());
    let x = pointer::<T>(args[0])?;
    let y = Buffer::<T>::new(device, n * columns)?;
    for ((first, out), (w, _)) in sizes.maps().zip(maps) {
        let w = Matrix::new(pointer::<T>(w)?, out, sizes.d_in);
        let y = Matrix::strided(y.pointer().at::<T>(first), n, out, columns);
        let x = Matrix::new(x, n, sizes.d_in);
        gemm::<T>(device, sizes.precision, y, false, x, w.t())?;
    }
    let bias = joined_bias::<T>(device, &sizes, maps)?;
    let keep = activation.is_some() && tracked(args.iter().copied());
    let slopes = keep
        .then(|| Buffer::<T>::new(device, n * columns))
        .transpose()?;
    if bias.is_some() || residual.is_some() || activation.is_some() {
        let finish: [Arg; 8] = [
            y.pointer().into(),
            bias.as_ref().map_or(Pointer::NULL, Buffer::pointer).into(),
            residual.map_or(Ok(Pointer::NULL), pointer::<T>)?.into(),
            slopes
                .as_ref()
                .map_or(Pointer::NULL, Buffer::pointer)
                .into(),
            activation.is_some().into(),
            activation.map_or(0, Activation::number).into(),
            (n * columns).into(),
            columns.into(),
        ];
        launch::<T>(
            device,
            "linear_finish",
            Grid::elements(n * columns),
            &finish,
        )?;
    }
    let node = LinearOnGpu {
        sizes,
        has_bias: maps.iter().map(|(_, b)| b.is_some()).collect(),
        slopes,
        has_residual: residual.is_some(),
    };
    record_storage(node, args, y.into_storage(), (n, columns))
}

/// The biases side by side, zero where a map has none; nothing if none has one.
fn joined_bias<T: Real>(
    device: &CudaDevice,
    sizes: &Sizes,
    maps: &[(&Tensor, Option<&Tensor>)],
) -> Result<Option<Buffer<T>>> {
    if maps.iter().all(|(_, bias)| bias.is_none()) {
        return Ok(None);
    }
    let joined = Buffer::<T>::new(device, sizes.columns())?;
    for ((first, out), (_, bias)) in sizes.maps().zip(maps) {
        let bias = bias.map(pointer::<T>).transpose()?;
        crate::add::write_on_gpu::<T>(device, bias, joined.pointer().at::<T>(first), out, false)?;
    }
    Ok(Some(joined))
}

/// Arguments: `x`, the weights, those biases that there are, `residual`.
struct LinearOnGpu<T> {
    sizes: Sizes,
    has_bias: Vec<bool>,
    /// Derivatives of the activation, if there is one.
    slopes: Option<Buffer<T>>,
    has_residual: bool,
}

impl<T: Real> LinearOnGpu<T> {
    /// `dy`, or `dy ⊙ f'`.
    fn before_activation(&self, pass: &Backward<'_>) -> Result<Tensor> {
        let Some(slopes) = &self.slopes else {
            return Ok(pass.grad.clone());
        };
        // The residual gets the gradient as it is.
        let into = match self.has_residual {
            true => Buffer::<T>::new(slopes.device(), slopes.len())?.into_tensor(pass.grad.shape()),
            false => pass.grad_on_gpu::<T>()?,
        };
        let args = [
            pointer::<T>(pass.grad)?.into(),
            slopes.pointer().into(),
            pointer::<T>(&into)?.into(),
            slopes.len().into(),
        ];
        launch::<T>(
            slopes.device(),
            "multiply",
            Grid::elements(slopes.len()),
            &args,
        )?;
        Ok(into)
    }
}

impl<T: Real> Node for LinearOnGpu<T> {
    fn name(&self) -> &'static str {
        "linear"
    }

    /// With `g = dy ⊙ f'`: `dx = g W`, `dW = gᵀ x`, `db = Σ g`, `dr = dy`.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let Sizes {
            n, d_in, precision, ..
        } = self.sizes;
        let (columns, maps) = (self.sizes.columns(), self.sizes.widths.len());
        let device = crate::cuda::device_of_all(pass.args)?;
        let grad = self.before_activation(pass)?;
        let g = pointer::<T>(&grad)?;
        let part = |first, out| Matrix::strided(g.at::<T>(first), n, out, columns);
        let weights = &pass.args[1..=maps];

        let mut grads = Vec::with_capacity(pass.args.len());
        grads.push(pass.deliver_on_gpu::<T>(0, |dx, accumulate| {
            for (i, ((first, out), w)) in self.sizes.maps().zip(weights).enumerate() {
                let w = Matrix::new(pointer::<T>(w)?, out, d_in);
                let dx = Matrix::new(dx, n, d_in);
                gemm::<T>(
                    device,
                    precision,
                    dx,
                    accumulate || i > 0,
                    part(first, out),
                    w,
                )?;
            }
            Ok(())
        })?);
        let x = Matrix::new(pointer::<T>(&pass.args[0])?, n, d_in);
        for (i, (first, out)) in self.sizes.maps().enumerate() {
            grads.push(pass.deliver_on_gpu::<T>(1 + i, |dw, accumulate| {
                let dw = Matrix::new(dw, out, d_in);
                gemm::<T>(device, precision, dw, accumulate, part(first, out).t(), x)
            })?);
        }
        if self.has_bias.iter().any(|&has_bias| has_bias) {
            let sums = Buffer::<T>::new(device, columns)?;
            column_sums::<T>(device, g, n, columns, sums.pointer(), false)?;
            for ((first, out), _) in self
                .sizes
                .maps()
                .zip(&self.has_bias)
                .filter(|(_, has)| **has)
            {
                let from = sums.pointer().at::<T>(first);
                grads.push(pass.deliver_on_gpu::<T>(grads.len(), |db, accumulate| {
                    crate::add::write_on_gpu::<T>(device, Some(from), db, out, accumulate)
                })?);
            }
        }
        if self.has_residual {
            let wanted = pass.wanted[grads.len()];
            grads.push(wanted.then(|| pass.grad.clone()));
        }
        Ok(grads)
    }
}

#[cfg(test)]
mod tests {
    use testkit::randn;

    use super::super::{linear, linear_concat};
    use super::*;
    use crate::cuda::agree::{agree, agree_on};

    #[test]
    #[ignore = "needs a GPU"]
    fn maps_agree_with_the_cpu_with_and_without_all_that_is_optional() -> Result<()> {
        for (n, d_in, out) in [(1, 1, 1), (3, 5, 7), (33, 64, 31), (300, 257, 129)] {
            // Weights as layers have them: sums of wider rows would only be rounded more.
            let w = (randn(2, (out, d_in))? / (d_in as f64).sqrt())?;
            let all = [randn(1, (n, d_in))?, w, randn(3, out)?, randn(4, (n, out))?];
            agree_on(&all[..2], |v| linear(&v[0], &v[1], None, None, None))?;
            for f in [None, Some(Activation::GeluTanh), Some(Activation::GeluErf)] {
                agree_on(&all[..3], |v| linear(&v[0], &v[1], Some(&v[2]), f, None))?;
                agree_on(&all, |v| linear(&v[0], &v[1], Some(&v[2]), f, Some(&v[3])))?;
            }
        }
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn maps_side_by_side_agree_with_the_cpu() -> Result<()> {
        let shapes: [&[usize]; 5] = [&[9, 6], &[4, 6], &[3, 6], &[5, 6], &[3]];
        agree(&shapes, |v| {
            linear_concat(&v[0], &[(&v[1], None), (&v[2], Some(&v[4])), (&v[3], None)])
        })
    }
}
