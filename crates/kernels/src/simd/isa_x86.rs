//! The instruction set of an x86-64 machine, looked up once.

use std::sync::OnceLock;

use pulp::x86::{V3, V4};
use pulp::{Scalar, Simd, WithSimd};

#[derive(Clone, Copy, Debug)]
enum Isa {
    Scalar,
    Avx2(V3),
    Avx512(V4, V3),
}

fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| {
        let wanted = std::env::var("KERNELS_ISA").unwrap_or_default();
        let avx512 = V4::try_new().filter(|_| !matches!(wanted.as_str(), "scalar" | "avx2"));
        let avx2 = V3::try_new().filter(|_| wanted != "scalar");
        match (avx512, avx2) {
            (Some(set), Some(short)) => Isa::Avx512(set, short),
            (None, Some(set)) => Isa::Avx2(set),
            (_, None) => Isa::Scalar,
        }
    })
}

/// The name of the instruction set in use: `avx512`, `avx2` or `scalar`.
pub fn instruction_set() -> &'static str {
    match isa() {
        Isa::Scalar => "scalar",
        Isa::Avx2(_) => "avx2",
        Isa::Avx512(..) => "avx512",
    }
}

/// Asks for the memory of `row`, which will be read soon.
///
/// Into the second cache: the first is too small for what is asked ahead, and would lose
/// what is being worked on.
#[inline(always)]
pub(crate) fn prefetch<T>(row: &[T]) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    const LINE: usize = 64;
    let start = row.as_ptr().cast::<i8>();
    for offset in (0..size_of_val(row)).step_by(LINE) {
        // SAFETY: `offset` is below the bytes of `row`; the instruction is part of
        // every x86-64, and changes nothing that a program can see.
        unsafe { _mm_prefetch(start.add(offset), _MM_HINT_T1) };
    }
}

/// Runs `op` compiled for the instruction set in use.
#[inline]
pub(super) fn run<Op: WithSimd>(op: Op) -> Op::Output {
    match isa() {
        Isa::Scalar => Simd::vectorize(Scalar::new(), op),
        Isa::Avx2(set) => Simd::vectorize(set, op),
        Isa::Avx512(set, _) => Simd::vectorize(set, op),
    }
}

/// As [`run`], on vectors of 256 bits at most. Proofs need not be fast, and each
/// instruction set makes the program larger.
#[inline]
pub(super) fn run_short<Op: WithSimd>(op: Op) -> Op::Output {
    match isa() {
        Isa::Scalar => Simd::vectorize(Scalar::new(), op),
        Isa::Avx2(set) | Isa::Avx512(_, set) => Simd::vectorize(set, op),
    }
}
