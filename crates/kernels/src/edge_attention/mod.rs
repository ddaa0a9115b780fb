//! Attention along the edges of a graph.
//!
//! Each row reads the rows from which an edge leads to it. Time is proportional to
//! the number of edges, and no number is kept an edge: of the forward pass only the
//! logarithm of each row's sum remains, and the backward pass computes weights again,
//! once along the edges into each row and once along those out of it. So no two tasks
//! write the same row, every sum runs in the order of the edges, and the bits do not
//! depend on threads.
//!
//! All heads of an edge are worked on while its rows are in cache.
//!
//! - `pairs`: a few edges of one row; `heads`: two rows, head by head; `products`: one row
//!   against those of several edges; `mixture`: rows of several edges, weighted and added up;
//! - `score`: dot products, or sums through a leaky ReLU; `softmax`, `bias`,
//!   `dropout`: steps on the scores of a few edges, for either;
//! - `call`, `forward`, `backward`: the order of steps, and who does them; `known`: what the
//!   backward pass starts from;
//! - `node`, `gat`: the two operations on the tape; `turn`: rotary positions.

mod backward;
mod bias;
mod call;
mod dropout;
mod forward;
mod gat;
mod heads;
mod known;
mod mixture;
mod node;
mod pairs;
mod products;
mod score;
mod softmax;
#[cfg(test)]
mod tests;
mod turn;
mod weights;

use std::sync::Arc;

use candle_core::{Result, Tensor};

pub use bias::EdgeBias;
pub use gat::{GatAttention, gat_attention};
pub use weights::edge_attention_weights;

use crate::attention::Operands;
use crate::{Edges, Rotary, rng};

/// Everything about attention along edges but the rows that attend.
#[derive(Debug, Clone)]
pub struct EdgeAttention {
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads, a divisor of `n_heads`: query head `h` reads head
    /// `h / (n_heads / n_kv_heads)`.
    pub n_kv_heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// Factor of the scores; `1/√head_dim` if `None`.
    pub scale: Option<f64>,
    /// Who reads whom.
    pub edges: Arc<Edges>,
    /// Added to the key and to the value of each edge: `[n_edges, n_kv_heads ·
    /// head_dim]`, in the order of the edges. The gradient reaches it.
    pub features: Option<Tensor>,
    /// Turns queries and keys by their positions first; not the features.
    pub rotary: Option<Rotary>,
    /// Added to the scaled scores.
    pub bias: Option<EdgeBias>,
    /// Chance that a weight is dropped, in `[0, 1)`, and the key of the draws. What
    /// remains is scaled up; the weights were normalised before.
    pub dropout: Option<(f32, rng::Key)>,
}

impl EdgeAttention {
    /// Attention with as many key heads as query heads, and nothing but edges.
    pub fn new(n_heads: usize, head_dim: usize, edges: Arc<Edges>) -> Self {
        Self {
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            scale: None,
            edges,
            features: None,
            rotary: None,
            bias: None,
            dropout: None,
        }
    }
}

/// Scaled dot-product attention along edges.
///
/// Computes `y_i = Σ_j softmax_j(scale · q_i·(k_j + e_ij) + b_ij) (v_j + e_ij)` over
/// the edges into row `i`, head by head; with features `e`, the operator of Shi et al.
/// 2021, §3.1 <https://arxiv.org/abs/2009.03509>. A row that reads nothing gives zeros
/// and passes back zero gradient.
///
/// Operands are read in place: they may be views with rows at any stride, as long as
/// each row is contiguous. The bits of a row's result depend on that row and on the
/// rows that it reads alone.
///
/// # Shapes
///
/// - `q`: `[n_destinations, n_heads · head_dim]` or `[n_destinations, n_heads, head_dim]`
/// - `k`, `v`: `[n_sources, n_kv_heads · head_dim]` or with heads apart
/// - returns: `[n_destinations, n_heads · head_dim]`
///
/// # Errors
///
/// Fails if shapes, types, edges, features, positions or tables disagree, if
/// `n_kv_heads` does not divide `n_heads`, or if the dropout chance is outside `[0, 1)`.
pub fn edge_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    attention: &EdgeAttention,
) -> Result<Tensor> {
    node::forward(&Operands::Separate { q, k, v }, attention)
}

/// [`edge_attention`] of queries, keys and values that lie side by side in one tensor;
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
/// Those of [`edge_attention`].
pub fn edge_attention_packed(qkv: &Tensor, attention: &EdgeAttention) -> Result<Tensor> {
    node::forward(&Operands::Packed { qkv }, attention)
}
