//! Activation functions, one number at a time.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use candle_core::{Device, Result, Tensor};

use super::rows::rows;

/// Applies `f` to every element.
///
/// # Shapes
///
/// - `x`: any
/// - returns: the same, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn map(x: &Tensor, f: impl Fn(f64) -> f64) -> Result<Tensor> {
    let flat = rows(&x.reshape((1, ()))?)?.concat();
    Tensor::from_vec(flat.into_iter().map(f).collect(), x.shape(), &Device::Cpu)
}

/// `silu(gate) ⊙ up`, the gated product of SwiGLU; Shazeer 2020
/// <https://arxiv.org/abs/2002.05202>.
///
/// # Shapes
///
/// - `gate`, `up`: any, the same
/// - returns: the same, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    assert_eq!(gate.dims(), up.dims(), "gate and up have unequal shapes");
    let flat = |x: &Tensor| -> Result<Vec<f64>> { Ok(rows(&x.reshape((1, ()))?)?.concat()) };
    let (gates, ups) = (flat(gate)?, flat(up)?);
    let y = gates
        .iter()
        .zip(&ups)
        .map(|(&gate, up)| silu(gate) * up)
        .collect();
    Tensor::from_vec(y, gate.shape(), &Device::Cpu)
}

/// `x σ(x) = x / (1 + e⁻ˣ)`
pub fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// `max(x, 0)`
pub fn relu(x: f64) -> f64 {
    if x > 0.0 { x } else { 0.0 }
}

/// `(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)`, as `1 − 2 / (e²ˣ + 1)`, which no argument overflows.
pub fn tanh(x: f64) -> f64 {
    1.0 - 2.0 / ((2.0 * x).exp() + 1.0)
}

/// `x Φ(x) = x/2 · (1 + erf(x/√2))`; Hendrycks & Gimpel 2016
/// <https://arxiv.org/abs/1606.08415>.
pub fn gelu_erf(x: f64) -> f64 {
    0.5 * x * erfc(-x * FRAC_1_SQRT_2)
}

/// `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`, the approximation of the same paper.
pub fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
}

/// The error function, `2/√π ∫₀ˣ e^(−t²) dt`, to 10⁻¹⁴.
///
/// The series of Abramowitz & Stegun 7.1.6, whose terms are all positive, below 2;
/// one less the continued fraction of the complement above.
pub fn erf(x: f64) -> f64 {
    if x.abs() < 2.0 {
        series(x)
    } else {
        x.signum() * (1.0 - fraction(x.abs()))
    }
}

/// `1 − erf(x)`, also where the difference would lose its digits.
fn erfc(x: f64) -> f64 {
    if x < 2.0 { 1.0 - erf(x) } else { fraction(x) }
}

/// `2/√π e^(−x²) Σₙ 2ⁿ x²ⁿ⁺¹ / (1·3·…·(2n+1))`
fn series(x: f64) -> f64 {
    let mut term = x;
    let mut sum = 0.0;
    let mut n = 0.0;
    while sum + term != sum {
        sum += term;
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// `erfc(x) = e^(−x²)/√π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + …))))` for `x ≥ 2`
/// (Abramowitz & Stegun 7.1.14), from the 200th level up.
fn fraction(x: f64) -> f64 {
    let tail = (1..=200)
        .rev()
        .fold(x, |tail, level| x + f64::from(level) / 2.0 / tail);
    0.5 * FRAC_2_SQRT_PI * (-x * x).exp() / tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_has_the_published_digits() {
        // Abramowitz & Stegun, table 7.1, and DLMF §7.
        for (x, want) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916_018_284_89),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (1.9, 0.992_790_429_235_257_5),
            (2.0, 0.995_322_265_018_952_7),
            (2.1, 0.997_020_533_343_667),
            (3.0, 0.999_977_909_503_001_4),
            (6.0, 1.0),
        ] {
            assert!((erf(x) - want).abs() < 1e-14, "erf({x}) = {:.17}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }

    #[test]
    fn the_two_forms_of_erf_meet() {
        for x in [1.8, 2.0, 2.2] {
            assert!((series(x) - (1.0 - fraction(x))).abs() < 1e-14, "at {x}");
        }
    }

    #[test]
    fn erfc_keeps_its_digits_in_the_tail() {
        // erfc(5), DLMF §7.
        assert!((erfc(5.0) / 1.537_459_794_428_034_8e-12 - 1.0).abs() < 1e-12);
        assert_eq!(erfc(-5.0), 1.0 + erf(5.0));
    }

    #[test]
    fn activations_have_known_values() {
        let close =
            |got: f64, want: f64| assert!((got - want).abs() < 1e-14, "{got:.17} {want:.17}");
        // x Φ(x) with Φ(1) = 0.8413447460685429…
        close(gelu_erf(1.0), 0.841_344_746_068_542_9);
        close(gelu_erf(-1.0), -0.158_655_253_931_457_07);
        close(gelu_tanh(1.0), 0.841_191_990_608_276_4);
        close(gelu_tanh(-1.0), -0.158_808_009_391_723_6);
        close(silu(1.0), 0.731_058_578_630_004_9);
        close(silu(-1.0), -0.268_941_421_369_995_1);
        assert_eq!((relu(-3.0), relu(3.0)), (0.0, 3.0));
        close(tanh(1.0), 0.761_594_155_955_764_9);
        close(tanh(-1.0), -0.761_594_155_955_764_9);
        assert_eq!((tanh(0.0), tanh(1e3), tanh(-1e3)), (0.0, 1.0, -1.0));
    }

    #[test]
    fn swiglu_gates_with_its_first_argument() -> Result<()> {
        let gate = Tensor::new(&[[1.0, 0.0], [-1.0, 2.0]], &Device::Cpu)?;
        let up = Tensor::new(&[[2.0, 5.0], [1.0, 0.0]], &Device::Cpu)?;
        let want = Tensor::new(&[[2.0 * silu(1.0), 0.0], [silu(-1.0), 0.0]], &Device::Cpu)?;
        crate::assert_close(&swiglu(&gate, &up)?, &want, 0.0)
    }

    #[test]
    fn map_keeps_the_shape() -> Result<()> {
        let x = Tensor::new(&[[[1f32, -2.0]], [[3.0, -4.0]]], &Device::Cpu)?;
        let want = Tensor::new(&[[[1f64, 0.0]], [[3.0, 0.0]]], &Device::Cpu)?;
        crate::assert_close(&map(&x, relu)?, &want, 0.0)
    }
}
