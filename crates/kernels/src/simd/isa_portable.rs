//! The instruction set of a machine that is not x86-64: pulp's own choice.

use pulp::{Arch, WithSimd};

/// The name of the instruction set in use.
pub fn instruction_set() -> &'static str {
    "portable"
}

/// Asks for the memory of `row` where there is a way to; here is none.
#[inline(always)]
pub(crate) fn prefetch<T>(_: &[T]) {}

/// Runs `op` compiled for the instruction set in use.
#[inline]
pub(super) fn run<Op: WithSimd>(op: Op) -> Op::Output {
    Arch::new().dispatch(op)
}

/// As [`run`].
#[inline]
pub(super) fn run_short<Op: WithSimd>(op: Op) -> Op::Output {
    run(op)
}
