//! A learnt vector for every id.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};
use candle_nn::{Init, Module, VarBuilder};

/// Looks up one row of a table for every id.
///
/// Parameters, under the prefix of the builder: `weight`, `[vocab_size, d_model]`.
#[derive(Debug, Clone)]
pub struct Embedding {
    weight: Tensor,
}

impl Embedding {
    /// Creates the layer, taking its table from `vb`.
    pub fn new(vocab_size: usize, d_model: usize, init: Init, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints((vocab_size, d_model), "weight", init)?,
        })
    }

    /// The rows of `ids`, in their order.
    ///
    /// # Shapes
    ///
    /// - `ids`: `[n]`
    /// - returns: `[n, d_model]`
    ///
    /// # Errors
    ///
    /// If an id is not below `vocab_size`.
    pub fn lookup(&self, ids: Arc<[u32]>) -> Result<Tensor> {
        kernels::embedding(ids, &self.weight)
    }

    /// The table, `[vocab_size, d_model]`: also the weight of a tied head.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }
}

impl Module for Embedding {
    /// # Shapes
    ///
    /// - `ids`: `[..]`, any integer type
    /// - returns: `[.., d_model]`
    fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let mut dims = ids.dims().to_vec();
        let ids = ids.flatten_all()?.to_dtype(DType::U32)?.to_vec1::<u32>()?;
        let rows = self.lookup(ids.into())?;
        dims.push(rows.dim(1)?);
        rows.reshape(dims)
    }
}
