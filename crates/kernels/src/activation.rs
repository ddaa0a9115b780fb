//! Pointwise non-linearities and their derivatives, on vectors.

use crate::simd::Lanes;

/// √(2/π)
const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
/// 1/√(2π)
const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;
const CUBIC: f64 = 0.044_715;

/// A pointwise non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`, the approximation that GPT-2
    /// uses; Hendrycks & Gimpel 2016, §2 <https://arxiv.org/abs/1606.08415>
    GeluTanh,
    /// `x/2 (1 + erf(x/√2))`; Hendrycks & Gimpel 2016, §2
    GeluErf,
    /// `x / (1 + e⁻ˣ)`; Elfwing et al. 2017 <https://arxiv.org/abs/1702.03118>
    Silu,
    /// `max(x, 0)`
    Relu,
    /// `(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)`
    Tanh,
}

impl Activation {
    /// What the GPU kernels know it by: see `cuda/activation.cuh`.
    #[cfg(feature = "cuda")]
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::GeluTanh => 0,
            Self::GeluErf => 1,
            Self::Silu => 2,
            Self::Relu => 3,
            Self::Tanh => 4,
        }
    }

    /// `f(x)`
    #[inline(always)]
    pub(crate) fn apply<L: Lanes>(self, lanes: L, x: L::V) -> L::V {
        self.with_derivative(lanes, x)[0]
    }

    /// `f(x)` and `f'(x)`, which share all that takes long.
    #[inline(always)]
    pub(crate) fn with_derivative<L: Lanes>(self, lanes: L, x: L::V) -> [L::V; 2] {
        match self {
            Self::GeluTanh => {
                let squared = lanes.mul(x, x);
                let inner = lanes.mul_add(squared, lanes.constant(CUBIC), lanes.constant(1.0));
                // As (1 + tanh u)/2 = σ(2u), GELU is x times σ of this.
                let argument = lanes.mul(lanes.mul(inner, x), lanes.constant(2.0 * SQRT_2_OVER_PI));
                let slope =
                    lanes.mul_add(squared, lanes.constant(3.0 * CUBIC), lanes.constant(1.0));
                let slope = lanes.mul(slope, lanes.constant(2.0 * SQRT_2_OVER_PI));
                gated(lanes, x, lanes.sigmoid(argument), slope)
            }
            Self::GeluErf => {
                let squared = lanes.mul(x, lanes.mul(x, lanes.constant(-0.5)));
                let density = lanes.mul(lanes.exp(squared), lanes.constant(DENSITY_AT_0));
                let below = normal_cdf(lanes, x);
                [lanes.mul(x, below), lanes.mul_add(x, density, below)]
            }
            Self::Silu => gated(lanes, x, lanes.sigmoid(x), lanes.constant(1.0)),
            Self::Relu => {
                let slope = lanes.select_lt(lanes.zero(), x, lanes.constant(1.0), lanes.zero());
                [lanes.max(x, lanes.zero()), slope]
            }
            Self::Tanh => {
                let y = lanes.tanh(x);
                [y, lanes.sub(lanes.constant(1.0), lanes.mul(y, y))]
            }
        }
    }
}

/// `x σ(u(x))` and its derivative, `σ + x σ (1 - σ) u'`, from `σ(u(x))` and `u'(x)`.
#[inline(always)]
fn gated<L: Lanes>(lanes: L, x: L::V, sigma: L::V, slope: L::V) -> [L::V; 2] {
    let y = lanes.mul(x, sigma);
    let rest = lanes.mul(lanes.sub(lanes.constant(1.0), sigma), slope);
    [y, lanes.mul_add(y, rest, sigma)]
}

/// `(1 + erf(x/√2)) / 2`
#[inline(always)]
fn normal_cdf<L: Lanes>(lanes: L, x: L::V) -> L::V {
    let erf = lanes.erf(lanes.mul(x, lanes.constant(std::f64::consts::FRAC_1_SQRT_2)));
    lanes.mul_add(erf, lanes.constant(0.5), lanes.constant(0.5))
}
