//! Speed of attention along edges, forward and backward.
//!
//! `cargo run --release -p kernels --example edge_speed [NAME]` prints, for each shape
//! whose name contains `NAME`, the least time of many runs, the time an edge, and how
//! fast rows were gathered: two an edge forward, six backward.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Device, Result, Tensor, Var};
use kernels::rng::{Domain, Key};
use kernels::{Attention, EdgeAttention, Edges, Spans, attention_packed, edge_attention_packed};

struct Shape {
    name: &'static str,
    n_nodes: usize,
    n_edges: usize,
    n_heads: usize,
    head_dim: usize,
}

/// Ten edges a node, as the largest shape of the project's benchmarks has.
const fn growing(name: &'static str, n_edges: usize) -> Shape {
    Shape {
        name,
        n_nodes: n_edges / 10,
        n_edges,
        n_heads: 2,
        head_dim: 16,
    }
}

const SHAPES: [Shape; 6] = [
    Shape {
        name: "graph-small",
        n_nodes: 2708,
        n_edges: 10_556,
        n_heads: 8,
        head_dim: 8,
    },
    Shape {
        name: "graph-large",
        n_nodes: 20_000,
        n_edges: 200_000,
        n_heads: 8,
        head_dim: 16,
    },
    growing("edges-1e4", 10_000),
    growing("edges-1e5", 100_000),
    growing("edges-1e6", 1_000_000),
    growing("edges-1e7", 10_000_000),
];

/// Lengths at which a band of 16 keys to either side is timed.
const BAND: [u32; 7] = [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000];

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
        shapes.try_for_each(measure)?;
        match "band".contains(&wanted) {
            true => BAND.iter().try_for_each(|&len| band(len)),
            false => Ok(()),
        }
    })
}

/// Uniform numbers that a counter gives.
fn key(site: u32) -> Key {
    Key {
        seed: 1,
        domain: Domain::Benchmark,
        step: 0,
        site,
    }
}

fn inputs(n: usize, width: usize) -> Result<Var> {
    let values: Vec<f32> = (0..n * width)
        .map(|i| 4.0 * key(0).uniform(i as u64) - 2.0)
        .collect();
    Var::from_tensor(&Tensor::from_vec(values, (n, width), &Device::Cpu)?)
}

/// Edges between random ends.
fn random_edges(n_nodes: usize, n_edges: usize) -> Result<Edges> {
    let draw = |i: usize, site| (u64::from(key(site).word(i as u64)) * n_nodes as u64) >> 32;
    let mut edges: Vec<(u32, u32)> = (0..n_edges)
        .map(|e| (draw(e, 1) as u32, draw(e, 2) as u32))
        .collect();
    edges.sort_unstable();
    let mut offsets = vec![0u32; n_nodes + 1];
    for &(destination, _) in &edges {
        offsets[destination as usize + 1] += 1;
    }
    for i in 0..n_nodes {
        offsets[i + 1] += offsets[i];
    }
    let sources: Vec<u32> = edges.into_iter().map(|(_, source)| source).collect();
    Edges::new(offsets, sources, n_nodes)
}

/// The least times of many runs, forward and backward.
fn time(run: impl Fn() -> Result<Tensor>) -> Result<(Duration, Duration)> {
    let (mut forward, mut backward) = (Duration::MAX, Duration::MAX);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1500) {
        let at = Instant::now();
        let y = run()?;
        forward = forward.min(at.elapsed());
        let at = Instant::now();
        black_box(y.backward()?);
        backward = backward.min(at.elapsed());
    }
    Ok((forward, backward))
}

fn measure(shape: &Shape) -> Result<()> {
    let &Shape {
        name,
        n_nodes,
        n_edges,
        n_heads,
        head_dim,
    } = shape;
    let qkv = inputs(n_nodes, 3 * n_heads * head_dim)?;
    let at = Instant::now();
    let edges = Arc::new(random_edges(n_nodes, n_edges)?);
    let sorted = at.elapsed();
    let attention = EdgeAttention::new(n_heads, head_dim, edges);
    let (forward, backward) = time(|| edge_attention_packed(&qkv, &attention))?;
    let row = (n_edges * n_heads * head_dim * size_of::<f32>()) as f64;
    let rate = |rows: f64, time: Duration| rows * row / time.as_secs_f64() / 1e9;
    println!(
        "{name:12} forward {:9.3} ms {:5.1} GB/s   backward {:9.3} ms {:5.1} GB/s   {:6.1} ns an edge   sorting {:9.3} ms",
        forward.as_secs_f64() * 1e3,
        rate(2.0, forward),
        backward.as_secs_f64() * 1e3,
        rate(6.0, backward),
        (forward + backward).as_secs_f64() * 1e9 / n_edges as f64,
        sorted.as_secs_f64() * 1e3,
    );
    Ok(())
}

/// A truncated window, through the kernel for intervals.
fn band(len: u32) -> Result<()> {
    let (n_heads, head_dim) = (4, 32);
    let qkv = inputs(len as usize, 3 * n_heads * head_dim)?;
    let spans = Spans::new(vec![(0..len, 0..len)], |i, _| i.saturating_sub(16)..i + 17)?;
    let attention = Attention::new(n_heads, head_dim, Arc::new(spans));
    let (forward, backward) = time(|| attention_packed(&qkv, &attention))?;
    println!(
        "band ±16, {len:6} rows   forward {:9.3} ms   backward {:9.3} ms   {:6.1} ns a row",
        forward.as_secs_f64() * 1e3,
        backward.as_secs_f64() * 1e3,
        (forward + backward).as_secs_f64() * 1e9 / f64::from(len),
    );
    Ok(())
}
