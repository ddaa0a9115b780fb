//! The feed-forward layer of a block.

use candle_core::Tensor;
use candle_nn::{Module, VarBuilder};
use kernels::Activation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, inner_width, probability, width};
use crate::linear::by_rows;
use crate::projection::Projection;
use crate::{Dropout, Pass, WeightInit};

/// What bends the feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MlpKind {
    /// GELU in its tanh form, which GPT-2 uses.
    #[default]
    Gelu,
    /// GELU in its exact form, which BERT uses.
    GeluErf,
    /// `max(x, 0)`
    Relu,
    /// `x / (1 + e⁻ˣ)`
    Silu,
    /// `silu(gate) ⊙ up`: Shazeer 2020 <https://arxiv.org/abs/2002.05202>.
    #[serde(rename = "swiglu")]
    SwiGlu,
}

/// Widths of one feed-forward layer.
///
/// Valid by construction: widths are positive, `dropout` is in `[0, 1)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawMlpConfig")]
pub struct MlpConfig {
    d_model: usize,
    d_ff: usize,
    kind: MlpKind,
    bias: bool,
    dropout: f32,
    init: WeightInit,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawMlpConfig {
    /// Width of the residual stream.
    d_model: usize,
    /// Inner width; four times `d_model` if not given.
    d_ff: Option<usize>,
    /// `gelu`, `gelu-erf`, `relu`, `silu` or `swiglu`.
    #[serde(default)]
    kind: MlpKind,
    /// Whether the maps add a bias.
    #[serde(default)]
    bias: bool,
    /// Rate of dropout on what the layer returns.
    #[serde(default)]
    dropout: f32,
    /// First values of the weights.
    #[serde(default)]
    init: WeightInit,
}

impl TryFrom<RawMlpConfig> for MlpConfig {
    type Error = ConfigError;

    fn try_from(raw: RawMlpConfig) -> Result<Self, ConfigError> {
        let RawMlpConfig {
            d_model,
            d_ff,
            kind,
            bias,
            dropout,
            init,
        } = raw;
        let d_model = width("d_model", d_model)?;
        let d_ff = inner_width("d_ff", d_ff.unwrap_or(4 * d_model))?;
        Ok(Self {
            d_model,
            d_ff,
            kind,
            bias,
            dropout: probability("dropout", dropout)?,
            init,
        })
    }
}

impl MlpConfig {
    /// A GELU layer without biases and dropout.
    ///
    /// # Errors
    ///
    /// If a width is 0 or beyond reason.
    pub fn new(d_model: usize, d_ff: usize) -> Result<Self, ConfigError> {
        let d_ff = Some(d_ff);
        let (kind, init) = Default::default();
        RawMlpConfig {
            d_model,
            d_ff,
            kind,
            bias: false,
            dropout: 0.0,
            init,
        }
        .try_into()
    }

    /// The same layer with another non-linearity.
    #[must_use]
    pub fn with_kind(self, kind: MlpKind) -> Self {
        Self { kind, ..self }
    }

    /// The same layer with or without biases.
    #[must_use]
    pub fn with_bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// The same layer with dropout on what it returns.
    ///
    /// # Errors
    ///
    /// If `dropout` is not in `[0, 1)`.
    pub fn with_dropout(self, dropout: f32) -> Result<Self, ConfigError> {
        Ok(Self {
            dropout: probability("dropout", dropout)?,
            ..self
        })
    }

    /// The same layer with other first values.
    #[must_use]
    pub fn with_init(self, init: WeightInit) -> Self {
        Self { init, ..self }
    }

    /// Width of the residual stream.
    pub fn d_model(&self) -> usize {
        self.d_model
    }

    /// Inner width.
    pub fn d_ff(&self) -> usize {
        self.d_ff
    }

    /// What bends the layer.
    pub fn kind(&self) -> MlpKind {
        self.kind
    }
}

/// `down(f(up(x)))`, or `down(silu(gate(x)) ⊙ up(x))`, row by row.
///
/// Parameters, under the prefix of the builder: `up`, `down` and, for SwiGLU, `gate`.
#[derive(Debug, Clone)]
pub struct Mlp {
    up: Projection,
    bend: Bend,
    down: Projection,
    dropout: Dropout,
}

#[derive(Debug, Clone)]
enum Bend {
    Pointwise(Activation),
    Gated { gate: Projection },
}

impl Mlp {
    /// Creates the layer, taking its parameters from `vb`.
    pub fn new(config: &MlpConfig, vb: VarBuilder) -> candle_core::Result<Self> {
        let &MlpConfig {
            d_model,
            d_ff,
            kind,
            bias,
            dropout,
            init,
        } = config;
        let widen = |name: &str| Projection::new(d_model, d_ff, bias, init.weight(), vb.pp(name));
        Ok(Self {
            up: widen("up")?,
            bend: match kind {
                MlpKind::Gelu => Bend::Pointwise(Activation::GeluTanh),
                MlpKind::GeluErf => Bend::Pointwise(Activation::GeluErf),
                MlpKind::Relu => Bend::Pointwise(Activation::Relu),
                MlpKind::Silu => Bend::Pointwise(Activation::Silu),
                MlpKind::SwiGlu => Bend::Gated {
                    gate: widen("gate")?,
                },
            },
            down: Projection::new(d_ff, d_model, bias, init.residual_weight(), vb.pp("down"))?,
            dropout: Dropout::new(dropout, &vb),
        })
    }

    /// `residual + dropped(mlp(x))`
    ///
    /// # Shapes
    ///
    /// - `x`, `residual`: `[n, d_model]`
    /// - returns: `[n, d_model]`
    pub fn forward_with(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        pass: Pass,
    ) -> candle_core::Result<Tensor> {
        let inner = match &self.bend {
            Bend::Pointwise(activation) => {
                self.up.forward_with(x, Some(*activation), None, pass)?
            }
            Bend::Gated { gate } => kernels::swiglu(
                &gate.forward_with(x, None, None, pass)?,
                &self.up.forward_with(x, None, None, pass)?,
            )?,
        };
        self.dropout.after(&self.down, &inner, residual, pass)
    }
}

impl Module for Mlp {
    /// As in evaluation: drops nothing.
    ///
    /// # Shapes
    ///
    /// - `x`: `[.., d_model]`
    /// - returns: `[.., d_model]`
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        by_rows(x, |x| self.forward_with(x, None, Pass::eval()))
    }
}
