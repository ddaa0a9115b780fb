//! Gradients of the tape against central differences.

use candle_core::{DType, Result, Tensor, Var};

use crate::randn;

/// How far an input is nudged to each side. The truncation error of the central
/// difference is `STEP² f‴ / 6`, about 10⁻¹¹ for functions of unit scale.
const STEP: f64 = 1e-5;

/// Allowed error, relative to the largest derivative by the same input.
const TOLERANCE: f64 = 1e-6;

/// Rounding noise of one loss, in units of `ε · Σ|terms|`: the function computes
/// each term with an error of a few ulp, and the sum adds its own.
const ULPS: f64 = 64.0;

const COTANGENT_SEED: u64 = 0x5eed;

/// Checks the gradient of `f` by `x` against central differences.
///
/// `f` is contracted with a fixed random cotangent, so that errors in different
/// outputs cannot cancel.
///
/// # Shapes
///
/// - `x`: any, `f64`; each element costs two evaluations of `f`
/// - `f`: may return any shape, `f64`
///
/// # Errors
///
/// Those of `f` and of its backward pass.
///
/// # Panics
///
/// When no gradient reaches `x`, or one of its elements is wrong, or a type is
/// not `f64`: in `f32` the differences are noise.
#[track_caller]
pub fn gradcheck(x: &Var, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
    gradcheck_all(&[("x", x)], || f(x.as_tensor()))
}

/// Checks the gradient of `f` by every one of its named `inputs`.
///
/// `f` reads the variables themselves: they are set to nudged values in place, so
/// parameters that live inside a layer are inputs like any other. Afterwards they
/// hold what they held before.
///
/// # Shapes
///
/// - `inputs`: any, `f64`; each element costs two evaluations of `f`
/// - `f`: may return any shape, `f64`
///
/// # Errors
///
/// Those of `f` and of its backward pass.
///
/// # Panics
///
/// As [`gradcheck`]; the message names the input.
#[track_caller]
pub fn gradcheck_all(inputs: &[(&str, &Var)], f: impl Fn() -> Result<Tensor>) -> Result<()> {
    let y = f()?;
    assert_eq!(y.dtype(), DType::F64, "gradcheck needs an f64 output");
    let cotangent = randn(COTANGENT_SEED, y.shape())?.to_device(y.device())?;
    let terms = (&y * &cotangent)?;
    let noise = ULPS * f64::EPSILON * (1.0 + terms.abs()?.sum_all()?.to_scalar::<f64>()?) / STEP;
    let loss = || -> Result<f64> { (f()? * &cotangent)?.sum_all()?.to_scalar() };

    let grads = terms.sum_all()?.backward()?;
    for &(name, x) in inputs {
        assert_eq!(x.dtype(), DType::F64, "gradcheck needs f64, {name} is not");
        let Some(got) = grads.get(x.as_tensor()) else {
            panic!("no gradient reached {name}");
        };
        assert_eq!(
            got.dims(),
            x.dims(),
            "the gradient by {name} has another shape: got, want"
        );
        let got = got.flatten_all()?.to_vec1::<f64>()?;
        let want = differences(x, loss)?;
        let largest = want.iter().fold(0.0, |max: f64, g| max.max(g.abs()));
        let bound = TOLERANCE * largest + noise;
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            // Written so that a NaN fails.
            let close = (got - want).abs() <= bound;
            assert!(
                close,
                "d/d{name}[{i}]: tape {got:.12e}, differences {want:.12e}, allowed error {bound:.1e}"
            );
        }
    }
    Ok(())
}

/// The derivative of `loss` by each element of `x`, by central differences.
fn differences(x: &Var, loss: impl Fn() -> Result<f64>) -> Result<Vec<f64>> {
    let base = x.flatten_all()?.to_vec1::<f64>()?;
    let set = |values: &[f64]| x.set(&Tensor::from_slice(values, x.shape(), x.device())?);
    let mut derivatives = Vec::with_capacity(base.len());
    for i in 0..base.len() {
        let at = |by: f64| -> Result<f64> {
            let mut values = base.clone();
            values[i] += by;
            set(&values)?;
            loss()
        };
        derivatives.push((at(STEP)? - at(-STEP)?) / (2.0 * STEP));
    }
    set(&base)?;
    Ok(derivatives)
}

#[cfg(test)]
mod tests {
    use candle_core::{CpuStorage, CustomOp1, Layout, Shape};

    use super::*;
    use crate::failure::failure;

    fn var(seed: u64) -> Result<Var> {
        Var::from_tensor(&randn(seed, (2, 3))?)
    }

    /// `x²` whose backward is off by the factor it carries.
    struct Square(f64);

    impl CustomOp1 for Square {
        fn name(&self) -> &'static str {
            "square"
        }

        fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
            let y = storage.as_slice::<f64>()?.iter().map(|x| x * x).collect();
            Ok((CpuStorage::F64(y), layout.shape().clone()))
        }

        fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
            Ok(Some(((x * dy)? * (2.0 * self.0))?))
        }
    }

    #[test]
    fn a_right_gradient_passes() -> Result<()> {
        gradcheck(&var(1)?, |x| x.apply_op1(Square(1.0)))?;
        gradcheck(&var(2)?, |x| x.matmul(&x.t()?)?.exp())
    }

    #[test]
    fn an_error_of_one_part_in_ten_thousand_is_seen_at_any_scale() -> Result<()> {
        for scale in [1e-3, 1.0, 1e3] {
            let x = Var::from_tensor(&(randn(3, (2, 3))? * scale)?)?;
            let message = failure(|| gradcheck(&x, |x| x.apply_op1(Square(1.0001))));
            assert!(message.starts_with("d/dx["), "scale {scale}: {message:?}");
        }
        Ok(())
    }

    #[test]
    fn the_failing_input_is_named() -> Result<()> {
        let (a, b) = (var(4)?, var(5)?);
        let wrong_by_b = || a.as_tensor() + b.as_tensor().apply_op1(Square(2.0))?;
        let message = failure(|| gradcheck_all(&[("a", &a), ("b", &b)], wrong_by_b));
        assert!(message.starts_with("d/db["), "{message:?}");
        Ok(())
    }

    #[test]
    fn a_cut_gradient_is_named() -> Result<()> {
        let (a, b) = (var(6)?, var(7)?);
        let cut = || a.as_tensor() + b.as_detached_tensor();
        let message = failure(|| gradcheck_all(&[("a", &a), ("b", &b)], cut));
        assert_eq!(message, "no gradient reached b");
        Ok(())
    }

    #[test]
    fn the_inputs_keep_their_values() -> Result<()> {
        let x = var(8)?;
        let before = x.to_vec2::<f64>()?;
        gradcheck(&x, |x| x.sqr())?;
        assert_eq!(x.to_vec2::<f64>()?, before);
        Ok(())
    }
}
