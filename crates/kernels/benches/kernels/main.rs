//! Criterion benchmarks of every operation, forward and with its backward pass.
//!
//! `cargo bench -p kernels --bench kernels -- NAME` runs those whose name contains
//! `NAME`. Shapes are those of a block of text-base: 16 sequences of 256 rows, 256 wide.

mod attention;
mod graphs;
mod heads;
mod optimizers;
mod rows;
mod sequences;

use std::hint::black_box;

use candle_core::{Device, Result, Tensor, Var};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kernels::rng::{Domain, Key};

/// Rows of the residual stream.
const N: usize = 16 * 256;
/// Its width.
const D: usize = 256;

criterion_group!(
    kernels,
    rows::bench,
    attention::bench,
    graphs::bench,
    sequences::bench,
    heads::bench,
    optimizers::bench
);
criterion_main!(kernels);

/// A variable of these sizes, drawn uniformly from [-1, 1).
fn var(site: u32, sizes: &[usize]) -> Result<Var> {
    let key = Key {
        seed: 1,
        domain: Domain::Benchmark,
        step: 0,
        site,
    };
    let n: usize = sizes.iter().product();
    let values: Vec<f32> = (0..n).map(|i| 2.0 * key.uniform(i as u64) - 1.0).collect();
    Var::from_tensor(&Tensor::from_vec(values, sizes, &Device::Cpu)?)
}

/// Times `operation` alone, and with the backward pass of the sum of its result.
fn both(
    criterion: &mut Criterion,
    name: &str,
    throughput: Throughput,
    operation: impl Fn() -> Result<Tensor>,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(throughput);
    group.bench_function("forward", |b| {
        b.iter(|| black_box(operation().expect("shapes agree")));
    });
    group.bench_function("forward and backward", |b| {
        b.iter(|| {
            let y = operation().expect("shapes agree");
            black_box(y.backward().expect("every operation has a gradient"))
        });
    });
    group.finish();
}
