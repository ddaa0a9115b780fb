//! Attention along edges with additive scores, on the tape.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::backward::{Gradients, backward};
use super::call::Call;
use super::dropout::Dropout;
use super::forward::{Results, forward};
use super::known::Known;
use super::pairs::stride;
use super::score::Additive;
use crate::attention::Heads;
use crate::profile;
use crate::storage::{buffer, same_dtype, tensor, values, with_real};
use crate::tape::{Backward, Node, record};
use crate::view::{Columns, Rows, SharedRows};
use crate::{Edges, Real, rng};

/// Everything about attention with additive scores but its tensors.
#[derive(Debug, Clone)]
pub struct GatAttention {
    /// Heads.
    pub n_heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// Who reads whom.
    pub edges: Arc<Edges>,
    /// Slope of the leaky ReLU below zero; 0.2 in the paper.
    pub slope: f64,
    /// Chance that a weight is dropped, in `[0, 1)`, and the key of the draws; as in
    /// [`EdgeAttention`](crate::EdgeAttention).
    pub dropout: Option<(f32, rng::Key)>,
}

/// The attention of graph attention networks: `y_i = Σ_j softmax_j(s_ij) x_j` over the
/// edges into row `i`, with `s_ij = leaky_relu(to_i + from_j)`, head by head; Veličković
/// et al. 2018, §2.1 <https://arxiv.org/abs/1710.10903>.
///
/// The paper's `aᵀ[W h_i ‖ W h_j]` is a sum of one number from each end: the caller
/// computes both. A row that reads nothing gives zeros and passes back zero gradient.
/// Time is `O(E · d)`; memory is linear in rows.
///
/// # Shapes
///
/// - `x`: `[n_sources, n_heads · head_dim]`, contiguous, as are the others
/// - `to`: `[n_destinations, n_heads]`, what a row that reads gives to the score
/// - `from`: `[n_sources, n_heads]`, what a row that is read gives to it
/// - returns: `[n_destinations, n_heads · head_dim]`
///
/// # Errors
///
/// Fails if shapes, types or edges disagree, or if the dropout chance is outside
/// `[0, 1)`.
pub fn gat_attention(
    x: &Tensor,
    to: &Tensor,
    from: &Tensor,
    attention: &GatAttention,
) -> Result<Tensor> {
    let args = [x, to, from];
    same_dtype(x, args)?;
    with_real!(x, T => {
        let (n, h) = (attention.edges.n_destinations(), attention.n_heads);
        let width = h * attention.head_dim;
        let mut y = buffer::<T>(n * width);
        let mut log_sum = buffer::<T>(n * stride(h));
        profile::count_pairs(1, width, || attention.edges.n_edges() as u64);
        attention.check::<T, _>(args, |call| {
            forward(call, &Results {
                y: SharedRows::new(&mut y, width),
                log_sum: SharedRows::new(&mut log_sum, stride(h)),
            });
            Ok(())
        })?;
        let node = GatNode { attention: attention.clone(), log_sum };
        record(node, &args, y, (n, width))
    })
}

impl GatAttention {
    /// Checks everything, and lends it to `run`.
    fn check<T: Real, R>(
        &self,
        [x, to, from]: [&Tensor; 3],
        run: impl FnOnce(&Call<'_, T, Additive<'_, T>>) -> Result<R>,
    ) -> Result<R> {
        let heads = Heads::new(self.n_heads, self.n_heads, self.head_dim)?;
        let h = heads.n_heads;
        let (n_to, n_from) = (self.edges.n_destinations(), self.edges.n_sources());
        for (name, x, want) in [
            ("x", x, [n_from, heads.q_width()]),
            ("to", to, [n_to, h]),
            ("from", from, [n_from, h]),
        ] {
            if x.dims() != want {
                bail!(
                    "gat-attention: {name} of shape {:?}, expected {want:?}",
                    x.shape()
                );
            }
        }
        let (x, to, from) = (values::<T>(x)?, values::<T>(to)?, values::<T>(from)?);
        run(&Call {
            heads,
            edges: &self.edges,
            score: Additive {
                n_heads: h,
                slope: T::from_f64(self.slope),
                of_destination: Rows::contiguous(&to, h),
                of_source: Rows::contiguous(&from, h),
            },
            v: Rows::contiguous(&x, heads.q_width()),
            features: None,
            bias: None,
            dropout: Dropout::new(self.dropout, h)?,
        })
    }
}

/// Arguments: `x, to, from`.
struct GatNode<T> {
    attention: GatAttention,
    /// `[n_destinations, stride]`
    log_sum: Vec<T>,
}

impl<T: Real> Node for GatNode<T> {
    fn name(&self) -> &'static str {
        "gat-attention"
    }

    fn reads_output(&self) -> bool {
        true
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let [x, to, from] = pass.args else {
            bail!(
                "gat-attention was recorded with {} arguments",
                pass.args.len()
            );
        };
        let (y, dy) = (values::<T>(pass.output()?)?, values::<T>(pass.grad)?);
        let mut gradients = [x, to, from].map(|arg| buffer::<T>(arg.elem_count()));
        self.attention.check::<T, _>([x, to, from], |call| {
            let heads = &call.heads;
            profile::count_pairs(2, heads.q_width(), || call.edges.n_edges() as u64);
            let widths = [heads.q_width(), heads.n_heads, heads.n_heads];
            let [dx, dto, dfrom] = &mut gradients;
            let columns = |all, width| Columns {
                rows: SharedRows::new(all, width),
                first: 0,
            };
            backward(
                call,
                &Known::new(heads, &self.log_sum, &y, &dy),
                &Gradients {
                    destination: columns(dto, widths[1]),
                    source: columns(dfrom, widths[2]),
                    values: columns(dx, widths[0]),
                    features: None,
                    bias: None,
                },
            );
            Ok(())
        })?;
        let grads = gradients.into_iter().enumerate();
        Ok(grads
            .map(|(i, grad)| pass.wanted[i].then(|| tensor(grad, pass.args[i].shape().clone())))
            .collect())
    }
}
