//! Normalisation of every row.

use candle_core::Tensor;
use candle_nn::{Init, Module, VarBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, positive};
use crate::linear::by_rows;

/// Which statistics a norm removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// Mean and variance: Ba et al. 2016, §3 <https://arxiv.org/abs/1607.06450>.
    Layer,
    /// The mean square only: Zhang & Sennrich 2019 <https://arxiv.org/abs/1910.07467>.
    Rms,
}

/// Kind and constants of a norm.
///
/// Valid by construction: `eps` is positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawNormConfig")]
pub struct NormConfig {
    kind: NormKind,
    eps: f64,
    bias: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawNormConfig {
    /// `layer` or `rms`.
    kind: NormKind,
    /// Added to the variance or mean square.
    eps: f64,
    /// Whether a layer norm adds a bias. An RMS norm never does.
    bias: bool,
}

impl Default for RawNormConfig {
    fn default() -> Self {
        Self {
            kind: NormKind::Layer,
            eps: 1e-5,
            bias: true,
        }
    }
}

impl TryFrom<RawNormConfig> for NormConfig {
    type Error = ConfigError;

    fn try_from(raw: RawNormConfig) -> Result<Self, ConfigError> {
        let RawNormConfig { kind, eps, bias } = raw;
        let bias = bias && kind == NormKind::Layer;
        Ok(Self {
            kind,
            eps: positive("eps", eps)?,
            bias,
        })
    }
}

impl NormConfig {
    /// A norm of this kind with `eps = 1e-5`; a layer norm with a bias.
    pub fn new(kind: NormKind) -> Self {
        let RawNormConfig { eps, bias, .. } = RawNormConfig::default();
        Self {
            kind,
            eps,
            bias: bias && kind == NormKind::Layer,
        }
    }

    /// The same norm with another `eps`.
    ///
    /// # Errors
    ///
    /// If `eps` is not a positive number.
    pub fn with_eps(self, eps: f64) -> Result<Self, ConfigError> {
        Ok(Self {
            eps: positive("eps", eps)?,
            ..self
        })
    }

    /// The same norm with or without a bias; an RMS norm has none either way.
    #[must_use]
    pub fn with_bias(self, bias: bool) -> Self {
        Self {
            bias: bias && self.kind == NormKind::Layer,
            ..self
        }
    }

    /// The kind.
    pub fn kind(&self) -> NormKind {
        self.kind
    }

    /// What is added to the variance or mean square.
    pub fn eps(&self) -> f64 {
        self.eps
    }
}

/// Brings every row to unit variance (or mean square), then scales each channel.
///
/// Parameters, under the prefix of the builder: `weight`, `[d_model]`, which starts at
/// one, and, for a layer norm that has one, `bias`, `[d_model]`, which starts at zero.
#[derive(Debug, Clone)]
pub enum Norm {
    /// `γ (x - mean x) / √(var x + ε) + β`
    Layer {
        /// γ, `[d_model]`
        weight: Tensor,
        /// β, `[d_model]`
        bias: Option<Tensor>,
        /// ε
        eps: f64,
    },
    /// `γ x / √(mean x² + ε)`
    Rms {
        /// γ, `[d_model]`
        weight: Tensor,
        /// ε
        eps: f64,
    },
}

impl Norm {
    /// Creates the layer for rows of width `d_model`, taking its parameters from `vb`.
    pub fn new(config: &NormConfig, d_model: usize, vb: VarBuilder) -> candle_core::Result<Self> {
        let weight = vb.get_with_hints(d_model, "weight", Init::Const(1.0))?;
        let eps = config.eps;
        Ok(match config.kind {
            NormKind::Rms => Self::Rms { weight, eps },
            NormKind::Layer => {
                let bias = match config.bias {
                    true => Some(vb.get_with_hints(d_model, "bias", Init::Const(0.0))?),
                    false => None,
                };
                Self::Layer { weight, bias, eps }
            }
        })
    }

    /// `norm(x + residual)`
    ///
    /// # Shapes
    ///
    /// - `x`, `residual`: `[n, d_model]`
    /// - returns: `[n, d_model]`
    pub fn forward_with(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
    ) -> candle_core::Result<Tensor> {
        match self {
            Self::Layer { weight, bias, eps } => {
                kernels::layer_norm(x, residual, weight, bias.as_ref(), *eps)
            }
            Self::Rms { weight, eps } => kernels::rms_norm(x, residual, weight, *eps),
        }
    }
}

impl Module for Norm {
    /// # Shapes
    ///
    /// - `x`: `[.., d_model]`
    /// - returns: `[.., d_model]`
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        by_rows(x, |x| self.forward_with(x, None))
    }
}
