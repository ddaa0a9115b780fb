//! Graphs that need no file: made by a recipe, or small enough to write down.

mod karate;
mod random;
mod sbm;

pub(super) use karate::karate;
pub(super) use random::random;
pub(super) use sbm::{cluster, pattern};
