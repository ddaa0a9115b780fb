//! Operations along edges: attention of both kinds, sums.

use std::sync::Arc;

use candle_core::Result;
use criterion::{Criterion, Throughput};
use kernels::rng::{Domain, Key};
use kernels::{EdgeAttention, Edges, GatAttention};

use crate::{both, var};

/// Nodes, and edges into each.
const NODES: usize = 20_000;
const DEGREE: usize = 10;
/// Heads, and channels of each.
const HEADS: (usize, usize) = (8, 16);

pub(crate) fn bench(criterion: &mut Criterion) {
    all(criterion).expect("variables fit in memory");
}

fn all(criterion: &mut Criterion) -> Result<()> {
    let (n_heads, head_dim) = HEADS;
    let width = n_heads * head_dim;
    let edges = Arc::new(random()?);
    let throughput = Throughput::Elements(edges.n_edges() as u64);
    let qkv = var(0, &[NODES, 3 * width])?;
    let attention = EdgeAttention::new(n_heads, head_dim, edges.clone());
    both(
        criterion,
        "attention along edges",
        throughput.clone(),
        || kernels::edge_attention_packed(&qkv, &attention),
    );
    let x = var(1, &[NODES, width])?;
    let (to, from) = (var(2, &[NODES, n_heads])?, var(3, &[NODES, n_heads])?);
    let attention = GatAttention {
        n_heads,
        head_dim,
        edges: edges.clone(),
        slope: 0.2,
        dropout: None,
    };
    both(
        criterion,
        "additive attention along edges",
        throughput.clone(),
        || kernels::gat_attention(&x, &to, &from, &attention),
    );
    let weights: Arc<[f32]> = vec![0.1; edges.n_edges()].into();
    both(criterion, "sum along edges", throughput, || {
        kernels::edge_sum(&x, edges.clone(), weights.clone())
    });
    Ok(())
}

/// Edges from random nodes.
fn random() -> Result<Edges> {
    let key = Key {
        seed: 1,
        domain: Domain::Benchmark,
        step: 0,
        site: 1,
    };
    let draw = |e: usize| (u64::from(key.word(e as u64)) * NODES as u64) >> 32;
    let offsets = (0..=NODES).map(|node| (node * DEGREE) as u32);
    let mut sources: Vec<u32> = (0..NODES * DEGREE).map(|e| draw(e) as u32).collect();
    sources.chunks_mut(DEGREE).for_each(<[u32]>::sort_unstable);
    Edges::new(offsets.collect::<Vec<_>>(), sources, NODES)
}
