//! The norms on a GPU: a warp a row, and sums over rows in chunks.

use candle_core::{CudaDevice, Result, Tensor};

use super::cpu::Kind;
use crate::Real;
use crate::cuda::{Arg, Buffer, Chunks, Grid, Pointer, launch, pointer, sum_partial};
use crate::tape::{Backward, Node, record_storage};

/// Normalises every `d` values of `x + residual`; `args` are as the node's.
pub(super) fn forward<T: Real>(
    device: &CudaDevice,
    kind: Kind,
    args: &[&Tensor],
    residual: Option<&Tensor>,
    beta: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let (x, gamma) = (args[0], args[1]);
    let d = gamma.elem_count();
    let rows = Rows {
        kind,
        n: x.elem_count().checked_div(d).unwrap_or(0),
        d,
    };
    let y = Buffer::<T>::new(device, x.elem_count())?;
    let node = NormOnGpu::<T> {
        rows,
        means: Buffer::new(device, rows.n)?,
        scales: Buffer::new(device, rows.n)?,
        has_residual: residual.is_some(),
    };
    let launched: [Arg; 12] = [
        pointer::<T>(x)?.into(),
        residual.map_or(Ok(Pointer::NULL), pointer::<T>)?.into(),
        pointer::<T>(gamma)?.into(),
        beta.map_or(Ok(Pointer::NULL), pointer::<T>)?.into(),
        y.pointer().into(),
        node.means.pointer().into(),
        node.scales.pointer().into(),
        rows.n.into(),
        d.into(),
        rows.subtracts_mean().into(),
        rows.per_element::<T>(),
        T::arg(eps),
    ];
    launch::<T>(device, "norm", Grid::warps(rows.n), &launched)?;
    record_storage(node, args, y.into_storage(), x.shape())
}

/// What is normalised.
#[derive(Debug, Clone, Copy)]
struct Rows {
    kind: Kind,
    n: usize,
    d: usize,
}

impl Rows {
    fn subtracts_mean(self) -> bool {
        self.kind == Kind::Layer
    }

    /// `1 / d`
    fn per_element<T: Real>(self) -> Arg {
        T::arg(1.0 / self.d as f64)
    }
}

/// Arguments: `x`, `gamma`, then those of `residual` and `beta` that there are.
struct NormOnGpu<T> {
    rows: Rows,
    /// Zeros for RMS norm, which subtracts nothing.
    means: Buffer<T>,
    /// `1 / √(variance + ε)` of each row.
    scales: Buffer<T>,
    has_residual: bool,
}

impl<T: Real> NormOnGpu<T> {
    /// `x`, and the residual or no place.
    fn input(&self, pass: &Backward<'_>) -> Result<[Pointer; 2]> {
        let residual = match self.has_residual {
            true => pointer::<T>(&pass.args[2])?,
            false => Pointer::NULL,
        };
        Ok([pointer::<T>(&pass.args[0])?, residual])
    }

    /// `dγ = Σ dy ⊙ ŝ` and `dβ = Σ dy` of each chunk of rows, those that are wanted.
    fn partial_sums(
        &self,
        pass: &Backward<'_>,
        wanted: [bool; 2],
    ) -> Result<[Option<Buffer<T>>; 2]> {
        if wanted == [false; 2] {
            return Ok([None, None]);
        }
        let (device, Rows { n, d, .. }) = (self.scales.device(), self.rows);
        let chunks = Chunks::of(n);
        let room = |wanted: bool| {
            wanted
                .then(|| Buffer::<T>::new(device, chunks.n * d))
                .transpose()
        };
        let sums = [room(wanted[0])?, room(wanted[1])?];
        let place = |sums: &Option<Buffer<T>>| sums.as_ref().map_or(Pointer::NULL, Buffer::pointer);
        let [x, residual] = self.input(pass)?;
        let args: [Arg; 10] = [
            x.into(),
            residual.into(),
            self.means.pointer().into(),
            self.scales.pointer().into(),
            pointer::<T>(pass.grad)?.into(),
            place(&sums[0]).into(),
            place(&sums[1]).into(),
            n.into(),
            d.into(),
            chunks.rows.into(),
        ];
        launch::<T>(device, "norm_columns", chunks.grid(d), &args)?;
        Ok(sums)
    }

    /// Gradient of `x + residual`, over that of the result where nobody else reads it.
    fn rows_backward(&self, pass: &Backward<'_>) -> Result<Tensor> {
        let (device, Rows { n, d, .. }) = (self.scales.device(), self.rows);
        let ds = pass.grad_on_gpu::<T>()?;
        let [x, residual] = self.input(pass)?;
        let args: [Arg; 10] = [
            x.into(),
            residual.into(),
            pointer::<T>(&pass.args[1])?.into(),
            self.means.pointer().into(),
            self.scales.pointer().into(),
            pointer::<T>(&ds)?.into(),
            n.into(),
            d.into(),
            self.rows.subtracts_mean().into(),
            self.rows.per_element::<T>(),
        ];
        launch::<T>(device, "norm_backward", Grid::warps(n), &args)?;
        Ok(ds)
    }
}

impl<T: Real> Node for NormOnGpu<T> {
    fn name(&self) -> &'static str {
        self.rows.kind.name()
    }

    /// As on the CPU. The sums over rows come first: `ds` may be written over what they read.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let device = self.scales.device();
        let beta = 2 + usize::from(self.has_residual);
        let wants_beta = pass.wanted.get(beta) == Some(&true);
        let [dgamma, dbeta] = self.partial_sums(pass, [pass.wanted[1], wants_beta])?;
        let deliver = |arg: usize, partial: Option<Buffer<T>>| match partial {
            None => Ok(None),
            Some(partial) => pass.deliver_on_gpu::<T>(arg, |into, accumulate| {
                sum_partial::<T>(device, &partial, self.rows.d, into, accumulate)
            }),
        };
        let dgamma = deliver(1, dgamma)?;
        let dbeta = deliver(beta, dbeta)?;

        let wants_residual = self.has_residual && pass.wanted[2];
        let ds = match pass.wanted[0] || wants_residual {
            true => Some(self.rows_backward(pass)?),
            false => None,
        };
        let mut grads = vec![ds.clone().filter(|_| pass.wanted[0]), dgamma];
        if self.has_residual {
            grads.push(ds.filter(|_| wants_residual));
        }
        if grads.len() < pass.args.len() {
            grads.push(dbeta);
        }
        Ok(grads)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use testkit::{max_error, oracle, randn};

    use super::super::{layer_norm, rms_norm, rms_norm_groups};
    use super::*;
    use crate::cuda::agree::{agree, empty, gpu};

    /// Large enough that no row of few columns makes its rounding a hundred times larger.
    const EPS: f64 = 0.1;

    /// Rows and columns around a warp, a block, a chunk of rows, and several chunks.
    const SIZES: [(usize, usize); 13] = [
        (1, 1),
        (1, 31),
        (3, 32),
        (7, 33),
        (8, 64),
        (9, 255),
        (31, 257),
        (64, 5),
        (65, 1000),
        (255, 2),
        (257, 33),
        (1000, 32),
        (33_000, 3),
    ];

    /// `y`, so small that the sums over its `n` rows on the way back are of size one, by which
    /// errors are measured.
    fn even(y: &Tensor, n: usize) -> Result<Tensor> {
        crate::scale(y, 1.0 / (n as f64).sqrt())
    }

    fn layer(
        x: &Tensor,
        residual: Option<&Tensor>,
        gamma: &Tensor,
        beta: Option<&Tensor>,
    ) -> Result<Tensor> {
        even(&layer_norm(x, residual, gamma, beta, EPS)?, x.dims()[0])
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn layer_norm_agrees_with_the_cpu_with_and_without_all_that_is_optional() -> Result<()> {
        for (n, d) in SIZES {
            let all: [&[usize]; 4] = [&[n, d], &[d], &[n, d], &[d]];
            agree(&all, |v| layer(&v[0], Some(&v[2]), &v[1], Some(&v[3])))?;
            agree(&all[..3], |v| layer(&v[0], Some(&v[2]), &v[1], None))?;
            agree(&all[..2], |v| layer(&v[0], None, &v[1], None))?;
            let no_residual: [&[usize]; 3] = [&[n, d], &[d], &[d]];
            agree(&no_residual, |v| layer(&v[0], None, &v[1], Some(&v[2])))?;
        }
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn rms_norm_agrees_with_the_cpu_with_and_without_residual() -> Result<()> {
        for (n, d) in SIZES {
            let all: [&[usize]; 3] = [&[n, d], &[d], &[n, d]];
            agree(&all, |v| {
                even(&rms_norm(&v[0], Some(&v[2]), &v[1], EPS)?, n)
            })?;
            agree(&all[..2], |v| even(&rms_norm(&v[0], None, &v[1], EPS)?, n))?;
        }
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn norms_of_groups_agree_with_the_cpu() -> Result<()> {
        for (n, m, d) in [(1, 1, 1), (3, 2, 4), (70, 8, 64), (33, 3, 33)] {
            agree(&[&[n, m * d], &[d]], |v| rms_norm_groups(&v[0], &v[1], EPS))?;
        }
        Ok(())
    }

    /// Each argument alone on the tape, and the same tensor twice.
    #[test]
    #[ignore = "needs a GPU"]
    fn constants_get_no_gradient_and_one_tensor_twice_gets_both() -> Result<()> {
        let shapes: [&[usize]; 4] = [&[9, 33], &[33], &[9, 33], &[33]];
        for kept in 0..4 {
            agree(&shapes, |v| {
                let of = |i: usize| {
                    if i == kept {
                        v[i].clone()
                    } else {
                        v[i].detach()
                    }
                };
                layer_norm(&of(0), Some(&of(2)), &of(1), Some(&of(3)), EPS)
            })?;
        }
        agree(&shapes[..2], |v| {
            layer_norm(&v[0], Some(&v[0]), &v[1], None, EPS)
        })?;
        // The residual goes on, so that its gradient has two parts.
        agree(&shapes[..3], |v| {
            let s = crate::add(&v[0], &v[2])?;
            crate::add(&s, &layer_norm(&s, None, &v[1], None, EPS)?)
        })
    }

    /// The textbook's `E[x²] − E[x]²` would have no digit left here.
    #[test]
    #[ignore = "needs a GPU"]
    fn a_large_mean_costs_no_more_than_its_own_rounding() -> Result<()> {
        let x = (randn(5, (4, 64))? + 4096.0)?.to_dtype(DType::F32)?;
        let gamma = Tensor::ones(64, DType::F32, &Device::Cpu)?;
        let want = oracle::layer_norm(&x, &gamma, None, 1e-5)?;
        let (x, gamma) = (x.to_device(&gpu()?)?, gamma.to_device(&gpu()?)?);
        let got = layer_norm(&x, None, &gamma, None, 1e-5)?;
        // The mean is rounded to 2⁻²⁴ · 4096 = 2.4e-4, a few times over.
        let error = max_error(&got.to_device(&Device::Cpu)?, &want)?;
        assert!(error < 1e-3, "{error}");
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn no_rows_and_no_columns_are_no_error() -> Result<()> {
        for (n, d) in [(0, 4), (4, 0)] {
            let x = empty((n, d))?;
            let gamma = randn(1, d.max(1))?.to_device(&gpu()?)?.narrow(0, 0, d)?;
            assert_eq!(layer_norm(&x, None, &gamma, None, EPS)?.dims(), x.dims());
        }
        Ok(())
    }
}
