//! Batches made ahead of time.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use crate::{Batch, Loader, Result};

/// Makes the batches that follow a position on another thread.
///
/// Yields exactly what [`Loader::batch`] gives for `start`, [`Loader::next`] of it, ...:
/// a batch is a pure function of its position, so the thread can change
/// when a batch is made, never what is in it. It stops when this is dropped.
///
/// Ends after an error, or if the thread could not be started or died.
pub struct Prefetch {
    batches: Receiver<Result<Batch>>,
}

impl Prefetch {
    /// Starts after `start` samples, at most `ahead` batches in front.
    pub fn new(loader: Loader, start: u64, ahead: usize) -> std::io::Result<Self> {
        let (sender, batches) = sync_channel(ahead);
        thread::Builder::new()
            .name("prefetch".into())
            .spawn(move || {
                let mut position = start;
                loop {
                    let batch = loader.batch(position);
                    let failed = batch.is_err();
                    if sender.send(batch).is_err() || failed {
                        return;
                    }
                    position = loader.next(position);
                }
            })?;
        Ok(Self { batches })
    }
}

impl Iterator for Prefetch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.recv().ok()
    }
}
