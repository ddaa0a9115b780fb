//! How good a model is on a split.

mod table;

use attn_core::mask::Pattern;
use data::{BatchLimit, Samples};
use models::{Evaluation, Model};

use crate::error::Result;

pub use table::table;

/// Measures `model`, whose weights should be detached, on the first `max_batches`
/// batches of `samples`, or on all.
///
/// # Errors
///
/// The samples cannot be read.
pub fn evaluate(
    model: &Model,
    samples: &dyn Samples,
    pattern: &Pattern,
    limit: BatchLimit,
    max_batches: Option<usize>,
) -> Result<Evaluation> {
    let mut total = Evaluation::default();
    let batches = data::pass_of(samples, pattern, limit);
    for batch in batches.take(max_batches.unwrap_or(usize::MAX)) {
        let batch = batch?;
        total += model.evaluate(&batch.input, &batch.mask, &batch.targets)?;
    }
    Ok(total)
}
