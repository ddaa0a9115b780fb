//! What is minimised, and what is measured.

use std::sync::Arc;

use attn_core::{IGNORED, Linear, Targets};
use candle_core::{DType, Result, Tensor, bail};
use kernels::{CrossEntropy, Score};

use crate::evaluation::{Confusion, Evaluation, Outcome};

/// How targets become one number.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LossOptions {
    /// Share of each target's probability that is spread over all classes; in `[0, 1)`.
    pub label_smoothing: f64,
    /// What the sum is divided by; `None` for the number of targets that count. With
    /// gradient accumulation, the number in all micro-batches together.
    pub divisor: Option<f64>,
}

/// Cross-entropy of the rows of `head(x)`.
///
/// Where samples were mixed, the mean of the losses at both classes, weighted by their
/// shares: Zhang et al. 2018 <https://arxiv.org/abs/1710.09412>.
///
/// # Shapes
///
/// - `x`: `[n, d_model]`
/// - `targets`: classes, `[n]`
/// - returns: a scalar
pub(crate) fn loss(
    head: &Linear,
    x: &Tensor,
    targets: &Targets,
    options: LossOptions,
) -> Result<Tensor> {
    let LossOptions {
        label_smoothing,
        divisor,
    } = options;
    let objective = CrossEntropy {
        ignore_index: Some(IGNORED),
        label_smoothing,
        divisor,
    };
    match targets {
        Targets::Classes(classes) => {
            let (weight, bias) = (head.weight(), head.bias());
            kernels::linear_cross_entropy(x, weight, bias, classes.clone(), &objective)
        }
        Targets::Mixed {
            first,
            second,
            share,
        } => mixed_loss(head, x, [first, second], share, &objective),
        other => bail!("a choice among classes cannot be trained on {other:?}"),
    }
}

/// `Σ share · loss(first) + (1 − share) · loss(second)` over the divisor.
fn mixed_loss(
    head: &Linear,
    x: &Tensor,
    [first, second]: [&Arc<[u32]>; 2],
    share: &[f32],
    objective: &CrossEntropy,
) -> Result<Tensor> {
    let log_probabilities = candle_nn::ops::log_softmax(&head.forward_with(x, None, None)?, 1)?;
    let (n, n_classes) = log_probabilities.dims2()?;
    let on = 1.0 - objective.label_smoothing;
    let off = objective.label_smoothing / n_classes as f64;
    let mut wanted = vec![0f32; n * n_classes];
    for (i, row) in wanted.chunks_exact_mut(n_classes).enumerate() {
        let (a, b) = (first[i] as usize, second[i] as usize);
        if a >= n_classes || b >= n_classes {
            bail!("classes {a} and {b} are not below {n_classes}");
        }
        row.fill(off as f32);
        row[a] += on as f32 * share[i];
        row[b] += on as f32 * (1.0 - share[i]);
    }
    let wanted = Tensor::from_vec(wanted, (n, n_classes), x.device())?.to_dtype(x.dtype())?;
    let divisor = objective.divisor.unwrap_or(n as f64);
    (log_probabilities * wanted)?.sum_all()? * (-1.0 / divisor)
}

/// Sums over the rows of `head(x)`, without smoothing and without telling classes apart:
/// for a vocabulary.
///
/// # Shapes
///
/// - `x`: `[n, d_model]`
/// - `targets`: `[n]`
pub(crate) fn evaluate_tokens(head: &Linear, x: &Tensor, targets: &[u32]) -> Result<Evaluation> {
    let objective = CrossEntropy {
        ignore_index: Some(IGNORED),
        label_smoothing: 0.0,
        divisor: None,
    };
    let score =
        kernels::linear_cross_entropy_eval(x, head.weight(), head.bias(), targets, &objective)?;
    let Score {
        loss,
        n_valid,
        n_correct,
    } = score;
    Ok(Evaluation {
        loss_sum: loss,
        n_targets: n_valid,
        n_correct,
        outcome: Outcome::Tokens,
    })
}

/// How often each class was taken for each, and the surprise, without smoothing.
///
/// # Shapes
///
/// - `logits`: `[n, n_classes]`
/// - `targets`: classes, `[n]`
pub(crate) fn evaluate_classes(logits: &Tensor, targets: &Targets) -> Result<Evaluation> {
    let Targets::Classes(classes) = targets else {
        bail!("a choice among classes cannot be measured on {targets:?}");
    };
    let rows = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    if rows.len() != classes.len() {
        bail!("{} answers, but {} targets", rows.len(), classes.len());
    }
    let mut confusion = Confusion::new(logits.dim(1)?);
    let mut sum = Evaluation::default();
    for (row, &class) in rows.iter().zip(&**classes) {
        if class == IGNORED {
            continue;
        }
        let Some(&score) = row.get(class as usize) else {
            bail!("class {class} is not below {}", row.len());
        };
        let (answer, top) = likeliest(row);
        let log_sum = row.iter().map(|x| (x - top).exp()).sum::<f64>().ln() + top;
        sum.loss_sum += log_sum - score;
        sum.n_targets += 1;
        sum.n_correct += usize::from(answer == class as usize);
        confusion.note(class as usize, answer);
    }
    sum.outcome = Outcome::Classes(confusion);
    Ok(sum)
}

/// The first of the greatest numbers, and its place; `-∞` at 0 where none is a number.
fn likeliest(row: &[f64]) -> (usize, f64) {
    let start = (0, f64::NEG_INFINITY);
    row.iter()
        .enumerate()
        .fold(start, |best, (i, &x)| match x > best.1 {
            true => (i, x),
            false => best,
        })
}

#[cfg(test)]
mod tests {
    use attn_core::ParamStore;
    use candle_core::Device;
    use candle_nn::Init;

    use super::*;

    fn head(n_classes: usize) -> Result<(Linear, Tensor)> {
        let store = ParamStore::new(7, DType::F64, &Device::Cpu);
        let init = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        let head = Linear::new(3, n_classes, true, init, store.var_builder())?;
        let x = testkit::randn(3, (4, 3))?;
        Ok((head, x))
    }

    fn scalar(x: Tensor) -> f64 {
        x.to_scalar().unwrap()
    }

    #[test]
    fn a_mixture_of_one_class_is_that_class() -> Result<()> {
        let (head, x) = head(5)?;
        let options = LossOptions {
            label_smoothing: 0.1,
            divisor: Some(3.0),
        };
        let classes: Arc<[u32]> = [0, 4, 2, 1].into();
        let plain = loss(&head, &x, &Targets::Classes(classes.clone()), options)?;
        for share in [0.0, 0.25, 1.0] {
            let mixed = Targets::Mixed {
                first: classes.clone(),
                second: classes.clone(),
                share: [share; 4].into(),
            };
            let mixed = loss(&head, &x, &mixed, options)?;
            // Shares are `f32`.
            assert!((scalar(mixed) - scalar(plain.clone())).abs() < 1e-6);
        }
        Ok(())
    }

    #[test]
    fn a_mixture_weighs_the_losses_of_its_classes() -> Result<()> {
        let (head, x) = head(3)?;
        let [a, b]: [Arc<[u32]>; 2] = [[0, 1, 2, 0].into(), [1, 1, 0, 2].into()];
        let of = |targets| {
            Ok::<_, candle_core::Error>(scalar(loss(&head, &x, &targets, LossOptions::default())?))
        };
        let mixed = of(Targets::Mixed {
            first: a.clone(),
            second: b.clone(),
            share: [0.25; 4].into(),
        })?;
        let want = 0.25 * of(Targets::Classes(a))? + 0.75 * of(Targets::Classes(b))?;
        assert!((mixed - want).abs() < 1e-9, "{mixed} {want}");
        Ok(())
    }

    #[test]
    fn classes_are_measured_as_the_kernel_measures_tokens() -> Result<()> {
        let (head, x) = head(5)?;
        let targets = [3, IGNORED, 0, 2];
        let tokens = evaluate_tokens(&head, &x, &targets)?;
        let logits = head.forward_with(&x, None, None)?;
        let classes = evaluate_classes(&logits, &Targets::Classes(targets.into()))?;
        assert!((tokens.loss_sum - classes.loss_sum).abs() < 1e-9);
        assert_eq!(tokens.n_correct, classes.n_correct);
        assert_eq!((tokens.n_targets, classes.n_targets), (3, 3));
        assert!(evaluate_classes(&logits, &Targets::Classes([9, 0, 0, 0].into())).is_err());
        Ok(())
    }
}
