//! Scaled dot-product attention under a mask, and a look at its weights.

use candle_core::{Error, Result, Tensor, bail};
use kernels::rng::Key;
use kernels::{Attention, EdgeAttention, EdgeBias, Edges, RelativeBias};

use crate::{Mask, Position};

/// `softmax(q kᵀ / √d + bias) v` over the keys that `mask` grants each query; Vaswani et
/// al. 2017, §3.2.1 <https://arxiv.org/abs/1706.03762>.
///
/// With fewer key heads than query heads, neighbouring query heads share one. A query
/// that may read no key gives zeros. Memory is linear in the number of rows; time follows
/// the number of pairs that the mask grants, be they intervals or edges.
///
/// # Shapes
///
/// - `q`: `[t, h, d]`, the packed queries of `mask`
/// - `k`, `v`: `[s, h_kv, d]`, its packed keys; `h_kv` divides `h`
/// - returns: `[t, h, d]`
///
/// # Errors
///
/// If shapes disagree, or `position` knows features of edges, which only a layer can map.
///
/// # Examples
///
/// ```
/// use attn_core::{Mask, NoPosition, Pattern, attend};
/// use candle_core::{Device, Tensor};
///
/// let q = Tensor::zeros((3, 1, 8), candle_core::DType::F32, &Device::Cpu)?;
/// let v = Tensor::arange(0f32, 24.0, &Device::Cpu)?.reshape((3, 1, 8))?;
/// let mask = Mask::new(Pattern::Causal, [0, 3]).map_err(candle_core::Error::wrap)?;
///
/// let y = attend(&q, &q, &v, &mask, &NoPosition)?;
/// // Equal scores: every row is the mean of the values it may read.
/// let means = [0.0, 4.0, 8.0];
/// assert_eq!(y.narrow(2, 0, 1)?.flatten_all()?.to_vec1::<f32>()?, means);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn attend(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &Mask,
    position: &dyn Position,
) -> Result<Tensor> {
    let (_, n_heads, head_dim) = q.dims3()?;
    let (_, n_kv_heads, _) = k.dims3()?;
    let layout = Heads {
        n_heads,
        n_kv_heads,
        head_dim,
    };
    let settings = layout.settings(mask, position, None, None)?;
    settings.attend(q, k, v)?.reshape(q.dims())
}

/// How the columns of queries, keys and values are shared out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl Heads {
    /// Everything a kernel needs to know beside its tensors. `features` are those of
    /// edges, mapped to the width of keys.
    pub(crate) fn settings(
        self,
        mask: &Mask,
        position: &dyn Position,
        features: Option<Tensor>,
        dropout: Option<(f32, Key)>,
    ) -> Result<Settings> {
        let Self {
            n_heads,
            n_kv_heads,
            head_dim,
        } = self;
        let (rotary, bias) = (position.rotate(mask)?, position.bias(mask)?);
        let Some(edges) = mask.edges() else {
            return Ok(Settings::Spans(Attention {
                n_heads,
                n_kv_heads,
                head_dim,
                scale: None,
                spans: mask.spans().map_err(Error::wrap)?,
                rotary,
                bias,
                dropout,
            }));
        };
        if features.is_none() && position.edge_features(mask)?.is_some() {
            bail!("edges have features, but attention has no map `we` for them");
        }
        let bias = match (position.edge_bias(mask)?, bias) {
            (None, None) => None,
            (Some(by_kind), None) => Some(by_kind),
            (None, Some(by_distance)) => Some(along(edges, by_distance)?),
            (Some(_), Some(_)) => bail!("a bias by distance and one by kind of edge at once"),
        };
        Ok(Settings::Edges(EdgeAttention {
            n_heads,
            n_kv_heads,
            head_dim,
            scale: None,
            edges: edges.clone(),
            features,
            rotary,
            bias,
            dropout,
        }))
    }
}

/// A bias by distance, for each edge.
fn along(edges: &Edges, bias: RelativeBias) -> Result<EdgeBias> {
    let RelativeBias {
        table,
        offset,
        query_positions,
        key_positions,
    } = bias;
    let (_, n_buckets) = table.dims2()?;
    if n_buckets == 0 {
        bail!("a bias by distance has no buckets");
    }
    let bucket = |i: usize, j: u32| {
        let distance = i64::from(query_positions[i]) - i64::from(key_positions[j as usize]);
        let bucket = distance.saturating_add(offset);
        bucket.clamp(0, n_buckets as i64 - 1) as u32
    };
    let of_row = |i| edges.sources(i).iter().map(move |&j| bucket(i, j));
    let n_rows = edges.n_destinations();
    if query_positions.len() < n_rows || key_positions.len() < edges.n_sources() {
        bail!("a bias by distance lacks positions of some of {n_rows} rows");
    }
    Ok(EdgeBias {
        buckets: (0..n_rows).flat_map(of_row).collect(),
        table,
    })
}

/// The settings of the kernel that a mask needs.
#[derive(Debug)]
pub(crate) enum Settings {
    /// Each query reads an interval of keys.
    Spans(Attention),
    /// Each row reads along its edges.
    Edges(EdgeAttention),
}

impl Settings {
    /// `[t, h·d]` from queries, keys and values.
    pub(crate) fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        match self {
            Self::Spans(settings) => kernels::attention(q, k, v, settings),
            Self::Edges(settings) => kernels::edge_attention(q, k, v, settings),
        }
    }

    /// The same from all three side by side.
    pub(crate) fn attend_packed(&self, qkv: &Tensor) -> Result<Tensor> {
        match self {
            Self::Spans(settings) => kernels::attention_packed(qkv, settings),
            Self::Edges(settings) => kernels::edge_attention_packed(qkv, settings),
        }
    }

    /// `[heads.len(), rows.len(), s]`: the weights of chosen heads and rows.
    pub(crate) fn weights(
        &self,
        q: &Tensor,
        k: &Tensor,
        heads: &[usize],
        rows: &[usize],
    ) -> Result<Tensor> {
        let (n, n_heads, _) = q.dims3()?;
        let of = |head: usize, row: usize| {
            if head >= n_heads || row >= n {
                bail!("no row {row} of head {head} among {n} rows of {n_heads} heads");
            }
            match self {
                Self::Spans(settings) => {
                    kernels::attention_weights(q, k, settings, head, row..row + 1)
                }
                Self::Edges(settings) => {
                    kernels::edge_attention_weights(q, k, settings, head, row..row + 1)
                }
            }
        };
        let of_head = |&head: &usize| -> Result<Tensor> {
            let rows: Result<Vec<_>> = rows.iter().map(|&row| of(head, row)).collect();
            Tensor::cat(&rows?, 0)
        };
        let all: Result<Vec<_>> = heads.iter().map(of_head).collect();
        Tensor::stack(&all?, 0)
    }
}

/// Which keys chosen queries read, and how much of each: the weights after the softmax.
///
/// [`attend`] never holds them; here those of the chosen rows are computed again, for a
/// person to look at. Each row sums to one, or to zero if nothing may be read.
///
/// # Shapes
///
/// - `q`: `[t, h, d]`, the packed queries of `mask`
/// - `k`: `[s, h_kv, d]`, its packed keys
/// - returns: `[heads.len(), rows.len(), s]`
///
/// # Errors
///
/// If no head or no row is chosen, or one that is not there; or as [`attend`].
pub fn attention_weights(
    q: &Tensor,
    k: &Tensor,
    mask: &Mask,
    position: &dyn Position,
    heads: &[usize],
    rows: &[usize],
) -> Result<Tensor> {
    let (_, n_heads, head_dim) = q.dims3()?;
    let (_, n_kv_heads, _) = k.dims3()?;
    let layout = Heads {
        n_heads,
        n_kv_heads,
        head_dim,
    };
    let settings = layout.settings(mask, position, None, None)?;
    settings.weights(q, k, heads, rows)
}
