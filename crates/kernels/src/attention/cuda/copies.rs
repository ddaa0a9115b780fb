//! Copies on a GPU of what spans and positions say, made once and read by all layers of a step.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::DeviceId;
use candle_core::{CudaDevice, Result};

use crate::Spans;
use crate::cuda::Buffer;

/// How many copies are kept: a step of a model needs the ends, three lists of tasks, and the
/// positions of queries and keys for each encoding.
const MOST: usize = 16;

/// Numbers of a task: `first, end, low, high, base`, as in `tile.cuh`.
pub(super) const TASK: usize = 5;

/// Copies of what belongs to spans, on the GPUs where it was asked for. It is no part of their
/// value: all are equal, and a clone starts without any.
#[derive(Debug, Default)]
pub(crate) struct Copies(Mutex<Vec<Copy>>);

#[derive(Debug)]
struct Copy {
    of: Original,
    device: DeviceId,
    numbers: Arc<Buffer<u32>>,
}

/// What is copied.
#[derive(Debug, Clone)]
pub(super) enum Original {
    /// The starts of all spans, then their ends.
    Ends,
    /// The queries in blocks of so many rows, and the keys that each block reads.
    Queries(usize),
    /// The keys in blocks of so many rows, and the queries that read each block.
    Keys(usize),
    /// These numbers. While a copy is kept, so are they: nothing else can come to lie there.
    Positions(Arc<[u32]>),
}

impl PartialEq for Copies {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Copies {}

impl Clone for Copies {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Copies {
    /// The copy of `of` on `device`; of `spans`, if it is a part of them, whose copies these are.
    pub(super) fn get(
        &self,
        device: &CudaDevice,
        spans: &Spans,
        of: Original,
    ) -> Result<Arc<Buffer<u32>>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held
            .iter()
            .find(|copy| copy.device == device.id() && copy.of.is(&of));
        if let Some(known) = known {
            return Ok(known.numbers.clone());
        }
        let numbers = Arc::new(match &of {
            Original::Ends => Buffer::from_host(device, &ends(spans))?,
            Original::Queries(rows) => Buffer::from_host(device, &query_tasks(spans, *rows))?,
            Original::Keys(rows) => Buffer::from_host(device, &key_tasks(spans, *rows))?,
            Original::Positions(positions) => Buffer::from_host(device, positions)?,
        });
        if held.len() == MOST {
            held.remove(0);
        }
        held.push(Copy {
            of,
            device: device.id(),
            numbers: numbers.clone(),
        });
        Ok(numbers)
    }
}

impl Original {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ends, Self::Ends) => true,
            (Self::Queries(a), Self::Queries(b)) | (Self::Keys(a), Self::Keys(b)) => a == b,
            (Self::Positions(a), Self::Positions(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

fn ends(spans: &Spans) -> Vec<u32> {
    let all = || (0..spans.n_queries()).map(|i| spans.keys(i));
    let starts = all().map(|keys| keys.start as u32);
    starts.chain(all().map(|keys| keys.end as u32)).collect()
}

/// Blocks lie within segments, so that what a query gives does not depend on other segments.
fn query_tasks(spans: &Spans, rows: usize) -> Vec<u32> {
    let mut tasks = Vec::new();
    for (queries, keys) in spans.segments() {
        for first in queries.clone().step_by(rows) {
            let end = queries.end.min(first + rows as u32);
            let low = spans.keys(first as usize).start as u32;
            let high = spans.keys(end as usize - 1).end as u32;
            tasks.push([first, end, low, high, keys.start]);
        }
    }
    longest_first(tasks)
}

fn key_tasks(spans: &Spans, rows: usize) -> Vec<u32> {
    let mut tasks = Vec::new();
    for (queries, keys) in spans.segments() {
        for first in keys.clone().step_by(rows) {
            let end = keys.end.min(first + rows as u32);
            let low = first_of(queries, |i| spans.keys(i).end > first as usize);
            let high = first_of(&(low..queries.end), |i| spans.keys(i).start >= end as usize);
            tasks.push([first, end, low, high, keys.start]);
        }
    }
    longest_first(tasks)
}

/// The first of `rows` for which `is` holds, which it then does for all that follow.
fn first_of(rows: &std::ops::Range<u32>, is: impl Fn(usize) -> bool) -> u32 {
    let (mut low, mut high) = (rows.start, rows.end);
    while low < high {
        let middle = low + (high - low) / 2;
        match is(middle as usize) {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    low
}

/// So that no long task is the last one to start.
fn longest_first(mut tasks: Vec<[u32; TASK]>) -> Vec<u32> {
    tasks.sort_by_key(|[_, _, low, high, _]| Reverse(high.saturating_sub(*low)));
    tasks.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_cover_all_pairs_of_a_span() -> Result<()> {
        let spans = Spans::new(
            vec![(0..5, 0..7), (5..5, 7..9), (5..8, 9..9), (8..12, 9..13)],
            |i, keys| {
                let i = i % 8;
                keys.start + i / 2..keys.start + i + 1
            },
        )?;
        for rows in [1, 2, 3, 64] {
            let pairs = |tasks: Vec<u32>, by_keys: bool| {
                let mut met = Vec::new();
                for task in tasks.chunks_exact(TASK) {
                    for a in task[0]..task[1] {
                        for b in task[2]..task[3] {
                            let (i, j) = if by_keys { (b, a) } else { (a, b) };
                            if spans.keys(i as usize).contains(&(j as usize)) {
                                met.push((i, j));
                            }
                        }
                    }
                }
                met.sort_unstable();
                met
            };
            let of_query = |i: u32| spans.keys(i as usize).map(move |j| (i, j as u32));
            let want: Vec<_> = (0..12).flat_map(of_query).collect();
            assert_eq!(pairs(query_tasks(&spans, rows), false), want);
            assert_eq!(pairs(key_tasks(&spans, rows), true), want);
            let rows_of = |tasks: Vec<u32>| {
                let mut rows: Vec<_> = tasks.chunks_exact(TASK).flat_map(|t| t[0]..t[1]).collect();
                rows.sort_unstable();
                rows
            };
            assert!(rows_of(query_tasks(&spans, rows)).into_iter().eq(0..12));
            assert!(rows_of(key_tasks(&spans, rows)).into_iter().eq(0..13));
        }
        Ok(())
    }
}
