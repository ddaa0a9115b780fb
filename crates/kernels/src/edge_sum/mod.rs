//! Weighted sums over the edges into each row: the step of message passing.

mod cpu;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use crate::storage::{buffer, tensor, values, with_real};
use crate::tape::{Backward, Node, record};
use crate::{Edges, Real};

/// `y_i = Σ_e w_e x_j` over the edges `e` from `j` into row `i`; zeros for a row that
/// reads nothing.
///
/// With `w = 1/√(deg_i deg_j)` it is the propagation of graph convolutional networks
/// (Kipf and Welling 2017, §2 <https://arxiv.org/abs/1609.02907>), with `w = 1/deg_i`
/// the mean of the neighbours. The weights are constants: no gradient reaches them.
///
/// # Shapes
///
/// - `x`: `[n_sources, d]`, contiguous
/// - `weights`: one an edge, in the order of the edges
/// - returns: `[n_destinations, d]`
///
/// # Errors
///
/// Fails if `x`, the edges and the weights disagree.
pub fn edge_sum(x: &Tensor, edges: Arc<Edges>, weights: Arc<[f32]>) -> Result<Tensor> {
    let (n, d) = x.dims2()?;
    if n != edges.n_sources() {
        bail!(
            "edge-sum: x has {n} rows, the edges {} sources",
            edges.n_sources()
        );
    }
    if weights.len() != edges.n_edges() {
        bail!(
            "edge-sum: {} weights for {} edges",
            weights.len(),
            edges.n_edges()
        );
    }
    with_real!(x, T => {
        let rows = edges.n_destinations();
        let mut y = buffer::<T>(rows * d);
        cpu::sum(edges.incoming(), &weights, &values(x)?, d, &mut y);
        let node = EdgeSum::<T> { edges, weights, elem: PhantomData };
        record(node, &[x], y, (rows, d))
    })
}

/// Argument: `x`.
struct EdgeSum<T> {
    edges: Arc<Edges>,
    weights: Arc<[f32]>,
    elem: PhantomData<T>,
}

impl<T: Real> Node for EdgeSum<T> {
    fn name(&self) -> &'static str {
        "edge-sum"
    }

    /// The same sum along the edges turned round.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let (n, d) = pass.args[0].dims2()?;
        let mut dx = buffer::<T>(n * d);
        let dy = values::<T>(pass.grad)?;
        cpu::sum(self.edges.outgoing(), &self.weights, &dy, d, &mut dx);
        Ok(vec![Some(tensor(dx, (n, d)))])
    }
}
