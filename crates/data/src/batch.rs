//! What a model is given for one step.

use std::sync::Arc;

use attn_core::{Mask, Pattern};

use crate::{Error, Result};

/// A target that no loss is taken of.
pub const IGNORED: u32 = u32::MAX;

/// What goes into the model, one row a position.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Features {
    /// Token ids, `[n]`.
    Tokens(Arc<[u32]>),
}

/// Samples packed one after the other, with what they should predict.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The packed positions of all samples, `n` rows.
    pub features: Features,
    /// What each position may read, with walls between the samples.
    pub mask: Mask,
    /// One target a token (language model) or a segment (classifier).
    pub targets: Arc<[u32]>,
}

impl Batch {
    /// Packs token sequences that end at `ends` in `tokens`.
    ///
    /// # Errors
    ///
    /// If there are more positions than 32 bits count, or `pattern` is for other walls.
    pub fn of_tokens(
        tokens: Vec<u32>,
        ends: &[usize],
        targets: Vec<u32>,
        pattern: &Pattern,
    ) -> Result<Self> {
        let positions = tokens.len();
        if u32::try_from(positions).is_err() {
            return Err(Error::BatchTooLarge { positions });
        }
        let walls = std::iter::once(0).chain(ends.iter().map(|&end| end as u32));
        let mask = Mask::new(pattern.clone(), walls.collect::<Arc<[u32]>>())?;
        Ok(Self {
            features: Features::Tokens(tokens.into()),
            mask,
            targets: targets.into(),
        })
    }

    /// Targets that count in the loss.
    pub fn n_targets(&self) -> usize {
        self.targets
            .iter()
            .filter(|&&target| target != IGNORED)
            .count()
    }

    /// Positions in all samples together.
    pub fn n_positions(&self) -> usize {
        match &self.features {
            Features::Tokens(tokens) => tokens.len(),
        }
    }
}
