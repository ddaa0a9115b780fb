//! The matrix products of a step, shape by shape, and what each can do alone.

use std::time::{Duration, Instant};

use crate::Precision;
use crate::gemm::{Mat, MatMut, gemm};

/// Bytes of operands that are gone through before any is met again: more than the caches
/// have.
const MORE_THAN_CACHES: usize = 128 << 20;
/// Most sets of operands, whatever they hold.
const MOST_SETS: usize = 1024;
/// The least time of a measurement, so that the clock's own does not matter.
const LEAST: Duration = Duration::from_millis(5);
/// Measurements, of which the best counts.
const TRIES: usize = 5;

/// A product of an `m × k` and a `k × n` matrix, and how they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// Whether the columns, not the rows, of the left and of the right matrix lie together.
    pub turned: [bool; 2],
    /// How it is multiplied.
    pub precision: Precision,
}

/// All products of one shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Products {
    /// Their shape.
    pub shape: Shape,
    /// How many there were.
    pub calls: usize,
    /// Their time.
    pub time: Duration,
}

/// Where a product that is measured alone finds its operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operands {
    /// The same ones again and again.
    InCache,
    /// Others every time, until the caches have forgotten the first.
    InMemory,
}

impl Shape {
    /// Additions and multiplications.
    pub fn flops(&self) -> f64 {
        2.0 * self.m as f64 * self.n as f64 * self.k as f64
    }

    /// Additions and multiplications a second of this product of `f32` alone, with all
    /// threads of the current pool.
    pub fn alone(&self, operands: Operands) -> f64 {
        let Self { m, n, k, .. } = *self;
        let numbers = m * k + k * n + m * n;
        let sets = match operands {
            Operands::InCache => 1,
            Operands::InMemory => MORE_THAN_CACHES.div_ceil(4 * numbers).min(MOST_SETS),
        };
        let mut sets: Vec<[Vec<f32>; 3]> = (0..sets)
            .map(|_| [vec![0.5; m * k], vec![0.25; k * n], vec![0.0; m * n]])
            .collect();
        let [left, right] = self.turned;
        let mut multiply = |[a, b, c]: &mut [Vec<f32>; 3]| {
            let a = match left {
                true => Mat::new(a, k, m).t(),
                false => Mat::new(a, m, k),
            };
            let b = match right {
                true => Mat::new(b, n, k).t(),
                false => Mat::new(b, k, n),
            };
            gemm(self.precision, MatMut::new(c, m, n), false, a, b);
        };
        sets.iter_mut().for_each(&mut multiply);
        let fastest = (0..TRIES).map(|_| {
            let start = Instant::now();
            let mut calls = 0;
            while start.elapsed() < LEAST {
                sets.iter_mut().for_each(&mut multiply);
                calls += sets.len();
            }
            start.elapsed().as_secs_f64() / calls as f64
        });
        self.flops() / fastest.fold(f64::INFINITY, f64::min)
    }
}
