//! A panic that reaches the top is a bug of ours, told in one line.

use std::{
    env,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Mutex,
};

use crate::config::one_line;

/// The newest panic, shown only if nothing on the way up contains it.
static LATEST: Mutex<Option<String>> = Mutex::new(None);

/// Runs `work`; if it panics, returns the line to show instead of its result.
///
/// With `RUST_BACKTRACE` set, the usual report and backtrace are printed as well.
pub(super) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let usual = panic::take_hook();
    let verbose = env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    panic::set_hook(Box::new(move |info| {
        if verbose {
            usual(info);
        }
        *LATEST
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(describe(info));
    }));
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        let latest = LATEST
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
        let what = latest.unwrap_or_else(|| "unknown".into());
        format!("internal: {what}; please report it, with RUST_BACKTRACE=1")
    })
}

/// `message (file:line)`
fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("panic without a message");
    match info.location() {
        Some(place) => one_line(&format!("{message} ({}:{})", place.file(), place.line())),
        None => one_line(message),
    }
}
