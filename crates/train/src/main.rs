//! The binary `train`; everything is in the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc's options `purge_delay` and `arena_reserve`, for which its bindings have no
/// name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
const ARENA_RESERVE: libmimalloc_sys::mi_option_t = 23;

/// Addresses that are reserved together, in KiB: 96 MiB, or as many as one buffer needs. They
/// stay reserved, so that a freed buffer is found again. In longer stretches buffers of more
/// than 32 MiB leave larger gaps, up to a quarter of the memory; shorter ones have gaps of
/// their own; of 16 GiB together the allocator cannot keep account, and gives large buffers
/// back to the system.
const RESERVED_TOGETHER: std::ffi::c_long = 96 << 10;

/// The allocator reserves its first addresses when it is first asked for memory, which is
/// before `main`; so Linux sets it up with the constructors of the process.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = set_up_allocator;

fn main() -> ExitCode {
    set_up_allocator();
    train::cli::main()
}

/// A training step frees and takes the same sizes again and again: pages that went back to
/// the system in between would have to be cleared again, and sizes that fit into no gap
/// would take new ones.
extern "C" fn set_up_allocator() {
    // SAFETY: sets two numbers of a table that is there from the start of the process, to
    // values that they may have; neither needs anything else to be set up.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
        libmimalloc_sys::mi_option_set(ARENA_RESERVE, RESERVED_TOGETHER);
    }
}
