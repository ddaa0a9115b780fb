//! Comparison of two tensors that names the place where they differ most.

use candle_core::{DType, Result, Tensor};

/// Checks that `got` equals `want`: `|got − want| ≤ tolerance · max(1, |want|)`.
///
/// Both may be of any floating type and are compared in `f64`. Equal infinities
/// agree; a NaN agrees with nothing.
///
/// # Shapes
///
/// - `got`, `want`: the same
///
/// # Errors
///
/// Those of the conversion to `f64`.
///
/// # Panics
///
/// When the shapes differ, or some element does: the message has the worst index,
/// both values there, and how many elements are out of tolerance.
#[track_caller]
pub fn assert_close(got: &Tensor, want: &Tensor, tolerance: f64) -> Result<()> {
    let errors = errors(got, want)?;
    let out = errors.iter().filter(|e| e.relative > tolerance).count();
    if let Some(worst) = errors
        .iter()
        .max_by(|a, b| a.relative.total_cmp(&b.relative))
    {
        assert!(
            out == 0,
            "{out} of {} elements differ; worst at {:?}: got {:e}, want {:e}, error {:.3e} > {tolerance:.3e}",
            errors.len(),
            unravel(worst.flat, got.dims()),
            worst.got,
            worst.want,
            worst.relative,
        );
    }
    Ok(())
}

/// The greatest error of `got` against `want`, as [`assert_close`] measures it.
///
/// For tests that compare two errors: "at most twice that of the plain path".
/// Infinite where a NaN is compared.
///
/// # Shapes
///
/// - `got`, `want`: the same
///
/// # Errors
///
/// Those of the conversion to `f64`.
///
/// # Panics
///
/// When the shapes differ.
#[track_caller]
pub fn max_error(got: &Tensor, want: &Tensor) -> Result<f64> {
    let errors = errors(got, want)?;
    Ok(errors.iter().map(|e| e.relative).fold(0.0, f64::max))
}

/// One compared element.
struct Compared {
    flat: usize,
    got: f64,
    want: f64,
    relative: f64,
}

#[track_caller]
fn errors(got: &Tensor, want: &Tensor) -> Result<Vec<Compared>> {
    assert_eq!(got.dims(), want.dims(), "shapes differ: got, want");
    let values = |x: &Tensor| x.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let pairs = values(got)?.into_iter().zip(values(want)?);
    let compare = |(flat, (got, want)): (usize, (f64, f64))| Compared {
        flat,
        got,
        want,
        relative: error(got, want),
    };
    Ok(pairs.enumerate().map(compare).collect())
}

fn error(got: f64, want: f64) -> f64 {
    if got == want {
        return 0.0;
    }
    let error = (got - want).abs() / want.abs().max(1.0);
    if error.is_nan() { f64::INFINITY } else { error }
}

/// The index of each dimension of the row-major position `flat`.
fn unravel(mut flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    for (i, &size) in index.iter_mut().zip(dims).rev() {
        *i = flat % size;
        flat /= size;
    }
    index
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::failure::failure;

    fn tensor(values: [[f64; 2]; 2]) -> Result<Tensor> {
        Tensor::new(&values, &Device::Cpu)
    }

    #[test]
    fn the_message_names_the_worst_index() -> Result<()> {
        let got = tensor([[1.0, 2.1], [3.0, 5.0]])?;
        let want = tensor([[1.0, 2.0], [3.0, 4.0]])?;
        let message = failure(|| assert_close(&got, &want, 1e-3));
        let start = "2 of 4 elements differ; worst at [1, 1]: got 5e0, want 4e0";
        assert!(message.starts_with(start), "{message:?}");
        Ok(())
    }

    #[test]
    fn the_tolerance_is_relative_above_one_and_absolute_below() -> Result<()> {
        let want = tensor([[1000.0, 0.0], [1.0, 1.0]])?;
        assert_close(&tensor([[1000.9, 0.0009], [1.0, 1.0]])?, &want, 1e-3)?;
        for far in [[1001.1, 0.0], [1000.0, 0.0011]] {
            let got = tensor([far, [1.0, 1.0]])?;
            assert_ne!(failure(|| assert_close(&got, &want, 1e-3)), "");
        }
        Ok(())
    }

    #[test]
    fn nan_agrees_with_nothing_and_equal_infinities_agree() -> Result<()> {
        let nan = tensor([[f64::NAN, 0.0], [0.0, 0.0]])?;
        assert_ne!(failure(|| assert_close(&nan, &nan, 1.0)), "");
        assert!(max_error(&nan, &nan)?.is_infinite());
        let infinite = tensor([[f64::INFINITY, f64::NEG_INFINITY], [0.0, 0.0]])?;
        assert_close(&infinite, &infinite, 0.0)
    }

    #[test]
    fn single_precision_is_compared_in_double() -> Result<()> {
        let want = tensor([[0.1, 0.2], [0.3, 0.4]])?;
        let error = max_error(&want.to_dtype(DType::F32)?, &want)?;
        assert!(error > 0.0 && error < 1e-7, "{error}");
        Ok(())
    }

    #[test]
    fn other_shapes_fail_even_with_equal_elements() -> Result<()> {
        let x = tensor([[1.0, 2.0], [3.0, 4.0]])?;
        let flat = x.flatten_all()?;
        assert_ne!(failure(|| assert_close(&x, &flat, 1.0)), "");
        Ok(())
    }
}
