//! Bounds of values, and the sentence that names what lies outside.

use std::{fmt::Display, ops::RangeInclusive};

/// A value that a table refuses; displays as `key = value …; remedy`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Invalid(pub(super) String);

/// `value` if `range` has it.
pub(super) fn within<T>(key: &str, value: T, range: RangeInclusive<T>) -> Result<T, Invalid>
where
    T: PartialOrd + Display + Copy,
{
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = range.into_inner();
    Err(Invalid(format!(
        "{key} = {value} is out of range; use {least} to {most}"
    )))
}

/// `value` if it is a fraction, from 0 up to but not 1.
pub(super) fn fraction(key: &str, value: f64) -> Result<f64, Invalid> {
    if (0.0..1.0).contains(&value) {
        return Ok(value);
    }
    Err(Invalid(format!(
        "{key} = {value} is out of range; use 0 up to, but not including, 1"
    )))
}

/// `value` if it lies between `0`, which is not allowed, and `most`, which is.
pub(super) fn positive(key: &str, value: f64, most: f64) -> Result<f64, Invalid> {
    if value > 0.0 && value <= most {
        return Ok(value);
    }
    Err(Invalid(format!(
        "{key} = {value} is out of range; use more than 0, at most {most}"
    )))
}
