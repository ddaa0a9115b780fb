//! The memory of attention is linear in the length, and in the number of edges; that of
//! checkpointed layers grows with the depth by their inputs alone.
//!
//! Alone in its binary: it counts every allocation of the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Result, Tensor, Var};
use kernels::{
    Activation, Attention, EdgeAttention, Edges, FlatGrads, Spans, attention_packed, checkpoint,
    edge_attention_packed, linear,
};

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

/// The most bytes that a step on `n` rows takes, beyond its input and what `prepare`
/// makes.
fn step<S>(
    n: usize,
    prepare: impl Fn() -> Result<S>,
    attend: impl Fn(&Tensor, S) -> Result<Tensor>,
) -> Result<usize> {
    let qkv = testkit::randn(1, (n, WIDTH))?.to_dtype(DType::F32)?;
    let qkv = Var::from_tensor(&qkv)?;
    let settings = prepare()?;
    let before = IN_USE.load(Relaxed);
    MOST.store(before, Relaxed);
    attend(&qkv, settings)?.backward()?;
    Ok(MOST.load(Relaxed) - before)
}

/// As [`step`], where a row reads `left` rows before it and `right` after it.
fn banded(n: usize, left: u32, right: u32) -> Result<usize> {
    let spans = || {
        let rows = 0..n as u32;
        Spans::new(vec![(rows.clone(), rows)], |i, _| {
            i.saturating_sub(left)..i + right + 1
        })
    };
    step(n, spans, |qkv, spans| {
        attention_packed(qkv, &Attention::new(N_HEADS, HEAD_DIM, Arc::new(spans)))
    })
}

/// As [`step`], where each row reads `degree` random ones.
fn along(n: usize, degree: usize) -> Result<usize> {
    let edges = || {
        let offsets = (0..=n).map(|i| (i * degree) as u32).collect::<Vec<_>>();
        Edges::new(offsets, testkit::rand_ids(2, n * degree, n as u32), n)
    };
    step(n, edges, |qkv, edges| {
        edge_attention_packed(qkv, &EdgeAttention::new(N_HEADS, HEAD_DIM, Arc::new(edges)))
    })
}

/// Tests of one binary run side by side: one at a time counts. It runs on one thread, for
/// each of them keeps scratch of its own from the first piece of work that it gets, and
/// which gets one, and when, is chance.
fn alone(test: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    static COUNTING: Mutex<()> = Mutex::new(());
    let _alone = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    one.expect("a thread").install(test)
}

/// Bytes of the input of a step.
fn input(n: usize) -> usize {
    n * WIDTH * size_of::<f32>()
}

#[test]
fn twice_the_length_takes_at_most_twice_the_memory() -> Result<()> {
    alone(|| {
        for window in [u32::MAX, 100] {
            let [short, long] = [4096, 8192];
            // The scratch of the thread stays, and is no part of what grows.
            banded(short, window, 0)?;
            let (at_short, at_long) = (banded(short, window, 0)?, banded(long, window, 0)?);
            assert!(
                at_long <= 2 * at_short + (1 << 16),
                "{at_short} and {at_long} bytes"
            );
            // Results, gradients, and what Candle's walk adds for a variable: copies of
            // the input. The weights of one head would be 85 of them.
            let input = input(long);
            assert!(
                at_long < 6 * input,
                "{at_long} bytes for an input of {input}"
            );
        }
        Ok(())
    })
}

#[test]
fn a_band_grows_with_its_length_from_one_thousand_rows_to_sixty_four() -> Result<()> {
    alone(|| {
        banded(1000, 16, 16)?;
        let mut before = banded(1000, 16, 16)?;
        for n in [2000, 4000, 8000, 16_000, 32_000, 64_000] {
            let now = banded(n, 16, 16)?;
            assert!(now <= 2 * before + (1 << 16), "{n}: {before}, {now} bytes");
            assert!(now < 6 * input(n), "{now} bytes for {n} rows");
            before = now;
        }
        Ok(())
    })
}

#[test]
fn edges_take_no_memory_but_that_of_their_rows() -> Result<()> {
    alone(|| {
        let n = 4096;
        along(n, 4)?;
        let (few, twice, many) = (along(n, 4)?, along(2 * n, 4)?, along(n, 64)?);
        assert!(twice <= 2 * few + (1 << 16), "{few} and {twice} bytes");
        // Sixteen times the edges, for which a number an edge and head would be 2 MB;
        // only scratch of some more pieces of work may be added.
        assert!(many <= few + (1 << 16), "{few} and {many} bytes");
        assert!(many < 6 * input(n), "{many} bytes");
        Ok(())
    })
}

/// The most bytes that a step through `n_layers` checkpointed layers on `n` rows takes:
/// attention, and a map that is four times as wide inside.
fn layers(n: usize, n_layers: usize) -> Result<usize> {
    let d = N_HEADS * HEAD_DIM;
    let random = |seed, rows, columns| -> Result<Var> {
        Var::from_tensor(&testkit::randn(seed, (rows, columns))?.to_dtype(DType::F32)?)
    };
    let (project, up) = (random(1, WIDTH, d)?, random(2, 4 * d, d)?);
    let (down, head) = (random(3, d, 4 * d)?, random(4, 1, d)?);
    let rows = 0..n as u32;
    let spans = Arc::new(Spans::new(vec![(rows.clone(), rows)], |i, _| 0..i + 1)?);
    let weights = [&project, &up, &down].map(|var| var.as_tensor().clone());
    let layer = move |x: &Tensor| {
        let [project, up, down] = &weights;
        let qkv = linear(x, project, None, None, None)?;
        let attention = Attention::new(N_HEADS, HEAD_DIM, spans.clone());
        let x = attention_packed(&qkv, &attention)?;
        let inner = linear(&x, up, None, Some(Activation::GeluTanh), None)?;
        linear(&inner, down, None, None, Some(&x))
    };
    let first = random(5, n, d)?;
    let mut slots = FlatGrads::new([&project, &up, &down, &head, &first])?;
    let before = IN_USE.load(Relaxed);
    MOST.store(before, Relaxed);
    let mut x = first.as_tensor().clone();
    for _ in 0..n_layers {
        let (layer, input) = (layer.clone(), x.clone());
        x = checkpoint(&[&x], move || layer(&input))?;
    }
    let mean = |x: &Tensor| {
        let column = linear(x, &head, None, None, None)?;
        kernels::segment_pool(&column, [0, n as u32].into(), kernels::Pool::Mean)
    };
    let loss = mean(&x)?;
    drop(x);
    slots.backward(loss)?;
    Ok(MOST.load(Relaxed) - before)
}

#[test]
fn checkpointed_layers_keep_their_inputs_alone() -> Result<()> {
    alone(|| {
        let n = 2048;
        layers(n, 2)?;
        let (few, many) = (layers(n, 4)?, layers(n, 12)?);
        let input = n * N_HEADS * HEAD_DIM * size_of::<f32>();
        // Kept, a layer would hold thirteen times its input.
        assert!(
            many <= few + 8 * input + (1 << 16),
            "{few} and {many} bytes, inputs of {input}"
        );
        Ok(())
    })
}
