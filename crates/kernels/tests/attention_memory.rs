//! The memory of attention is linear in the length.
//!
//! Alone in its binary: it counts every allocation of the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use candle_core::{DType, Result, Var};
use kernels::{Attention, Spans, attention_packed};

/// The system's allocator, with the bytes that are in use and the most there were.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every request goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(
            IN_USE.fetch_add(layout.size(), Relaxed) + layout.size(),
            Relaxed,
        );
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const N_HEADS: usize = 2;
const HEAD_DIM: usize = 16;
const WIDTH: usize = 3 * N_HEADS * HEAD_DIM;

/// The most bytes that a step on `n` rows takes, beyond its input.
fn step(n: usize, window: u32) -> Result<usize> {
    let qkv = testkit::randn(1, (n, WIDTH))?.to_dtype(DType::F32)?;
    let qkv = Var::from_tensor(&qkv)?;
    let rows = 0..n as u32;
    let spans = Spans::new(vec![(rows.clone(), rows)], |i, _| {
        i.saturating_sub(window)..i + 1
    })?;
    let before = IN_USE.load(Relaxed);
    MOST.store(before, Relaxed);
    let y = attention_packed(&qkv, &Attention::new(N_HEADS, HEAD_DIM, Arc::new(spans)))?;
    y.backward()?;
    Ok(MOST.load(Relaxed) - before)
}

#[test]
fn twice_the_length_takes_at_most_twice_the_memory() -> Result<()> {
    for window in [u32::MAX, 100] {
        let [short, long] = [4096, 8192];
        // The scratch of each thread stays, and is no part of what grows.
        step(short, window)?;
        let (at_short, at_long) = (step(short, window)?, step(long, window)?);
        assert!(
            at_long <= 2 * at_short + (1 << 16),
            "{at_short} and {at_long} bytes"
        );
        // Results, gradients, and what Candle's walk adds for a variable: copies of the
        // input. The weights of one head would be 85 of them.
        let input = long * WIDTH * size_of::<f32>();
        assert!(
            at_long < 6 * input,
            "{at_long} bytes for an input of {input}"
        );
    }
    Ok(())
}
