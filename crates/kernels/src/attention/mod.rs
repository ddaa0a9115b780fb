//! Exact attention in tiles: one kernel for every mask that is made of spans.
//!
//! Scores exist for one tile of 64 queries and 64 keys at a time; the softmax is
//! computed online, and of the forward pass only the logarithm of each query's sum
//! is kept (FlashAttention: Dao et al. 2022 <https://arxiv.org/abs/2205.14135>). So
//! memory is linear in the length and work is proportional to the number of pairs
//! that the mask grants, forward and backward.
//!
//! - `window`: which parts of a tile are read;
//! - `product`, `softmax`, `bias`, `dropout`, `rotary`, `pack`, `transpose`:
//!   steps on one tile;
//! - `call`, `forward`, `backward`: the order of steps, and who does them;
//! - `arena`: memory; `ahead`: rows that memory is asked for early;
//! - `cuda`: all of this on a GPU.

mod ahead;
mod arena;
mod backward;
mod bias;
mod call;
#[cfg(feature = "cuda")]
mod cuda;
mod dropout;
mod forward;
mod node;
mod operands;
mod pack;
mod product;
mod rotary;
mod softmax;
#[cfg(test)]
mod tests;
mod transpose;
mod weights;
mod window;

use std::sync::Arc;

use candle_core::{Result, Tensor};

pub use bias::RelativeBias;
pub(crate) use call::Heads;
#[cfg(feature = "cuda")]
pub(crate) use cuda::Copies;
pub(crate) use forward::ln;
pub(crate) use operands::{OperandGrads, Operands};
pub use rotary::Rotary;
pub(crate) use rotary::{Direction, Turn};
pub use weights::attention_weights;

use crate::{Spans, rng};

/// Everything about attention but its tensors.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads, a divisor of `n_heads`: query head `h` reads head
    /// `h / (n_heads / n_kv_heads)`.
    pub n_kv_heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// Factor of the scores; `1/√head_dim` if `None`.
    pub scale: Option<f64>,
    /// Which keys each query reads.
    pub spans: Arc<Spans>,
    /// Turns queries and keys by their positions first.
    pub rotary: Option<Rotary>,
    /// Added to the scaled scores.
    pub bias: Option<RelativeBias>,
    /// Chance that a weight is dropped, in `[0, 1)`, and the key of the draws. What
    /// remains is scaled up; the weights were normalised before.
    pub dropout: Option<(f32, rng::Key)>,
}

impl Attention {
    /// Attention with as many key heads as query heads, and nothing but a mask.
    pub fn new(n_heads: usize, head_dim: usize, spans: Arc<Spans>) -> Self {
        Self {
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            scale: None,
            spans,
            rotary: None,
            bias: None,
            dropout: None,
        }
    }
}

/// Scaled dot-product attention.
///
/// Computes `softmax(scale · q kᵀ + bias) v`, head by head, over the keys that the
/// spans grant; Vaswani et al. 2017, §3.2.1 <https://arxiv.org/abs/1706.03762>.
/// A query that reads no key gives zeros and passes back zero gradient.
///
/// Operands are read in place: they may be views with rows at any stride, such as
/// parts of one fused projection, as long as each row is contiguous. The bits of a
/// query's result depend on that query and on the keys of its segment alone: not
/// on other queries, nor on where in the batch the segment lies.
///
/// # Shapes
///
/// - `q`: `[n_queries, n_heads · head_dim]` or `[n_queries, n_heads, head_dim]`
/// - `k`, `v`: `[n_keys, n_kv_heads · head_dim]` or with heads apart
/// - returns: `[n_queries, n_heads · head_dim]`
///
/// # Errors
///
/// Fails if shapes, types, spans, positions or tables disagree, if `n_kv_heads`
/// does not divide `n_heads`, if the dropout chance is outside `[0, 1)`, or if a head has more
/// than 256 channels on a GPU.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, attention: &Attention) -> Result<Tensor> {
    node::forward(&Operands::Separate { q, k, v }, attention)
}

/// [`attention`] of queries, keys and values that lie side by side in one tensor;
/// its gradient is one tensor, too. The same bits as with three views of it.
///
/// # Shapes
///
/// - `qkv`: `[n, (n_heads + 2 · n_kv_heads) · head_dim]`: all queries, all keys, all
///   values
/// - returns: `[n, n_heads · head_dim]`
///
/// # Errors
///
/// Those of [`attention`].
pub fn attention_packed(qkv: &Tensor, attention: &Attention) -> Result<Tensor> {
    node::forward(&Operands::Packed { qkv }, attention)
}
