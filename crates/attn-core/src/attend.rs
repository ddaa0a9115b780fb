//! Scaled dot-product attention under a mask, and a look at its weights.

use candle_core::{Error, Result, Tensor, bail};
use kernels::Attention;
use kernels::rng::Key;

use crate::{Mask, Position};

/// `softmax(q kᵀ / √d + bias) v` over the keys that `mask` grants each query; Vaswani et
/// al. 2017, §3.2.1 <https://arxiv.org/abs/1706.03762>.
///
/// With fewer key heads than query heads, neighbouring query heads share one. A query
/// that may read no key gives zeros. Memory is linear in the number of rows.
///
/// # Shapes
///
/// - `q`: `[t, h, d]`, the packed queries of `mask`
/// - `k`, `v`: `[s, h_kv, d]`, its packed keys; `h_kv` divides `h`
/// - returns: `[t, h, d]`
///
/// # Errors
///
/// If shapes disagree, or `mask` is made of edges, for which there is no kernel.
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
    let settings = layout.settings(mask, position, None)?;
    kernels::attention(q, k, v, &settings)?.reshape(q.dims())
}

/// How the columns of queries, keys and values are shared out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl Heads {
    /// Everything a kernel needs to know beside its tensors.
    pub(crate) fn settings(
        self,
        mask: &Mask,
        position: &dyn Position,
        dropout: Option<(f32, Key)>,
    ) -> Result<Attention> {
        let Self {
            n_heads,
            n_kv_heads,
            head_dim,
        } = self;
        Ok(Attention {
            n_heads,
            n_kv_heads,
            head_dim,
            scale: None,
            spans: mask.spans().map_err(Error::wrap)?,
            rotary: position.rotate(mask)?,
            bias: position.bias(mask)?,
            dropout,
        })
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
    let settings = layout.settings(mask, position, None)?;
    let mut weights = Vec::with_capacity(heads.len());
    for &head in heads {
        let mut of_head = Vec::with_capacity(rows.len());
        for &row in rows {
            if head >= n_heads || row >= mask.n_queries() {
                let n = mask.n_queries();
                bail!("no row {row} of head {head} among {n} rows of {n_heads} heads");
            }
            of_head.push(kernels::attention_weights(
                q,
                k,
                &settings,
                head,
                row..row + 1,
            )?);
        }
        weights.push(Tensor::cat(&of_head, 0)?);
    }
    Tensor::stack(&weights, 0)
}
