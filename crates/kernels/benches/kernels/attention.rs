//! Attention under the patterns that read intervals of keys.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Result;
use criterion::{Criterion, Throughput};
use kernels::{Attention, Spans, attention_packed};

use crate::{both, var};

/// Heads, and channels of each.
const HEADS: (usize, usize) = (8, 32);

pub(crate) fn bench(criterion: &mut Criterion) {
    all(criterion).expect("variables fit in memory");
}

fn all(criterion: &mut Criterion) -> Result<()> {
    pattern(
        criterion,
        "attention causal B16 T256",
        16,
        256,
        |i, keys| keys.start..i + 1,
    )?;
    pattern(criterion, "attention full B16 T256", 16, 256, |_, keys| {
        keys.clone()
    })?;
    pattern(criterion, "attention band B1 T8000 w16", 1, 8000, |i, _| {
        i.saturating_sub(16)..i + 17
    })
}

/// `batch` sequences of `len` rows, of which row `i` reads `window(i, keys)`.
fn pattern(
    criterion: &mut Criterion,
    name: &str,
    batch: u32,
    len: u32,
    window: impl Fn(u32, &Range<u32>) -> Range<u32>,
) -> Result<()> {
    let segments = (0..batch).map(|b| (b * len..(b + 1) * len, b * len..(b + 1) * len));
    let spans = Spans::new(segments.collect(), window)?;
    let (n_heads, head_dim) = HEADS;
    let qkv = var(0, &[spans.n_queries(), 3 * n_heads * head_dim])?;
    // Two products of two operations a multiply-add, over the pairs that are read.
    let flops = Throughput::Elements(4 * spans.n_pairs() * (n_heads * head_dim) as u64);
    let attention = Attention::new(n_heads, head_dim, Arc::new(spans));
    both(criterion, name, flops, || {
        attention_packed(&qkv, &attention)
    });
    Ok(())
}
