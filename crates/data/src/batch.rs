//! What a model is given for one step.

use std::sync::Arc;

use attn_core::{Input, Mask, Pattern, Targets};

use crate::{Error, Result};

/// Samples packed one after the other, with what they should predict.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The packed rows of all samples.
    pub input: Input,
    /// What each row may read, with walls between the samples.
    pub mask: Mask,
    /// The right answers.
    pub targets: Targets,
}

impl Batch {
    /// Packs samples that end at `ends` in the rows of `input`.
    ///
    /// # Errors
    ///
    /// If there are more rows than 32 bits count, or `pattern` is for other walls.
    pub fn pack(
        input: Input,
        ends: &[usize],
        targets: impl Into<Targets>,
        pattern: &Pattern,
    ) -> Result<Self> {
        let positions = input.n_rows();
        if u32::try_from(positions).is_err() {
            return Err(Error::BatchTooLarge { positions });
        }
        let walls = std::iter::once(0).chain(ends.iter().map(|&end| end as u32));
        let mask = Mask::new(pattern.clone(), walls.collect::<Arc<[u32]>>())?;
        Ok(Self {
            input,
            mask,
            targets: targets.into(),
        })
    }

    /// Packs token sequences that end at `ends` in `tokens`.
    ///
    /// # Errors
    ///
    /// As [`Batch::pack`].
    pub fn of_tokens(
        tokens: Vec<u32>,
        ends: &[usize],
        targets: Vec<u32>,
        pattern: &Pattern,
    ) -> Result<Self> {
        Self::pack(Input::Tokens(tokens.into()), ends, targets, pattern)
    }

    /// Targets that count in the loss.
    pub fn n_targets(&self) -> usize {
        self.targets.count()
    }

    /// Rows in all samples together.
    pub fn n_positions(&self) -> usize {
        self.input.n_rows()
    }
}
