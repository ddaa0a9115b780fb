//! Rows before the rows of every segment (class tokens), as one of our nodes.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor, bail};

use crate::Real;
use crate::parallel::{rows_mut, rows_new};
use crate::simd::write;
use crate::storage::{same_dtype, values, with_real};
use crate::tape::{Backward, Node, record};

/// `[first; x₀; first; x₁; …]`: puts the rows `first` before each of `n` equal segments of
/// `x`, as class tokens are (Devlin et al. 2018, §3 <https://arxiv.org/abs/1810.04805>).
///
/// # Shapes
///
/// - `first`: each `[1, d]`, contiguous
/// - `x`: `[n · rows, d]`, contiguous
/// - returns: `[n · (first.len() + rows), d]`
///
/// # Errors
///
/// Fails if widths or types differ, or if `x` does not fall into `n` equal segments.
pub fn prepend_rows(first: &[&Tensor], x: &Tensor, n: usize) -> Result<Tensor> {
    let (rows, d) = x.dims2()?;
    if n == 0 || !rows.is_multiple_of(n) {
        bail!("prepend: {rows} rows are not {n} equal segments");
    }
    if let Some(row) = first.iter().find(|row| row.dims() != [1, d]) {
        bail!("prepend: {:?} before rows of {d} numbers", row.shape());
    }
    same_dtype(x, first.iter().copied())?;
    let args: Vec<&Tensor> = first.iter().copied().chain([x]).collect();
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return with_real!(x, T => cuda::prepend_rows::<T>(device, &args, n));
    }
    with_real!(x, T => {
        let mut head = Vec::with_capacity(first.len() * d);
        for row in first {
            head.extend_from_slice(&values::<T>(row)?);
        }
        let segment = rows / n * d;
        let wide = head.len() + segment;
        let node = Prepend::<T> { head: head.len(), segment, elem: std::marker::PhantomData };
        let x = values::<T>(x)?;
        let joined = rows_new(n * wide, wide, |at, joined| {
            for (i, joined) in (at..).zip(joined.chunks_exact_mut(wide)) {
                let (to_head, to_rows) = joined.split_at_mut(head.len());
                to_head.copy_from_slice(&head);
                to_rows.copy_from_slice(&x[i * segment..][..segment]);
            }
        });
        drop(x);
        record(node, &args, joined, (n * first.len() + rows, d))
    })
}

/// Arguments: the first rows, then those of the segments.
struct Prepend<T> {
    /// Numbers of the first rows, and of the rows of a segment.
    head: usize,
    segment: usize,
    elem: std::marker::PhantomData<T>,
}

impl<T: Real> Node for Prepend<T> {
    fn name(&self) -> &'static str {
        "prepend"
    }

    /// Segments get their rows, a first row the sum over all segments.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let grad = values::<T>(pass.grad)?;
        let (head, segment) = (self.head, self.segment);
        let wide = head + segment;
        let n_first = pass.args.len() - 1;
        let mut grads = Vec::with_capacity(n_first + 1);
        for i in 0..n_first {
            let d = head / n_first;
            grads.push(pass.deliver(i, |into: &mut [T], accumulate| {
                let mut rows = grad.chunks_exact(wide).map(|all| &all[i * d..][..d]);
                if !accumulate {
                    into.copy_from_slice(rows.next().expect("there is a segment"));
                }
                rows.for_each(|row| write(row, into, true));
                Ok(())
            })?);
        }
        grads.push(pass.deliver(n_first, |into: &mut [T], accumulate| {
            rows_mut(into, segment, |at, into| {
                for (i, into) in (at..).zip(into.chunks_exact_mut(segment)) {
                    write(&grad[i * wide + head..][..segment], into, accumulate);
                }
            });
            Ok(())
        })?);
        Ok(grads)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Var};
    use testkit::{assert_close, gradcheck_all, randn, reach};

    use super::*;

    #[test]
    fn every_segment_begins_with_the_first_rows() -> Result<()> {
        for (n_first, n, rows, d) in [(1, 1, 1, 1), (2, 3, 4, 5), (1, 40, 49, 128), (0, 2, 3, 4)] {
            let first: Vec<Tensor> = (0..n_first)
                .map(|i| randn(i, (1, d)))
                .collect::<Result<_>>()?;
            let x = randn(9, (n * rows, d))?;
            let mut parts = Vec::new();
            for segment in 0..n {
                parts.extend(first.iter().cloned());
                parts.push(x.narrow(0, segment * rows, rows)?);
            }
            let want = Tensor::cat(&parts, 0)?;
            let first: Vec<&Tensor> = first.iter().collect();
            assert_close(&prepend_rows(&first, &x, n)?, &want, 0.0)?;
        }
        Ok(())
    }

    #[test]
    fn gradients_are_right_and_arrive() -> Result<()> {
        let var = |seed, rows| Var::from_tensor(&randn(seed, (rows, 3))?);
        let (a, b, x) = (var(1, 1)?, var(2, 1)?, var(3, 8)?);
        let inputs = [("a", &a), ("b", &b), ("x", &x)];
        gradcheck_all(&inputs, || prepend_rows(&[&a, &b], &x, 4))?;
        gradcheck_all(&[("a", &a)], || prepend_rows(&[&a, &a], &a, 1))?;
        reach(&prepend_rows(&[&a, &b], &x, 4)?.sqr()?.sum_all()?, inputs)
    }

    #[test]
    fn other_shapes_and_types_are_errors() -> Result<()> {
        let (row, x) = (randn(1, (1, 3))?, randn(2, (6, 3))?);
        assert!(prepend_rows(&[&row], &x, 4).is_err());
        assert!(prepend_rows(&[&row], &x, 0).is_err());
        assert!(prepend_rows(&[&x], &x, 2).is_err());
        assert!(prepend_rows(&[&row.to_dtype(DType::F32)?], &x, 2).is_err());
        Ok(())
    }
}
