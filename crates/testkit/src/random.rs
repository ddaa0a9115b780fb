//! Inputs that are a pure function of a seed: the same on every machine and run.

use std::f64::consts::TAU;

use candle_core::{Device, Result, Shape, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Independent standard normal numbers, `f64` on the CPU.
///
/// Drawn from ChaCha8 by the Box–Muller transform, in row-major order: a longer
/// tensor begins with the numbers of a shorter one of the same seed.
///
/// # Shapes
///
/// - returns: `shape`
///
/// # Errors
///
/// Those of [`Tensor::from_vec`].
pub fn randn(seed: u64, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::with_capacity(shape.elem_count() + 1);
    while values.len() < shape.elem_count() {
        // `1 - u` is in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - uniform(&mut rng)).ln()).sqrt();
        let (sin, cos) = (TAU * uniform(&mut rng)).sin_cos();
        values.extend([radius * cos, radius * sin]);
    }
    values.truncate(shape.elem_count());
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// `n` independent, uniformly distributed ids in `0..below`.
///
/// # Panics
///
/// When `below` is zero: there is no such id.
#[track_caller]
pub fn rand_ids(seed: u64, n: usize, below: u32) -> Vec<u32> {
    assert!(below > 0, "no id is below 0");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // The bias of this reduction is below 2⁻³², which no test can see.
    let mut draw = || ((u128::from(rng.next_u64()) * u128::from(below)) >> 64) as u32;
    (0..n).map(|_| draw()).collect()
}

/// Uniform in `[0, 1)`, with all 53 bits of the significand.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_equal_numbers_and_others_do_not() -> Result<()> {
        let draw = |seed| randn(seed, (4, 5))?.flatten_all()?.to_vec1::<f64>();
        assert_eq!(draw(1)?, draw(1)?);
        assert_ne!(draw(1)?, draw(2)?);
        Ok(())
    }

    #[test]
    fn a_longer_draw_begins_with_the_shorter_one() -> Result<()> {
        let short = randn(3, 7)?.to_vec1::<f64>()?;
        let long = randn(3, 8)?.to_vec1::<f64>()?;
        assert_eq!(short, long[..7]);
        Ok(())
    }

    #[test]
    fn the_first_four_moments_are_those_of_the_normal_distribution() -> Result<()> {
        let n = 20_000;
        let x = randn(5, n)?.to_vec1::<f64>()?;
        let moment = |power| x.iter().map(|x| x.powi(power)).sum::<f64>() / n as f64;
        // Five standard errors: √(Var xᵏ / n), with Var = 1, 2, 15, 96.
        for (power, want, variance) in [
            (1, 0.0, 1.0),
            (2, 1.0, 2.0),
            (3, 0.0, 15.0),
            (4, 3.0, 96.0f64),
        ] {
            let bound = 5.0 * (variance / n as f64).sqrt();
            assert!(
                (moment(power) - want).abs() < bound,
                "moment {power}: {}",
                moment(power)
            );
        }
        Ok(())
    }

    #[test]
    fn ids_cover_their_range_and_stay_inside_it() {
        let ids = rand_ids(11, 500, 7);
        assert_eq!(ids.len(), 500);
        for id in 0..7 {
            assert!(ids.contains(&id), "{id} was never drawn");
        }
        assert!(ids.iter().all(|&id| id < 7));
    }
}
