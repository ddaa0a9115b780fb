//! What the tests of attention share: masks by definition, and cases.

#[cfg(feature = "cuda")]
mod gpu;
mod gradient;
mod oracle;
mod property;

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};
use testkit::{oracle as plain, randn};

use super::{Attention, RelativeBias, Rotary};
use crate::Spans;

/// Masks, each given twice: as a predicate and as spans.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Full,
    Causal,
    Band {
        left: u32,
        right: u32,
    },
    Chunk {
        size: u32,
        left: u32,
    },
    /// Of each 15 positions, the first five read those up to themselves, the next
    /// five nothing, the last five the keys from the sixth up to themselves.
    Gaps,
}

const KINDS: [Kind; 6] = [
    Kind::Full,
    Kind::Causal,
    Kind::Band { left: 2, right: 1 },
    Kind::Band { left: 40, right: 0 },
    Kind::Chunk { size: 3, left: 1 },
    Kind::Gaps,
];

/// New and cached rows of each sequence.
type Lens<'a> = &'a [(u32, u32)];

impl Kind {
    /// Whether position `p` may read position `s` of the same sequence.
    fn allows(self, p: u32, s: u32) -> bool {
        match self {
            Self::Full => true,
            Self::Causal => s <= p,
            Self::Band { left, right } => s + left >= p && s <= p + right,
            Self::Chunk { size, left } => s / size <= p / size && s / size + left >= p / size,
            Self::Gaps => {
                let first = p / 15 * 15;
                match p % 15 / 5 {
                    0 => (first..=p).contains(&s),
                    1 => false,
                    _ => (first + 5..=p).contains(&s),
                }
            }
        }
    }

    /// The same as [`Self::allows`], as spans.
    fn spans(self, lens: Lens<'_>) -> Result<Arc<Spans>> {
        let (mut query, mut key) = (0, 0);
        let mut segments = Vec::new();
        let mut positions = Vec::new();
        for &(new, past) in lens {
            segments.push((query..query + new, key..key + new + past));
            (query, key) = (query + new, key + new + past);
            positions.extend(past..past + new);
        }
        let spans = Spans::new(segments, |i, keys| {
            let (start, p) = (keys.start, positions[i as usize]);
            match self {
                Self::Full => keys.clone(),
                Self::Causal => start..start + p + 1,
                Self::Band { left, right } => start + p.saturating_sub(left)..start + p + right + 1,
                Self::Chunk { size, left } => {
                    let chunk = p / size;
                    start + chunk.saturating_sub(left) * size..start + (chunk + 1) * size
                }
                Self::Gaps => {
                    let first = start + p / 15 * 15;
                    match p % 15 / 5 {
                        0 => first..start + p + 1,
                        1 => first + 5..first + 5,
                        _ => first + 5..start + p + 1,
                    }
                }
            }
        })?;
        Ok(Arc::new(spans))
    }
}

/// Sequence and position of every query, and of every key.
fn places(lens: Lens<'_>) -> [Vec<(usize, u32)>; 2] {
    let places = |from: fn(u32) -> u32| {
        let sequences = lens.iter().enumerate();
        sequences
            .flat_map(|(b, &(new, past))| (from(past)..past + new).map(move |p| (b, p)))
            .collect()
    };
    [places(|past| past), places(|_| 0)]
}

/// One setting of attention with inputs to try it on, all `f64`.
#[derive(Debug, Clone)]
struct Case {
    kind: Kind,
    lens: Vec<(u32, u32)>,
    attention: Attention,
    q: Tensor,
    k: Tensor,
    v: Tensor,
}

/// What a case has besides its sizes.
#[derive(Debug, Clone, Copy, Default)]
struct With {
    /// Turned channels, if any.
    rotary: usize,
    /// Buckets of the bias, if any.
    buckets: usize,
}

impl Case {
    fn new(
        kind: Kind,
        lens: Lens<'_>,
        (n_heads, n_kv_heads, head_dim): (usize, usize, usize),
        with: With,
    ) -> Result<Self> {
        let spans = kind.spans(lens)?;
        let [queries, keys] =
            places(lens).map(|rows| rows.iter().map(|&(_, p)| p).collect::<Arc<[u32]>>());
        let (n, m) = (spans.n_queries(), spans.n_keys());
        let n_positions = keys.iter().max().map_or(1, |&p| p as usize + 1);
        let rotary = match with.rotary {
            0 => None,
            turned => {
                let (cos, sin) = plain::rope_tables(n_positions, turned, 100.0)?;
                Some(Rotary {
                    cos,
                    sin,
                    query_positions: queries.clone(),
                    key_positions: keys.clone(),
                })
            }
        };
        let bias = match with.buckets {
            0 => None,
            buckets => Some(RelativeBias {
                table: randn(9, (n_heads, buckets))?,
                offset: buckets as i64 / 3,
                query_positions: queries,
                key_positions: keys,
            }),
        };
        Ok(Self {
            kind,
            lens: lens.to_vec(),
            attention: Attention {
                n_kv_heads,
                rotary,
                bias,
                ..Attention::new(n_heads, head_dim, spans)
            },
            q: randn(1, (n, n_heads * head_dim))?,
            k: randn(2, (m, n_kv_heads * head_dim))?,
            v: randn(3, (m, n_kv_heads * head_dim))?,
        })
    }

    /// The same with inputs and tables of another type.
    fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let mut case = self.clone();
        for x in [&mut case.q, &mut case.k, &mut case.v] {
            *x = x.to_dtype(dtype)?;
        }
        if let Some(rotary) = &mut case.attention.rotary {
            rotary.cos = rotary.cos.to_dtype(dtype)?;
            rotary.sin = rotary.sin.to_dtype(dtype)?;
        }
        if let Some(bias) = &mut case.attention.bias {
            bias.table = bias.table.to_dtype(dtype)?;
        }
        Ok(case)
    }

    fn run(&self) -> Result<Tensor> {
        super::attention(&self.q, &self.k, &self.v, &self.attention)
    }

    /// Queries, keys and values side by side, where there is no cache.
    fn packed(&self) -> Result<Tensor> {
        Tensor::cat(&[&self.q, &self.k, &self.v], 1)
    }

    /// What the definition gives, `f64`.
    fn want(&self) -> Result<Tensor> {
        let [queries, keys] = places(&self.lens);
        let allows = |i: usize, j: usize| {
            let ((a, p), (b, s)) = (queries[i], keys[j]);
            a == b && self.kind.allows(p, s)
        };
        let Attention {
            n_heads,
            n_kv_heads,
            head_dim,
            ..
        } = self.attention;
        let tables = match &self.attention.rotary {
            None => None,
            Some(rotary) => Some(padded_tables(rotary, head_dim)?),
        };
        let rotary = self.attention.rotary.as_ref().zip(tables.as_ref());
        let head_order = rotary.map(|(rotary, _)| half_order(rotary, head_dim));
        let reorder = |x: &Tensor, heads| match &head_order {
            Some(order) => reorder(x, heads, order),
            None => Ok(x.clone()),
        };
        let table = match &self.attention.bias {
            Some(bias) => bias.table.to_dtype(DType::F64)?.to_vec2::<f64>()?,
            None => Vec::new(),
        };
        let offset = self.attention.bias.as_ref().map_or(0, |bias| bias.offset);
        let bias = |h: usize, i: usize, j: usize| {
            let bucket = i64::from(queries[i].1) - i64::from(keys[j].1) + offset;
            table[h][bucket.clamp(0, table[h].len() as i64 - 1) as usize]
        };
        let keep = |h: usize, i: usize, j: usize| self.keep(h, i, j);
        let plain = plain::Attention {
            n_heads,
            n_kv_heads,
            scale: self.attention.factor(),
            rotary: rotary.map(|(rotary, (cos, sin))| plain::Rotary {
                cos,
                sin,
                queries: &rotary.query_positions,
                keys: &rotary.key_positions,
            }),
            bias: self.attention.bias.as_ref().map(|_| &bias as _),
            keep: self.attention.dropout.map(|_| &keep as _),
        };
        let (q, k) = (reorder(&self.q, n_heads)?, reorder(&self.k, n_kv_heads)?);
        plain::attention(&q, &k, &self.v, &plain, allows)
    }

    /// The dropout factor of head `h`, query row `i` and key row `j`.
    fn keep(&self, h: usize, i: usize, j: usize) -> f64 {
        let Some((chance, key)) = self.attention.dropout else {
            return 1.0;
        };
        let (n, m) = (
            self.attention.spans.n_queries(),
            self.attention.spans.n_keys(),
        );
        let position = places(&self.lens)[1][j].1 as usize;
        let element = (h * n + i) * m.next_multiple_of(64) + position;
        if f64::from(key.word(element as u64)) >= (f64::from(chance) * 2f64.powi(32)).floor() {
            1.0 / (1.0 - f64::from(chance))
        } else {
            0.0
        }
    }
}

/// Tables that turn the channels past the turned ones by zero.
fn padded_tables(rotary: &Rotary, head_dim: usize) -> Result<(Tensor, Tensor)> {
    let (n, half) = rotary.cos.dims2()?;
    let rest = (n, head_dim / 2 - half);
    let (cos, sin) = (
        rotary.cos.to_dtype(DType::F64)?,
        rotary.sin.to_dtype(DType::F64)?,
    );
    let ones = Tensor::ones(rest, DType::F64, cos.device())?;
    Ok((
        Tensor::cat(&[&cos, &ones], 1)?,
        Tensor::cat(&[&sin, &ones.zeros_like()?], 1)?,
    ))
}

/// The order of channels in which those that are paired are half a head apart:
/// scores do not depend on the order.
fn half_order(rotary: &Rotary, head_dim: usize) -> Vec<u32> {
    let half = rotary.cos.dims()[1];
    let middle = half + head_dim / 2;
    let order = (0..half)
        .chain(2 * half..middle)
        .chain(half..2 * half)
        .chain(middle..head_dim);
    order.map(|c| c as u32).collect()
}

fn reorder(x: &Tensor, heads: usize, order: &[u32]) -> Result<Tensor> {
    let (n, width) = x.dims2()?;
    let order = Tensor::new(order, x.device())?;
    let x = x.reshape((n * heads, width / heads))?;
    x.index_select(&order, 1)?.reshape((n, width))
}
