//! Tables that are computed as far as someone asked for.

use std::sync::{Mutex, PoisonError};

use candle_core::Result;

/// A table over positions `0..n`, remade for twice the length when it is too short.
#[derive(Debug)]
pub(crate) struct Grown<T>(Mutex<Option<(usize, T)>>);

impl<T: Clone> Grown<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The table for at least `n` positions, and for how many it is.
    pub(crate) fn up_to(&self, n: usize, make: impl Fn(usize) -> Result<T>) -> Result<(usize, T)> {
        // The value is replaced whole, so a panic elsewhere cannot have left half of one.
        let mut grown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*grown {
            Some((length, table)) if *length >= n => Ok((*length, table.clone())),
            _ => {
                let length = n.next_power_of_two();
                let table = make(length)?;
                *grown = Some((length, table.clone()));
                Ok((length, table))
            }
        }
    }
}
