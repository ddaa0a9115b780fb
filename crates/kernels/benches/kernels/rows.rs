//! Operations on rows: affine maps, norms, activations, dropout, pooling.

use std::sync::Arc;

use candle_core::Result;
use criterion::{Criterion, Throughput};
use kernels::rng::{Domain, Key};
use kernels::{Activation, Pool, Precision};

use crate::{D, N, both, var};

pub(crate) fn bench(criterion: &mut Criterion) {
    all(criterion).expect("variables fit in memory");
}

fn all(criterion: &mut Criterion) -> Result<()> {
    let x = var(0, &[N, D])?;
    let elements = Throughput::Elements((N * D) as u64);
    let (w, b) = (var(1, &[4 * D, D])?, var(2, &[4 * D])?);
    // A multiply-add is two operations.
    let flops = Throughput::Elements(2 * (N * D * 4 * D) as u64);
    both(criterion, "linear 256 to 1024", flops.clone(), || {
        kernels::linear(&x, &w, Some(&b), None, None)
    });
    both(
        criterion,
        "linear 256 to 1024 in bf16",
        flops.clone(),
        || Precision::Bf16.during(|| kernels::linear(&x, &w, Some(&b), None, None)),
    );
    both(criterion, "linear 256 to 1024 with gelu", flops, || {
        kernels::linear(&x, &w, Some(&b), Some(Activation::GeluTanh), None)
    });
    let (gamma, beta) = (var(3, &[D])?, var(4, &[D])?);
    both(criterion, "layer norm", elements.clone(), || {
        kernels::layer_norm(&x, None, &gamma, Some(&beta), 1e-5)
    });
    both(criterion, "rms norm", elements.clone(), || {
        kernels::rms_norm(&x, None, &gamma, 1e-5)
    });
    both(criterion, "gelu", elements.clone(), || {
        kernels::activate(&x, Activation::GeluTanh)
    });
    let gate = var(5, &[N, D])?;
    both(criterion, "swiglu", elements.clone(), || {
        kernels::swiglu(&gate, &x)
    });
    let key = Key {
        seed: 1,
        domain: Domain::Dropout,
        step: 0,
        site: 0,
    };
    both(criterion, "dropout", elements.clone(), || {
        kernels::dropout(&x, None, 0.1, key)
    });
    let walls: Arc<[u32]> = (0..=N as u32).step_by(256).collect();
    both(criterion, "mean pooling", elements, || {
        kernels::segment_pool(&x, walls.clone(), Pool::Mean)
    });
    Ok(())
}
