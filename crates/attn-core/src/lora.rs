//! Low-rank adapters: a trained matrix of few numbers beside one that is kept.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

use crate::config::{ConfigError, positive, probability, width};
use crate::{Dropout, Pass};

/// Name, behind that of a projection, of the matrix that narrows.
pub const A: &str = "lora_a.weight";
/// Name, behind that of a projection, of the matrix that widens.
pub const B: &str = "lora_b.weight";
/// Name, behind that of a projection, under which a store keeps scale and dropout.
pub(crate) const SETTINGS: &str = "lora";

/// Sizes of an adapter; Hu et al. 2021, §4.1 <https://arxiv.org/abs/2106.09685>.
///
/// Valid by construction: the rank is positive and within reason, `alpha` positive,
/// `dropout` in `[0, 1)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lora {
    rank: usize,
    alpha: f64,
    dropout: f64,
}

impl Lora {
    /// An adapter of this rank, whose part is multiplied by `alpha / rank`; `dropout` is
    /// the share of its input that is dropped in training.
    ///
    /// # Errors
    ///
    /// A number out of range.
    pub fn new(rank: usize, alpha: f64, dropout: f64) -> std::result::Result<Self, ConfigError> {
        Ok(Self {
            rank: width("rank", rank)?,
            alpha: positive("alpha", alpha)?,
            dropout: probability("dropout", dropout as f32).map(|_| dropout)?,
        })
    }

    /// Numbers that the input is narrowed to.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// What the part of the adapter is multiplied by, times the rank.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// Share of the input that is dropped in training.
    pub fn dropout(&self) -> f64 {
        self.dropout
    }

    /// What the part of the adapter is multiplied by.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// The weight that does at once what `weight` and the adapter do together:
    /// `W + scale · B A`.
    ///
    /// # Shapes
    ///
    /// - `weight`: `[d_out, d_in]`
    /// - `a`: `[rank, d_in]`
    /// - `b`: `[d_out, rank]`
    /// - returns: `[d_out, d_in]`
    pub fn merge(&self, weight: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        // In f64: a sum is rounded once, however large the rank.
        let wide = |t: &Tensor| t.detach().to_dtype(DType::F64);
        let part = (wide(b)?.matmul(&wide(a)?)? * self.scale())?;
        (wide(weight)? + part)?.to_dtype(weight.dtype())
    }
}

/// `scale · B A dropped(x)`, added to what a projection gives.
///
/// Parameters, under the prefix of the builder: [`A`] and [`B`].
#[derive(Debug, Clone)]
pub(crate) struct Adapter {
    a: Tensor,
    b: Tensor,
    scale: f64,
    dropout: Dropout,
}

impl Adapter {
    /// The adapter that `vb` has for the projection at its prefix, if it has one.
    pub(crate) fn of(d_in: usize, d_out: usize, vb: &VarBuilder) -> Result<Option<Self>> {
        if !vb.contains_tensor(A) {
            return Ok(None);
        }
        let a = vb.get_unchecked(A)?;
        let b = vb.get((d_out, a.dim(0)?), B)?;
        let settings = vb.get_unchecked(SETTINGS)?.to_vec1::<f64>()?;
        let &[scale, dropout] = &settings[..] else {
            candle_core::bail!("an adapter is told two numbers, not {}", settings.len());
        };
        if a.dims() != [a.dim(0)?, d_in] {
            candle_core::bail!("an adapter of {:?} reads {d_in} columns", a.dims());
        }
        let dropout = Dropout::new(dropout as f32, &vb.pp(SETTINGS));
        Ok(Some(Self {
            a,
            b,
            scale,
            dropout,
        }))
    }

    /// `base + scale · B A dropped(x)`
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, d_in]`
    /// - `base`: `[n, d_out]`
    /// - returns: `[n, d_out]`
    pub(crate) fn forward(&self, x: &Tensor, base: &Tensor, pass: Pass) -> Result<Tensor> {
        let x = self.dropout.forward(x, None, pass)?;
        let narrow = kernels::linear(&x, &self.a, None, None, None)?;
        let narrow = kernels::scale(&narrow, self.scale)?;
        kernels::linear(&narrow, &self.b, None, None, Some(base))
    }
}
