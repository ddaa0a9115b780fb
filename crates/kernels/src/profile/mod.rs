//! Where the time of a step goes: which operation, which pass, and what it could cost.
//!
//! A thread that called [`start`] keeps one clock. [`mark`] ends a stretch of time and
//! says whose it was, so the rows of a profile add up to the time between [`start`] and
//! [`finish`]: what lies between two operations counts with the second. Threads that
//! only help with an operation keep no clock, and without [`start`] a mark costs one
//! look at a thread-local.

mod ceiling;
mod products;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use candle_core::Tensor;

pub use ceiling::{Ceiling, ceiling};
pub use products::{Operands, Products, Shape};

/// The part of a step that a stretch of time belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// From inputs to the loss.
    Forward,
    /// From the loss to the gradients.
    Backward,
    /// Clipping, optimiser, averages.
    Update,
}

/// All stretches of one operation in one phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name of the operation.
    pub name: &'static str,
    /// Which part of a step.
    pub phase: Phase,
    /// Number of stretches.
    pub calls: usize,
    /// Their time.
    pub time: Duration,
    /// The part of it that was spent in matrix products, and in what is done to their rows
    /// on the way (bias, activation, residual).
    pub products: Duration,
    /// Additions and multiplications of products and of attention.
    pub flops: f64,
    /// Bytes of all operands, each read or written once.
    pub bytes: f64,
}

/// What a thread measured between [`start`] and [`finish`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// Operations, in the order in which they first occurred.
    pub operations: Vec<Row>,
    /// Shapes of matrix products, likewise.
    pub products: Vec<Products>,
}

/// Starts the clock of this thread, forgetting what it had measured.
pub fn start() {
    PROFILE.set(Some(Profile {
        measured: Measured::default(),
        last: Instant::now(),
        pending: Work::default(),
    }));
}

/// Stops the clock of this thread. Nothing was measured if it was not started.
pub fn finish() -> Measured {
    PROFILE
        .take()
        .map_or_else(Measured::default, |profile| profile.measured)
}

/// Ends a stretch of time, which was that of `name`.
pub fn mark(name: &'static str, phase: Phase) {
    with(|profile| profile.mark(name, phase));
}

/// Adds `products` products of `width` numbers for each pair to the stretch that runs.
pub(crate) fn count_pairs(products: u32, width: usize, n_pairs: impl FnOnce() -> u64) {
    with(|profile| {
        profile.pending.flops += 2.0 * f64::from(products) * width as f64 * n_pairs() as f64;
    });
}

/// Adds operands to the stretch that runs.
pub(crate) fn count_bytes<'a>(operands: impl IntoIterator<Item = &'a Tensor>) {
    with(|profile| {
        let bytes = |x: &Tensor| (x.elem_count() * x.dtype().size_in_bytes()) as f64;
        profile.pending.bytes += operands.into_iter().map(bytes).sum::<f64>();
    });
}

/// Does a product of `shape`, and adds its time and arithmetic to the stretch that runs.
pub(crate) fn product<R>(shape: Shape, work: impl FnOnce() -> R) -> R {
    if PROFILE.with_borrow(Option::is_none) {
        return work();
    }
    let start = Instant::now();
    let result = work();
    with(|profile| {
        let time = start.elapsed();
        profile.pending.products += time;
        profile.pending.flops += shape.flops();
        profile.measured.count(shape, time);
    });
    result
}

thread_local! {
    static PROFILE: RefCell<Option<Profile>> = const { RefCell::new(None) };
}

fn with(act: impl FnOnce(&mut Profile)) {
    PROFILE.with_borrow_mut(|profile| profile.as_mut().map(act));
}

impl Measured {
    fn count(&mut self, shape: Shape, time: Duration) {
        let same = |products: &&mut Products| products.shape == shape;
        match self.products.iter_mut().find(same) {
            Some(products) => {
                products.calls += 1;
                products.time += time;
            }
            None => self.products.push(Products {
                shape,
                calls: 1,
                time,
            }),
        }
    }
}

struct Profile {
    measured: Measured,
    /// When the stretch that runs began.
    last: Instant,
    pending: Work,
}

/// What was done in the stretch that runs.
#[derive(Default)]
struct Work {
    products: Duration,
    flops: f64,
    bytes: f64,
}

impl Profile {
    fn mark(&mut self, name: &'static str, phase: Phase) {
        let now = Instant::now();
        let time = now - std::mem::replace(&mut self.last, now);
        let work = std::mem::take(&mut self.pending);
        let same = |row: &Row| row.name == name && row.phase == phase;
        let rows = &mut self.measured.operations;
        let at = rows.iter().position(same).unwrap_or_else(|| {
            rows.push(Row {
                name,
                phase,
                calls: 0,
                time: Duration::ZERO,
                products: Duration::ZERO,
                flops: 0.0,
                bytes: 0.0,
            });
            rows.len() - 1
        });
        let row = &mut rows[at];
        row.calls += 1;
        row.time += time;
        row.products += work.products;
        row.flops += work.flops;
        row.bytes += work.bytes;
    }
}

#[cfg(test)]
mod tests;
