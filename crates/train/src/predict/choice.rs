//! From scores to classes with their probabilities.

use candle_core::{D, DType, Tensor};
use serde_json::{Map, Value};

use super::damaged;
use crate::error::Result;

/// One choice among classes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    /// The likeliest class; of equally likely ones, the first.
    pub(super) label: String,
    /// Probability of each class, in the order of the model.
    pub(super) probabilities: Map<String, Value>,
}

/// The choice of each row of `logits`, `[n, n_classes]`.
///
/// # Errors
///
/// A probability that is no number: the weights are damaged.
pub(super) fn choices(logits: &Tensor, labels: &[String]) -> Result<Vec<Choice>> {
    let rows =
        candle_nn::ops::softmax(&logits.to_dtype(DType::F64)?, D::Minus1)?.to_vec2::<f64>()?;
    let choice = |row: Vec<f64>| {
        // A model may have more classes than labels: nobody knows what they are called.
        let mut probabilities = Map::new();
        let mut likeliest = (f64::NEG_INFINITY, "");
        for (label, p) in labels.iter().zip(row) {
            if !p.is_finite() {
                return Err(damaged(p));
            }
            probabilities.insert(label.clone(), p.into());
            if p > likeliest.0 {
                likeliest = (p, label);
            }
        }
        Ok(Choice {
            label: likeliest.1.to_owned(),
            probabilities,
        })
    };
    rows.into_iter().map(choice).collect()
}
