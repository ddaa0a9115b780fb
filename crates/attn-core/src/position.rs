//! How attention is told where a row stands.

use std::fmt::Debug;

use kernels::{EdgeBias, RelativeBias, Rotary};

use crate::Mask;
use candle_core::{Result, Tensor};

/// A position encoding: hooks, each of which does nothing by default.
///
/// Attention knows no encoding by name; an encoding fills the hook it needs. The mask
/// says which rows belong together and where each stands
/// ([`Mask::positions`](crate::Mask::positions)).
pub trait Position: Debug + Send + Sync {
    /// Adds to the input of the first block.
    ///
    /// # Shapes
    ///
    /// - `x`: `[n_queries, d_model]`
    /// - returns: `[n_queries, d_model]`
    fn embed(&self, x: &Tensor, mask: &Mask) -> Result<Tensor> {
        let _ = mask;
        Ok(x.clone())
    }

    /// The angles by which queries and keys are turned.
    fn rotate(&self, mask: &Mask) -> Result<Option<Rotary>> {
        let _ = mask;
        Ok(None)
    }

    /// What is added to the scores, by distance.
    fn bias(&self, mask: &Mask) -> Result<Option<RelativeBias>> {
        let _ = mask;
        Ok(None)
    }

    /// What is added to the scores, by the kind of edge; asked where the mask is made of
    /// edges.
    fn edge_bias(&self, mask: &Mask) -> Result<Option<EdgeBias>> {
        let _ = mask;
        Ok(None)
    }

    /// What is known of each edge; asked where the mask is made of edges. Each layer
    /// maps it and adds the result to the key and the value of the edge.
    ///
    /// # Shapes
    ///
    /// - returns: `[n_edges, d_edge]`, in the order of the edges of `mask`
    fn edge_features(&self, mask: &Mask) -> Result<Option<Tensor>> {
        let _ = mask;
        Ok(None)
    }
}

/// No encoding: attention sees a set of rows, and only the mask tells them apart.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPosition;

impl Position for NoPosition {}
