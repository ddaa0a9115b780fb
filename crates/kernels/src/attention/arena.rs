//! Scratch memory of one thread, kept from task to task.

use std::any::Any;
use std::cell::RefCell;

use crate::Real;

thread_local! {
    /// The arena of the element type that this thread used last.
    static ARENA: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// Elements that pieces are rounded up to: a cache line of `f32`.
const LINE: usize = 16;
const LINE_BYTES: usize = 64;

/// Memory that grows to the largest task. What it holds between tasks means
/// nothing.
#[derive(Default)]
pub(super) struct Arena<T>(Vec<T>);

impl<T: Real> Arena<T> {
    /// Cuts the memory into pieces of the given sizes, each on a cache line.
    pub(super) fn split<const N: usize>(&mut self, sizes: [usize; N]) -> [&mut [T]; N] {
        let total: usize = sizes.iter().map(|size| size.next_multiple_of(LINE)).sum();
        if self.0.len() < total + LINE {
            self.0 = vec![T::zero(); total + LINE];
        }
        // At most a line; only speed depends on it.
        let skip = self.0.as_ptr().align_offset(LINE_BYTES).min(LINE);
        let mut rest = &mut self.0[skip..];
        sizes.map(|size| {
            let (piece, after) =
                std::mem::take(&mut rest).split_at_mut(size.next_multiple_of(LINE));
            rest = after;
            &mut piece[..size]
        })
    }
}

/// Lends this thread's arena to `work`.
pub(super) fn with_arena<T: Real, R>(work: impl FnOnce(&mut Arena<T>) -> R) -> R {
    let kept = ARENA.take().and_then(|arena| arena.downcast().ok());
    let mut arena: Box<Arena<T>> = kept.unwrap_or_else(|| Box::new(Arena(Vec::new())));
    let result = work(&mut arena);
    ARENA.set(Some(arena));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_on_cache_lines_and_do_not_overlap() {
        let mut arena = Arena(Vec::<f32>::new());
        for sizes in [[3, 16, 17], [100, 0, 5]] {
            let pieces = arena.split(sizes);
            for (fill, piece) in pieces.into_iter().enumerate() {
                assert_eq!(piece.as_ptr().align_offset(LINE_BYTES), 0);
                piece.fill(fill as f32);
            }
            for (fill, (piece, size)) in arena.split(sizes).into_iter().zip(sizes).enumerate() {
                assert_eq!(piece, vec![fill as f32; size]);
            }
        }
    }
}
