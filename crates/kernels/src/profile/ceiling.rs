//! What this machine can do at most, measured.

use std::time::Instant;

use crate::Precision;
use crate::add::add_to;
use crate::gemm::{Mat, product};

/// Side lengths of a product that is large enough to show the machine's rate.
const SIZES: (usize, usize, usize) = (2048, 2048, 1024);
/// Numbers of each operand of the sum: 256 MiB of them, more than any cache.
const LENGTH: usize = 1 << 26;
/// Measurements, of which the best counts: others only ever take time away.
const TRIES: usize = 5;

/// Rates of the machine, with all threads of the current pool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceiling {
    /// Additions and multiplications a second, in a large `f32` matrix product.
    pub flops: f64,
    /// Bytes a second, read and written, in a sum of long vectors.
    pub bytes: f64,
}

/// Measures the machine: half a second and half a gibibyte.
pub fn ceiling() -> Ceiling {
    let (m, n, k) = SIZES;
    let (a, b) = (vec![0.5f32; m * k], vec![0.25f32; k * n]);
    let seconds = best(|| {
        drop(product(
            Precision::F32,
            Mat::new(&a, m, k),
            Mat::new(&b, k, n),
        ))
    });
    let flops = 2.0 * (m * n * k) as f64 / seconds;
    let (mut sum, term) = (vec![0f32; LENGTH], vec![1f32; LENGTH]);
    let seconds = best(|| add_to(&mut sum, &term));
    // Both are read, one is written.
    let bytes = 3.0 * size_of_val(&sum[..]) as f64 / seconds;
    Ceiling { flops, bytes }
}

/// Seconds of the fastest of several calls, after one that is not counted.
fn best(mut work: impl FnMut()) -> f64 {
    work();
    let seconds = (0..TRIES).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}
