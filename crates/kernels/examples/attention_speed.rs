//! Speed of attention, forward and backward, on shapes that matter.
//!
//! `cargo run --release -p kernels --example attention_speed [NAME]` prints, for each
//! shape whose name contains `NAME`, the least time of many runs and the floating-point
//! operations a second: two a multiply-add, two products forward and five backward,
//! over the pairs that the mask grants and no others.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Device, Result, Tensor, Var};
use kernels::rng::{Domain, Key};
use kernels::{Attention, Spans, attention_packed};

struct Shape {
    name: &'static str,
    batch: u32,
    len: u32,
    n_heads: usize,
    head_dim: usize,
    /// Keys on each side that a query reads; all before it if `None`.
    window: Option<u32>,
}

const fn causal(
    name: &'static str,
    batch: u32,
    len: u32,
    n_heads: usize,
    head_dim: usize,
) -> Shape {
    Shape {
        name,
        batch,
        len,
        n_heads,
        head_dim,
        window: None,
    }
}

const SHAPES: [Shape; 6] = [
    causal("text-small", 12, 64, 4, 32),
    causal("text-base", 16, 256, 8, 32),
    causal("text-long", 2, 2048, 8, 32),
    causal("wide-heads", 4, 512, 8, 64),
    Shape {
        window: Some(64),
        ..causal("band", 1, 8192, 4, 64)
    },
    Shape {
        window: Some(u32::MAX / 4),
        ..causal("full", 8, 197, 6, 64)
    },
];

fn main() -> Result<()> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    println!(
        "{} threads, {}",
        rayon::current_num_threads(),
        kernels::instruction_set()
    );
    // Inside the pool, as a trainer is: entering it costs more than a small call.
    rayon::scope(|_| {
        let mut shapes = SHAPES.iter().filter(|shape| shape.name.contains(&wanted));
        shapes.try_for_each(measure)
    })
}

fn measure(shape: &Shape) -> Result<()> {
    let &Shape {
        name,
        batch,
        len,
        n_heads,
        head_dim,
        window,
    } = shape;
    let segments = (0..batch).map(|b| (b * len..(b + 1) * len, b * len..(b + 1) * len));
    let spans = Spans::new(segments.collect(), |i, keys| match window {
        None => keys.start..i + 1,
        Some(w) => i.saturating_sub(w)..i + w + 1,
    })?;
    let (n, width) = (spans.n_queries(), 3 * n_heads * head_dim);
    let pairs = spans.n_pairs() as f64;
    let key = Key {
        seed: 1,
        domain: Domain::Benchmark,
        step: 0,
        site: 0,
    };
    let values: Vec<f32> = (0..n * width)
        .map(|i| 4.0 * key.uniform(i as u64) - 2.0)
        .collect();
    let qkv = Var::from_tensor(&Tensor::from_vec(values, (n, width), &Device::Cpu)?)?;
    let attention = Attention::new(n_heads, head_dim, Arc::new(spans));

    let (mut forward, mut backward) = (Duration::MAX, Duration::MAX);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1500) {
        let at = Instant::now();
        let y = attention_packed(&qkv, &attention)?;
        forward = forward.min(at.elapsed());
        let at = Instant::now();
        black_box(y.backward()?);
        backward = backward.min(at.elapsed());
    }
    let product = 2.0 * pairs * (n_heads * head_dim) as f64;
    let rate = |products: f64, time: Duration| products * product / time.as_secs_f64() / 1e9;
    println!(
        "{name:12} forward {:8.3} ms {:4.0} GFLOP/s   backward {:8.3} ms {:4.0} GFLOP/s   both {:4.0} GFLOP/s",
        forward.as_secs_f64() * 1e3,
        rate(2.0, forward),
        backward.as_secs_f64() * 1e3,
        rate(5.0, backward),
        rate(7.0, forward + backward),
    );
    Ok(())
}
