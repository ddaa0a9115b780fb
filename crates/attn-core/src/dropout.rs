//! Dropout whose draws are counted, not remembered.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use kernels::rng::Key;

use crate::Pass;
use crate::pass::site_of;
use crate::projection::Projection;

/// Sets each element to zero with probability `p` and divides the others by `1 - p`;
/// Srivastava et al. 2014 <https://jmlr.org/papers/v15/srivastava14a.html>.
///
/// Which elements are dropped is a pure function of the [`Pass`], the place of the
/// layer in the model and the index of the element; no mask is kept. In evaluation
/// nothing is dropped.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    p: f32,
    site: u32,
}

impl Dropout {
    /// Creates the layer. It has no parameters; the prefix of `vb` is its place.
    pub fn new(p: f32, vb: &VarBuilder) -> Self {
        Self {
            p,
            site: site_of(&vb.prefix()),
        }
    }

    /// `residual + dropped(x)`
    ///
    /// # Shapes
    ///
    /// - `x`, `residual`: `[n, d]`
    /// - returns: `[n, d]`
    pub fn forward(&self, x: &Tensor, residual: Option<&Tensor>, pass: Pass) -> Result<Tensor> {
        match (self.draws(pass), residual) {
            (Some((p, key)), _) => kernels::dropout(x, residual, p, key),
            (None, Some(residual)) => kernels::add(residual, x),
            (None, None) => Ok(x.clone()),
        }
    }

    /// `residual + dropped(x Wᵀ + b)`: how a layer writes to the residual stream. In
    /// one node where nothing is dropped.
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, d_in]`
    /// - `residual`: `[n, d_out]`
    /// - returns: `[n, d_out]`
    pub(crate) fn after(
        &self,
        map: &Projection,
        x: &Tensor,
        residual: Option<&Tensor>,
        pass: Pass,
    ) -> Result<Tensor> {
        match self.draws(pass) {
            None => map.forward_with(x, None, residual, pass),
            Some((p, key)) => {
                kernels::dropout(&map.forward_with(x, None, None, pass)?, residual, p, key)
            }
        }
    }

    /// What is drawn in `pass`, if anything.
    pub(crate) fn draws(&self, pass: Pass) -> Option<(f32, Key)> {
        pass.key(self.site)
            .filter(|_| self.p > 0.0)
            .map(|key| (self.p, key))
    }
}
