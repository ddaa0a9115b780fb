//! Affine map of every row.

use candle_core::{Result, Tensor};
use candle_nn::{Init, Module, VarBuilder};
use kernels::Activation;

/// `y = f(x Wᵀ + b) + residual`, one node of the tape.
///
/// Parameters, under the prefix of the builder: `weight`, `[d_out, d_in]`, and, if it
/// has one, `bias`, `[d_out]`, which starts at zero.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Creates the layer, taking its parameters from `vb`.
    pub fn new(d_in: usize, d_out: usize, bias: bool, init: Init, vb: VarBuilder) -> Result<Self> {
        let weight = vb.get_with_hints((d_out, d_in), "weight", init)?;
        let bias = match bias {
            true => Some(vb.get_with_hints(d_out, "bias", Init::Const(0.0))?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    /// Makes a layer of tensors that exist: `weight` `[d_out, d_in]`, `bias` `[d_out]`.
    pub fn from_tensors(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// `f(x Wᵀ + b) + residual`
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, d_in]`
    /// - `residual`: `[n, d_out]`
    /// - returns: `[n, d_out]`
    pub fn forward_with(
        &self,
        x: &Tensor,
        activation: Option<Activation>,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        kernels::linear(x, &self.weight, self.bias(), activation, residual)
    }

    /// The weight, `[d_out, d_in]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[d_out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

impl Module for Linear {
    /// # Shapes
    ///
    /// - `x`: `[.., d_in]`
    /// - returns: `[.., d_out]`
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        by_rows(x, |x| self.forward_with(x, None, None))
    }
}

/// Applies `f: [n, d] -> [n, e]` to the rows of `x`, `[.., d] -> [.., e]`.
pub(crate) fn by_rows(x: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    if x.rank() == 2 {
        return f(x);
    }
    let (rows, mut dims) = match x.rank() {
        1 => (x.unsqueeze(0)?, vec![]),
        rank => (x.flatten_to(rank - 2)?, x.dims()[..rank - 1].to_vec()),
    };
    let y = f(&rows)?;
    dims.push(y.dim(1)?);
    y.reshape(dims)
}
