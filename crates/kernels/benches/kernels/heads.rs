//! What stands at the ends of a model: look-up and cross-entropy.

use std::sync::Arc;

use candle_core::Result;
use criterion::{Criterion, Throughput};
use kernels::CrossEntropy;

use crate::{D, N, both, var};

/// Tokens there are.
const VOCAB: usize = 8192;

pub(crate) fn bench(criterion: &mut Criterion) {
    all(criterion).expect("variables fit in memory");
}

fn all(criterion: &mut Criterion) -> Result<()> {
    let table = var(0, &[VOCAB, D])?;
    let ids: Arc<[u32]> = (0..N).map(|i| (i * 7919 % VOCAB) as u32).collect();
    let elements = Throughput::Elements((N * D) as u64);
    both(criterion, "embedding", elements, || {
        kernels::embedding(ids.clone(), &table)
    });
    let x = var(1, &[N, D])?;
    let objective = CrossEntropy {
        ignore_index: None,
        label_smoothing: 0.0,
        divisor: None,
    };
    let flops = Throughput::Elements(2 * (N * D * VOCAB) as u64);
    both(criterion, "linear and cross-entropy", flops, || {
        kernels::linear_cross_entropy(&x, &table, None, ids.clone(), &objective)
    });
    Ok(())
}
