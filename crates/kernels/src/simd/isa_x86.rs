//! The instruction set of an x86-64 machine, looked up once.

use std::sync::OnceLock;

use pulp::x86::{V3, V4};
use pulp::{Scalar, Simd, WithSimd};

#[derive(Clone, Copy, Debug)]
enum Isa {
    Scalar,
    Avx2(V3),
    Avx512(V4),
}

fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| {
        let wanted = std::env::var("KERNELS_ISA").unwrap_or_default();
        let avx512 = V4::try_new().filter(|_| !matches!(wanted.as_str(), "scalar" | "avx2"));
        let avx2 = V3::try_new().filter(|_| wanted != "scalar");
        match (avx512, avx2) {
            (Some(set), _) => Isa::Avx512(set),
            (None, Some(set)) => Isa::Avx2(set),
            (None, None) => Isa::Scalar,
        }
    })
}

/// The name of the instruction set in use: `avx512`, `avx2` or `scalar`.
pub fn instruction_set() -> &'static str {
    match isa() {
        Isa::Scalar => "scalar",
        Isa::Avx2(_) => "avx2",
        Isa::Avx512(_) => "avx512",
    }
}

/// Runs `op` compiled for the instruction set in use.
#[inline]
pub(super) fn run<Op: WithSimd>(op: Op) -> Op::Output {
    match isa() {
        Isa::Scalar => Simd::vectorize(Scalar::new(), op),
        Isa::Avx2(set) => Simd::vectorize(set, op),
        Isa::Avx512(set) => Simd::vectorize(set, op),
    }
}
