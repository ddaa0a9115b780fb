//! Calls that may panic, made harmless.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`; a panic in it becomes an `Err` with its message, and is not printed.
///
/// The tokenizers crate panics on settings that it does not check (its issues 2094
/// and 2198, among others), and so may a decoder of pictures. What `f` changes must
/// not be used after a panic; here `f` only reads, or builds something that is then
/// dropped.
pub(crate) fn contain<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    let outer = SILENT.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    SILENT.set(outer);
    result.map_err(|payload| message(&*payload))
}

/// A hook that is quiet on a thread inside [`contain`], else the one before.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !SILENT.get() {
                previous(info);
            }
        }));
    });
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    // One line, as errors are.
    text.unwrap_or("panicked")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_on_one_line() {
        assert_eq!(contain(|| 3), Ok(3));
        let caught = contain(|| panic!("left: {}\n right: 2", 1));
        assert_eq!(caught, Err("left: 1 right: 2".to_string()));
        let index = [0u8; 2].len();
        assert!(contain(|| [1, 2][index]).is_err_and(|m| m.contains("out of bounds")));
    }
}
