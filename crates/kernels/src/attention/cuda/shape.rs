//! How the kernels cut their work, by the width of heads.

use candle_core::{Result, bail};

use crate::cuda::{Element, Grid};

/// Threads that share a row.
const LANES: u32 = 16;

/// The kernels for heads of one width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernels {
    pub(super) forward: Shape,
    pub(super) by_queries: Shape,
    pub(super) by_keys: Shape,
}

/// One kernel, and what a block of its threads does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// Rows that a block holds.
    pub(super) rows: usize,
    /// Rows of the other kind that it meets at a time.
    inner: usize,
    /// Threads side by side in a column.
    groups: u32,
    /// Most channels of a head.
    width: usize,
    /// How many tensors it has rows of, of each kind.
    tensors: usize,
}

impl Kernels {
    /// Those for heads of `head_dim` channels: the table of `tile.cuh`.
    ///
    /// # Errors
    ///
    /// Fails if heads are wider than those of any kernel.
    pub(super) fn of<T: Element>(head_dim: usize) -> Result<Self> {
        let (width, names) = match head_dim {
            0..=32 => (
                32,
                [
                    "attention_forward_32",
                    "attention_by_queries_32",
                    "attention_by_keys_32",
                ],
            ),
            33..=64 => (
                64,
                [
                    "attention_forward_64",
                    "attention_by_queries_64",
                    "attention_by_keys_64",
                ],
            ),
            65..=128 => (
                128,
                [
                    "attention_forward_128",
                    "attention_by_queries_128",
                    "attention_by_keys_128",
                ],
            ),
            129..=256 => (
                256,
                [
                    "attention_forward_256",
                    "attention_by_queries_256",
                    "attention_by_keys_256",
                ],
            ),
            _ => bail!("attention: head_dim = {head_dim}, on a GPU it is at most 256"),
        };
        let (forward, backward) = match (T::SUFFIX, width) {
            ("f32", 32 | 64) => ((64, 64, 8), (64, 64, 16)),
            ("f32", 128) => ((64, 64, 16), (64, 32, 16)),
            ("f32", _) | (_, 32 | 64 | 128) => ((32, 32, 16), (32, 32, 16)),
            _ => ((32, 32, 16), (32, 16, 16)),
        };
        let shape = |name, (rows, inner, groups), tensors| Shape {
            name,
            rows,
            inner,
            groups,
            width,
            tensors,
        };
        Ok(Self {
            forward: shape(names[0], forward, 1),
            by_queries: shape(names[1], backward, 2),
            by_keys: shape(names[2], backward, 2),
        })
    }
}

impl Shape {
    /// `blocks` blocks of this shape.
    pub(super) fn grid<T: Element>(&self, blocks: usize) -> Grid {
        let &Self {
            rows,
            inner,
            width,
            tensors,
            ..
        } = self;
        let pad = 16 / size_of::<T>();
        let held = tensors * (rows + inner) * (width + pad);
        let tile = rows * (inner + pad);
        let one_a_row = 2 * (rows + inner);
        let positions_and_ends = 3 * (rows + inner) * size_of::<u32>();
        let draws = rows * inner / 4;
        Grid {
            blocks: (blocks, 1),
            threads: (LANES, self.groups),
            shared: (held + tile + one_a_row) * size_of::<T>() + positions_and_ends + draws,
        }
    }
}
