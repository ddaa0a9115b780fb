//! What layers are told about a batch, beside its rows.

use crate::{Mask, NoPosition, Pass, Position};

/// Who may attend to whom, where the rows stand, and whether the pass trains.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Who may attend to whom.
    pub mask: &'a Mask,
    /// How position is told.
    pub position: &'a dyn Position,
    /// Whether the pass trains, and what dropout draws.
    pub pass: Pass,
}

impl<'a> Context<'a> {
    /// Evaluation without a position encoding.
    pub fn eval(mask: &'a Mask) -> Self {
        Self {
            mask,
            position: &NoPosition,
            pass: Pass::eval(),
        }
    }
}
