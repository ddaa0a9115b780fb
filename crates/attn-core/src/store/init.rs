//! First values of a parameter, a pure function of (seed, name).

use std::f64::consts::TAU;

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::Init;
use candle_nn::init::NormalOrUniform;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Draws the first values of the parameter `name`.
///
/// The stream is ChaCha8, keyed with a hash of `seed` and `name`. Values are drawn in
/// `f64` and then rounded to `dtype`, so that a model is the same in every precision.
pub(super) fn draw(
    init: Init,
    shape: &Shape,
    seed: u64,
    name: &str,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let n = shape.elem_count();
    let mut stream = Stream::new(seed, name);
    let mut uniform =
        |lo: f64, up: f64| -> Vec<f64> { (0..n).map(|_| lo + (up - lo) * stream.unit()).collect() };
    let values = match init {
        Init::Const(value) => vec![value; n],
        Init::Uniform { lo, up } => uniform(lo, up),
        Init::Randn { mean, stdev } => stream.normals(n, mean, stdev),
        Init::Kaiming {
            dist,
            fan,
            non_linearity,
        } => {
            let stdev = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            match dist {
                NormalOrUniform::Uniform => {
                    let bound = 3f64.sqrt() * stdev;
                    uniform(-bound, bound)
                }
                NormalOrUniform::Normal => stream.normals(n, 0.0, stdev),
            }
        }
    };
    Tensor::from_vec(values, shape.clone(), &Device::Cpu)?
        .to_dtype(dtype)?
        .to_device(device)
}

struct Stream(ChaCha8Rng);

impl Stream {
    fn new(seed: u64, name: &str) -> Self {
        let mut key = blake3::Hasher::new_derive_key("attn-core: first value of a parameter");
        key.update(&seed.to_le_bytes()).update(name.as_bytes());
        Self(ChaCha8Rng::from_seed(*key.finalize().as_bytes()))
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻⁵³.
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Normal values, two from each pair of uniform ones (Box and Muller, 1958).
    fn normals(&mut self, n: usize, mean: f64, stdev: f64) -> Vec<f64> {
        let mut values = Vec::with_capacity(n + 1);
        while values.len() < n {
            // `1 - u` is in (0, 1], which keeps the logarithm finite.
            let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
            let (sin, cos) = (TAU * self.unit()).sin_cos();
            values.push(mean + stdev * radius * cos);
            values.push(mean + stdev * radius * sin);
        }
        values.truncate(n);
        values
    }
}

#[cfg(test)]
mod tests {
    use candle_nn::init::{FanInOut, NonLinearity};

    use super::*;

    fn values(init: Init, seed: u64, name: &str) -> Result<Vec<f64>> {
        let shape = Shape::from((40, 250));
        draw(init, &shape, seed, name, DType::F64, &Device::Cpu)?
            .flatten_all()?
            .to_vec1()
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (
            mean,
            (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt(),
        )
    }

    #[test]
    fn every_kind_has_the_moments_it_names() -> Result<()> {
        let kaiming = |dist, fan| Init::Kaiming {
            dist,
            fan,
            non_linearity: NonLinearity::ReLU,
        };
        let gain = 2f64.sqrt();
        for (init, mean, stdev) in [
            (Init::Const(0.7), 0.7, 0.0),
            (
                Init::Randn {
                    mean: 1.0,
                    stdev: 0.02,
                },
                1.0,
                0.02,
            ),
            (Init::Uniform { lo: -1.0, up: 3.0 }, 1.0, 4.0 / 12f64.sqrt()),
            (
                kaiming(NormalOrUniform::Normal, FanInOut::FanIn),
                0.0,
                gain / 250f64.sqrt(),
            ),
            (
                kaiming(NormalOrUniform::Uniform, FanInOut::FanOut),
                0.0,
                gain / 40f64.sqrt(),
            ),
        ] {
            let got = moments(&values(init, 7, "w")?);
            // 10,000 draws: 5 standard errors of the mean are 5 % of the deviation.
            assert!(
                (got.0 - mean).abs() <= 0.05 * stdev + 1e-12,
                "{init:?}: mean {}",
                got.0
            );
            assert!(
                (got.1 - stdev).abs() <= 0.05 * stdev + 1e-12,
                "{init:?}: stdev {}",
                got.1
            );
        }
        Ok(())
    }

    #[test]
    fn seed_and_name_alone_decide() -> Result<()> {
        let init = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        assert_eq!(values(init, 1, "a")?, values(init, 1, "a")?);
        assert_ne!(values(init, 1, "a")?, values(init, 1, "b")?);
        assert_ne!(values(init, 1, "a")?, values(init, 2, "a")?);
        Ok(())
    }

    #[test]
    fn a_model_starts_the_same_in_every_precision() -> Result<()> {
        let init = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        let shape = Shape::from((3, 5));
        let single = draw(init, &shape, 1, "a", DType::F32, &Device::Cpu)?;
        let double = draw(init, &shape, 1, "a", DType::F64, &Device::Cpu)?;
        let rounded = double.to_dtype(DType::F32)?;
        assert_eq!(single.to_vec2::<f32>()?, rounded.to_vec2::<f32>()?);
        Ok(())
    }
}
