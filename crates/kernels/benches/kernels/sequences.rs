//! Operations on sequences and grids: recurrent cells, windows, alignments.

use std::sync::Arc;

use candle_core::Result;
use criterion::{Criterion, Throughput};
use kernels::{
    Ctc, Direction, Grid, LabelSequences, Window, WindowPool, Windows, ctc_loss, gru, lstm, unfold,
    window_pool,
};

use crate::{both, var};

/// Sequences, and rows of each.
const BATCH: usize = 16;
const LEN: usize = 256;
/// Width of a state.
const D: usize = 128;

pub(crate) fn bench(criterion: &mut Criterion) {
    all(criterion).expect("variables fit in memory");
}

fn all(criterion: &mut Criterion) -> Result<()> {
    let n = BATCH * LEN;
    let rows = Throughput::Elements(n as u64);
    let walls: Arc<[u32]> = (0..=n as u32).step_by(LEN).collect();

    let (x, w) = (var(0, &[n, 3 * D])?, var(1, &[3 * D, D])?);
    both(criterion, "gru B16 T256", rows.clone(), || {
        gru(&x, &w, None, &walls, Direction::Forward)
    });
    let (x, w) = (var(2, &[n, 4 * D])?, var(3, &[4 * D, D])?);
    both(criterion, "lstm B16 T256", rows.clone(), || {
        lstm(&x, &w, None, &walls, Direction::Forward)
    });

    let x = var(4, &[n, D])?;
    let windows = Windows::over_segments(walls.clone(), Window::around(3, 2))?;
    both(criterion, "windows of 3 rows", rows.clone(), || {
        unfold(&x, &windows)
    });
    let (grid, window) = (
        Grid {
            height: 16,
            width: 16,
        },
        Window::around(3, 1),
    );
    let windows = Windows::over_grid(BATCH, grid, window, window)?;
    both(criterion, "windows of 3 by 3 pixels", rows.clone(), || {
        unfold(&x, &windows)
    });
    let window = Window::inside(2, 2);
    let windows = Windows::over_grid(BATCH, grid, window, window)?;
    both(criterion, "largest of 2 by 2 pixels", rows.clone(), || {
        window_pool(&x, &windows, WindowPool::Max)
    });

    let logits = var(5, &[n, 32])?;
    let labels: Vec<u32> = (0..n / 8).map(|i| 1 + i as u32 * 7 % 31).collect();
    let ends: Vec<u32> = (1..=BATCH).map(|i| (i * LEN / 8) as u32).collect();
    let targets = LabelSequences {
        labels: &labels,
        ends: &ends,
    };
    both(criterion, "ctc B16 T256 of 32 labels", rows, || {
        ctc_loss(&logits, &walls, targets, &Ctc::default())
    });
    Ok(())
}
