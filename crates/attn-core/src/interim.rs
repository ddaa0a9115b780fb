//! Operations composed of Candle's own, until each has its kernel.

use std::sync::Arc;

use candle_core::{D, DType, Device, Result, Tensor};
use kernels::Spans;
use kernels::rng::Key;

/// Turns queries and keys by angles that grow with their position.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// Cosine of each angle, `[n_positions, r / 2]`.
    pub cos: Tensor,
    /// Sine of each angle, `[n_positions, r / 2]`.
    pub sin: Tensor,
    /// Position of each query row.
    pub query_positions: Arc<[u32]>,
    /// Position of each key row.
    pub key_positions: Arc<[u32]>,
}

/// Adds `table[head, p - s + offset]`, clamped, to the scores.
#[derive(Debug, Clone)]
pub struct RelativeBias {
    /// `[n_heads, n_buckets]`
    pub table: Tensor,
    /// Bucket of distance zero.
    pub offset: i64,
    /// Position of each query row.
    pub query_positions: Arc<[u32]>,
    /// Position of each key row.
    pub key_positions: Arc<[u32]>,
}

pub(crate) struct Attention {
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) scale: Option<f64>,
    pub(crate) spans: Arc<Spans>,
    pub(crate) rotary: Option<Rotary>,
    pub(crate) bias: Option<RelativeBias>,
    pub(crate) dropout: Option<(f32, Key)>,
}

pub(crate) fn embedding(ids: Arc<[u32]>, table: &Tensor) -> Result<Tensor> {
    let ids = Tensor::new(&*ids, table.device())?;
    table.index_select(&ids, 0)
}

pub(crate) fn layer_norm(
    x: &Tensor,
    residual: Option<&Tensor>,
    gamma: &Tensor,
    beta: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let x = match residual {
        Some(residual) => (x + residual)?,
        None => x.clone(),
    };
    let x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let y = rms_norm(&x, None, gamma, eps)?;
    match beta {
        Some(beta) => y.broadcast_add(beta),
        None => Ok(y),
    }
}

pub(crate) fn rms_norm(
    x: &Tensor,
    residual: Option<&Tensor>,
    gamma: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let x = match residual {
        Some(residual) => (x + residual)?,
        None => x.clone(),
    };
    let square = x.sqr()?.mean_keepdim(D::Minus1)?;
    x.broadcast_div(&(square + eps)?.sqrt()?)?
        .broadcast_mul(gamma)
}

pub(crate) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}

fn kept(shape: &[usize], p: f32, key: Key, dtype: DType) -> Result<Tensor> {
    let n: usize = shape.iter().product();
    let factor = 1.0 / (1.0 - p);
    let kept: Vec<f32> = (0..n as u64)
        .map(|i| if key.uniform(i) < p { 0.0 } else { factor })
        .collect();
    Tensor::from_vec(kept, shape, &Device::Cpu)?.to_dtype(dtype)
}

pub(crate) fn dropout(x: &Tensor, residual: Option<&Tensor>, p: f32, key: Key) -> Result<Tensor> {
    let x = (x * kept(x.dims(), p, key, x.dtype())?)?;
    match residual {
        Some(residual) => residual + x,
        None => Ok(x),
    }
}

pub(crate) fn attention_packed(qkv: &Tensor, a: &Attention) -> Result<Tensor> {
    let (q, kv) = (a.n_heads * a.head_dim, a.n_kv_heads * a.head_dim);
    attention(
        &qkv.narrow(1, 0, q)?,
        &qkv.narrow(1, q, kv)?,
        &qkv.narrow(1, q + kv, kv)?,
        a,
    )
}

pub(crate) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, a: &Attention) -> Result<Tensor> {
    let (t, s) = (a.spans.n_queries(), a.spans.n_keys());
    let mut weights = weights(q, k, a)?;
    if let Some((p, key)) = a.dropout {
        weights = (&weights * kept(weights.dims(), p, key, weights.dtype())?)?;
    }
    let v = split(v, s, a.n_kv_heads, a, None)?;
    weights
        .matmul(&v)?
        .transpose(0, 1)?
        .reshape((t, a.n_heads * a.head_dim))
}

pub(crate) fn attention_weights(
    q: &Tensor,
    k: &Tensor,
    a: &Attention,
    head: usize,
    queries: std::ops::Range<usize>,
) -> Result<Tensor> {
    weights(q, k, a)?
        .get(head)?
        .narrow(0, queries.start, queries.len())
}

fn weights(q: &Tensor, k: &Tensor, a: &Attention) -> Result<Tensor> {
    let (t, s) = (a.spans.n_queries(), a.spans.n_keys());
    let q = split(
        q,
        t,
        a.n_heads,
        a,
        a.rotary.as_ref().map(|r| &*r.query_positions),
    )?;
    let k = split(
        k,
        s,
        a.n_kv_heads,
        a,
        a.rotary.as_ref().map(|r| &*r.key_positions),
    )?;
    let scale = a.scale.unwrap_or(1.0 / (a.head_dim as f64).sqrt());
    let mut scores = (q.matmul(&k.t()?.contiguous()?)? * scale)?;
    if let Some(bias) = &a.bias {
        let last = bias.table.dim(1)? as i64 - 1;
        let column =
            |i: u32, j: u32| (i64::from(i) - i64::from(j) + bias.offset).clamp(0, last) as u32;
        let columns: Vec<u32> = bias
            .query_positions
            .iter()
            .flat_map(|&i| bias.key_positions.iter().map(move |&j| column(i, j)))
            .collect();
        let columns = Tensor::from_vec(columns, t * s, &Device::Cpu)?;
        let bias = bias
            .table
            .index_select(&columns, 1)?
            .reshape((a.n_heads, t, s))?;
        scores = (scores + bias)?;
    }
    let allowed: Vec<u8> = (0..t)
        .flat_map(|i| (0..s).map(move |j| u8::from(a.spans.keys(i).contains(&j))))
        .collect();
    let allowed =
        Tensor::from_vec(allowed, (1, t, s), &Device::Cpu)?.broadcast_as(scores.shape())?;
    let forbidden = scores.zeros_like()?.affine(0.0, -1e30)?;
    let weights = candle_nn::ops::softmax(&allowed.where_cond(&scores, &forbidden)?, D::Minus1)?;
    allowed.where_cond(&weights, &weights.zeros_like()?)
}

/// `[n, heads·d] -> [n_heads, n, d]`, turned if positions are given.
fn split(
    x: &Tensor,
    n: usize,
    heads: usize,
    a: &Attention,
    positions: Option<&[u32]>,
) -> Result<Tensor> {
    let x = x.contiguous()?.reshape((n, heads, a.head_dim))?;
    let x = match (&a.rotary, positions) {
        (Some(rotary), Some(positions)) => rotate(&x, rotary, positions)?,
        _ => x,
    };
    let x = x.transpose(0, 1)?.contiguous()?;
    let group = a.n_heads / heads;
    x.unsqueeze(1)?
        .repeat((1, group, 1, 1))?
        .reshape((a.n_heads, n, a.head_dim))
}

fn rotate(x: &Tensor, rotary: &Rotary, positions: &[u32]) -> Result<Tensor> {
    let half = x.dim(2)? / 2;
    let positions = Tensor::new(positions, x.device())?;
    let angles = |table: &Tensor| {
        table
            .to_dtype(x.dtype())?
            .index_select(&positions, 0)?
            .unsqueeze(1)
    };
    let (cos, sin) = (angles(&rotary.cos)?, angles(&rotary.sin)?);
    let (a, b) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
    let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    Tensor::cat(&[first, second], 2)
}
