//! The binary `train`; everything is in the library.

use std::process::ExitCode;

/// Keeps freed pages: a training step frees and takes the same sizes again and again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    train::cli::main()
}
