//! The message with which a check fails, for the tests of the checks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::Result;

/// What `check` panicked with, or the empty string if it did not.
pub(crate) fn failure(check: impl FnOnce() -> Result<()>) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(check)) else {
        return String::new();
    };
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic
            .downcast_ref::<&str>()
            .copied()
            .unwrap_or("neither a String nor a str")
            .to_string(),
    }
}
