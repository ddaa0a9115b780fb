//! Cross-entropy in which every class of a batch weighs as much as another.

use attn_core::IGNORED;
use candle_core::{Result, Tensor, bail};

use crate::objective::LossOptions;

/// `Σ wᵢ · loss(i) / divisor` with `w = n / (n_present · n_class)`, where `n_class` counts
/// the targets of the class of `i` and `n_present` the classes that the batch has: the
/// weights of Dwivedi et al. 2020, §4.1 <https://arxiv.org/abs/2003.00982>, but for a
/// factor that lets their mean be 1.
///
/// # Shapes
///
/// - `logits`: `[n, n_classes]`
/// - `targets`: `[n]`
/// - returns: a scalar
pub(super) fn balanced_loss(
    logits: &Tensor,
    targets: &[u32],
    options: LossOptions,
) -> Result<Tensor> {
    let (n, n_classes) = logits.dims2()?;
    let mut counts = vec![0usize; n_classes];
    for &class in targets.iter().filter(|&&class| class != IGNORED) {
        match counts.get_mut(class as usize) {
            Some(count) => *count += 1,
            None => bail!("class {class} is not below {n_classes}"),
        }
    }
    let n_present = counts.iter().filter(|&&count| count > 0).count();
    let n_targets: usize = counts.iter().sum();
    if targets.len() != n {
        bail!("{n} rows, but {} targets", targets.len());
    }
    let mut wanted = vec![0f32; n * n_classes];
    let on = 1.0 - options.label_smoothing;
    let off = options.label_smoothing / n_classes as f64;
    for (row, &class) in wanted.chunks_exact_mut(n_classes).zip(targets) {
        if class == IGNORED {
            continue;
        }
        let weight = n_targets as f64 / (n_present * counts[class as usize]) as f64;
        row.fill((weight * off) as f32);
        row[class as usize] += (weight * on) as f32;
    }
    let wanted = Tensor::from_vec(wanted, (n, n_classes), logits.device())?;
    let wanted = wanted.to_dtype(logits.dtype())?;
    let log_probabilities = candle_nn::ops::log_softmax(logits, 1)?;
    let divisor = options.divisor.unwrap_or(n_targets as f64);
    (log_probabilities * wanted)?.sum_all()? * (-1.0 / divisor)
}

#[cfg(test)]
mod tests {
    use candle_core::Var;
    use testkit::gradcheck;

    use super::*;

    #[test]
    fn classes_weigh_the_same_and_the_gradient_is_right() -> Result<()> {
        let logits = testkit::randn(5, (6, 3))?;
        let targets = [0, 0, 0, 2, IGNORED, 0];
        let options = LossOptions::default();
        let got: f64 = balanced_loss(&logits, &targets, options)?.to_scalar()?;
        let rows = logits.to_vec2::<f64>()?;
        let surprise = |i: usize| {
            let sum: f64 = rows[i].iter().map(|x| x.exp()).sum();
            sum.ln() - rows[i][targets[i] as usize]
        };
        let first = [0, 1, 2, 5].map(surprise).iter().sum::<f64>() / 4.0;
        let want = (first + surprise(3)) / 2.0;
        assert!((got - want).abs() < 1e-6, "{got} {want}");
        let x = Var::from_tensor(&logits)?;
        gradcheck(&x, |x| balanced_loss(x, &targets, options))
    }
}
