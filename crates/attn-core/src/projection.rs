//! A linear map of a block, with its adapter if it has one.

use candle_core::{Result, Tensor};
use candle_nn::{Init, Module, VarBuilder};
use kernels::Activation;

use crate::linear::by_rows;
use crate::lora::Adapter;
use crate::{Linear, Pass};

/// A [`Linear`] that a [`ParamStore`](crate::ParamStore) can give an adapter.
///
/// Parameters, under the prefix of the builder: those of [`Linear`] and, where there is an
/// adapter, `lora_a.weight`, `[rank, d_in]`, and `lora_b.weight`, `[d_out, rank]`.
#[derive(Debug, Clone)]
pub(crate) struct Projection {
    linear: Linear,
    adapter: Option<Adapter>,
}

impl Projection {
    pub(crate) fn new(
        d_in: usize,
        d_out: usize,
        bias: bool,
        init: Init,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            adapter: Adapter::of(d_in, d_out, &vb)?,
            linear: Linear::new(d_in, d_out, bias, init, vb)?,
        })
    }

    /// `f(x (W + scale · B A)ᵀ + b) + residual`, the adapter's `x` with dropout in training.
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, d_in]`
    /// - `residual`: `[n, d_out]`
    /// - returns: `[n, d_out]`
    pub(crate) fn forward_with(
        &self,
        x: &Tensor,
        activation: Option<Activation>,
        residual: Option<&Tensor>,
        pass: Pass,
    ) -> Result<Tensor> {
        match (&self.adapter, activation) {
            (None, _) => self.linear.forward_with(x, activation, residual),
            (Some(adapter), None) => {
                adapter.forward(x, &self.linear.forward_with(x, None, residual)?, pass)
            }
            (Some(adapter), Some(f)) => {
                let y = adapter.forward(x, &self.linear.forward_with(x, None, None)?, pass)?;
                let y = kernels::activate(&y, f)?;
                match residual {
                    Some(residual) => kernels::add(residual, &y),
                    None => Ok(y),
                }
            }
        }
    }

    /// The map itself, if that is all there is.
    pub(crate) fn plain(&self) -> Option<&Linear> {
        match self.adapter {
            None => Some(&self.linear),
            Some(_) => None,
        }
    }
}

impl Module for Projection {
    /// As in evaluation: drops nothing.
    ///
    /// # Shapes
    ///
    /// - `x`: `[.., d_in]`
    /// - returns: `[.., d_out]`
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        by_rows(x, |x| self.forward_with(x, None, None, Pass::eval()))
    }
}
