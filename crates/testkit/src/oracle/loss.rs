//! Softmax and cross-entropy.

use candle_core::{Result, Tensor};

use super::rows::rows;

/// `e^(xᵢ) / Σⱼ e^(xⱼ)`; zeros for a row that is `−∞` throughout.
pub fn softmax(x: &[f64]) -> Vec<f64> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return vec![0.0; x.len()];
    }
    let sum: f64 = x.iter().map(|x| (x - max).exp()).sum();
    x.iter().map(|x| (x - max).exp() / sum).collect()
}

/// `xᵢ − ln Σⱼ e^(xⱼ)`
pub fn log_softmax(x: &[f64]) -> Vec<f64> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = max + x.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
    x.iter().map(|x| x - log_sum).collect()
}

/// Cross-entropy of each row: `−(1 − s) ln p(target) − s/classes · Σ ln p`, with `p`
/// the softmax of the row and `s` the label smoothing; zero where the target is
/// `ignore_index`.
///
/// # Shapes
///
/// - `logits`: `[n, classes]`
/// - `targets`: `[n]`, each below `classes` or `ignore_index`
/// - returns: `[n]`
///
/// # Errors
///
/// Those of the conversion from a tensor.
pub fn cross_entropy_rows(
    logits: &Tensor,
    targets: &[u32],
    ignore_index: u32,
    label_smoothing: f64,
) -> Result<Vec<f64>> {
    let logits = rows(logits)?;
    assert_eq!(logits.len(), targets.len(), "one target a row");
    let loss = |(logits, &target): (&Vec<f64>, &u32)| {
        if target == ignore_index {
            return 0.0;
        }
        let log_p = log_softmax(logits);
        let uniform = log_p.iter().sum::<f64>() / log_p.len() as f64;
        -(1.0 - label_smoothing) * log_p[target as usize] - label_smoothing * uniform
    };
    Ok(logits.iter().zip(targets).map(loss).collect())
}

/// Mean of [`cross_entropy_rows`] over the rows that are not ignored, as PyTorch's
/// `cross_entropy`; NaN when all are.
///
/// # Shapes
///
/// - `logits`: `[n, classes]`
/// - `targets`: `[n]`, each below `classes` or `ignore_index`
///
/// # Errors
///
/// Those of the conversion from a tensor.
pub fn cross_entropy(
    logits: &Tensor,
    targets: &[u32],
    ignore_index: u32,
    label_smoothing: f64,
) -> Result<f64> {
    let losses = cross_entropy_rows(logits, targets, ignore_index, label_smoothing)?;
    let counted = targets
        .iter()
        .filter(|&&target| target != ignore_index)
        .count();
    Ok(losses.iter().sum::<f64>() / counted as f64)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const IGNORED: u32 = u32::MAX;

    fn assert_near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-15, "got {got:.17}, want {want:.17}");
    }

    /// Rows with the probabilities ¼ ¾, ½ ½ and ⅕ ⅘.
    fn logits() -> Result<Tensor> {
        Tensor::new(
            &[[0.0, 3f64.ln()], [7.0, 7.0], [0.0, 4f64.ln()]],
            &Device::Cpu,
        )
    }

    #[test]
    fn softmax_has_the_values_computed_by_hand() {
        for (got, want) in softmax(&[0.0, 3f64.ln(), f64::NEG_INFINITY])
            .iter()
            .zip([0.25, 0.75, 0.0])
        {
            assert_near(*got, want);
        }
        for (got, want) in log_softmax(&[1000.0, 1000.0]).iter().zip([0.5f64.ln(); 2]) {
            assert!((got - want).abs() < 1e-12, "{got} at a thousand");
        }
        assert_eq!(softmax(&[f64::NEG_INFINITY; 3]), [0.0; 3]);
    }

    #[test]
    fn cross_entropy_is_the_mean_over_rows_that_count() -> Result<()> {
        let got = cross_entropy(&logits()?, &[0, IGNORED, 1], IGNORED, 0.0)?;
        assert_near(got, (4f64.ln() + 1.25f64.ln()) / 2.0);
        let rows = cross_entropy_rows(&logits()?, &[0, IGNORED, 1], IGNORED, 0.0)?;
        assert_eq!(rows[1], 0.0);
        Ok(())
    }

    #[test]
    fn label_smoothing_mixes_in_the_mean_over_classes() -> Result<()> {
        let got = cross_entropy(&logits()?, &[0, IGNORED, IGNORED], IGNORED, 0.1)?;
        let (target, other) = (4f64.ln(), (4.0f64 / 3.0).ln());
        assert_near(got, 0.9 * target + 0.1 * (target + other) / 2.0);
        Ok(())
    }

    #[test]
    fn a_batch_without_a_target_has_no_mean() -> Result<()> {
        assert!(cross_entropy(&logits()?, &[IGNORED; 3], IGNORED, 0.0)?.is_nan());
        Ok(())
    }
}
