//! The binary `train`; everything is in the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc's option `purge_delay`, for which its bindings have no name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    keep_freed_pages();
    train::cli::main()
}

/// A training step frees and takes the same sizes again and again: pages that went back to
/// the system in between would have to be cleared again.
fn keep_freed_pages() {
    // SAFETY: sets one number of a table that the allocator always has; -1 is a value of it.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
}
