//! One step of each optimiser over five million numbers.

use candle_core::Result;
use criterion::{Criterion, Throughput};
use kernels::optim::{AdamW, Lion, Optimizer, Parameter, Rule, Sgd, Update, global_norm};

use crate::var;

/// Sizes of the one matrix.
const SIZES: [usize; 2] = [2048, 2560];

pub(crate) fn bench(criterion: &mut Criterion) {
    all(criterion).expect("variables fit in memory");
}

fn all(criterion: &mut Criterion) -> Result<()> {
    let grads: Vec<f32> = var(0, &SIZES)?.flatten_all()?.to_vec1()?;
    let mut group = criterion.benchmark_group("optimizer");
    group.throughput(Throughput::Elements(grads.len() as u64));
    let rules: [(&str, Rule); 3] = [
        ("adamw", AdamW::default().into()),
        ("sgd", Sgd::default().into()),
        ("lion", Lion::default().into()),
    ];
    for (name, rule) in rules {
        let mut optimizer = Optimizer::new(rule, [Parameter::new("w", var(1, &SIZES)?)])?;
        let mut step = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                let update = Update {
                    step,
                    lr: 1e-3,
                    weight_decay: 0.1,
                    grad_scale: 1.0,
                };
                step += 1;
                optimizer.step(&grads, &update).expect("lengths agree");
            });
        });
    }
    group.bench_function("global norm", |b| b.iter(|| global_norm(&grads)));
    group.finish();
    Ok(())
}
