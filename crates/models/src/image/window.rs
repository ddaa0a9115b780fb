//! Patches that read only those near them.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use attn_core::mask::Csr;
use attn_core::{EdgeBias, Mask, Pattern, Position, Rotary};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use encodings::Grid;

use crate::{ConfigError, ImageConfig};

/// Batch sizes whose masks are kept: of training, of evaluation, and the ends of both.
const KEPT: usize = 4;

/// A window on a grid of patches: each reads those at most `reach` rows and `reach`
/// columns away, and itself. A class token reads every row and is read by every row.
///
/// The pairs that read each other are edges, of one kind where they lead the same way
/// equally far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    grid: Grid,
    /// Rows, and columns, that patches reach, no more than there are.
    reach: [usize; 2],
}

impl Window {
    /// The window of a model of images, if it has one.
    ///
    /// # Errors
    ///
    /// If the sizes of images are still left to the data.
    pub fn of(image: &ImageConfig) -> std::result::Result<Option<Self>, ConfigError> {
        let Some(reach) = image.window() else {
            return Ok(None);
        };
        let grid = image.grid()?;
        Ok(Some(Self::new(grid, reach)))
    }

    pub(super) fn new(grid: Grid, reach: usize) -> Self {
        let within = |side: usize| reach.min(side.saturating_sub(1));
        Self {
            grid,
            reach: [within(grid.height), within(grid.width)],
        }
    }

    /// The patches, and the class token before them.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Whether row `i` of an image may read row `j`: the definition.
    pub fn reads(&self, i: usize, j: usize) -> bool {
        let n = self.grid.len();
        if i >= n || j >= n {
            return false;
        }
        match (self.place(i), self.place(j)) {
            (Some(a), Some(b)) => {
                a.0.abs_diff(b.0) <= self.reach[0] && a.1.abs_diff(b.1) <= self.reach[1]
            }
            _ => true,
        }
    }

    /// How many pairs of one image read each other.
    pub fn n_pairs(&self) -> u64 {
        let Grid { height, width, .. } = self.grid;
        let along = |side: usize, reach: usize| -> u64 {
            (0..side)
                .map(|at| near(at, reach, side).count() as u64)
                .sum()
        };
        let patches = along(height, self.reach[0]) * along(width, self.reach[1]);
        let with_class_token = match self.grid.class_token {
            true => 2 * (height * width) as u64 + 1,
            false => 0,
        };
        patches + with_class_token
    }

    /// Kinds of edge: `(2 · rows + 1) · (2 · columns + 1)` steps between patches that are
    /// in reach, row by row; with a class token also from it to a patch, from a patch to
    /// it, and from it to itself.
    pub fn n_kinds(&self) -> usize {
        let [rows, columns] = self.reach;
        let of_class_token = if self.grid.class_token { 3 } else { 0 };
        (2 * rows + 1) * (2 * columns + 1) + of_class_token
    }

    /// Who reads whom in `batch` images.
    ///
    /// # Errors
    ///
    /// If a `u32` cannot number the edges.
    pub fn mask(&self, batch: usize) -> Result<Mask> {
        Ok(self.edges(batch)?.mask)
    }

    fn place(&self, row: usize) -> Option<(usize, usize)> {
        let patch = row.checked_sub(usize::from(self.grid.class_token))?;
        Some((patch / self.grid.width, patch % self.grid.width))
    }

    /// The kind of the edge by which row `i` reads row `j`, which it may.
    fn kind(&self, i: usize, j: usize) -> u32 {
        let [rows, columns] = self.reach;
        let of_patches = (2 * rows + 1) * (2 * columns + 1);
        let kind = match (self.place(i), self.place(j)) {
            (Some(to), Some(from)) => {
                (from.0 + rows - to.0) * (2 * columns + 1) + (from.1 + columns - to.1)
            }
            (Some(_), None) => of_patches,
            (None, Some(_)) => of_patches + 1,
            (None, None) => of_patches + 2,
        };
        kind as u32
    }

    /// The rows that row `i` reads, ascending.
    fn sources(&self, i: usize) -> Vec<usize> {
        let Grid { height, width, .. } = self.grid;
        let first = usize::from(self.grid.class_token);
        let Some((y, x)) = self.place(i) else {
            return (0..self.grid.len()).collect();
        };
        let row = |y: usize| near(x, self.reach[1], width).map(move |x| first + y * width + x);
        let patches = near(y, self.reach[0], height).flat_map(row);
        (0..first).chain(patches).collect()
    }

    /// The edges in `batch` images, one behind the other, and their kinds.
    fn edges(&self, batch: usize) -> Result<Edges> {
        let n_rows = self.grid.len();
        let n_edges = self.n_pairs().saturating_mul(batch as u64);
        if n_edges.max((n_rows * batch) as u64) > u64::from(u32::MAX) {
            bail!(
                "image.window lets the patches of {batch} images read each other {n_edges} \
                 times, more than 2^32 - 1; use a smaller window or batch"
            );
        }
        let (mut offsets, mut sources, mut kinds) = (vec![0], Vec::new(), Vec::new());
        for i in 0..n_rows {
            for j in self.sources(i) {
                sources.push(j as u32);
                kinds.push(self.kind(i, j));
            }
            offsets.push(sources.len() as u32);
        }
        let of_one = sources.len() as u32;
        let repeated = |values: &[u32], step: u32| -> Vec<u32> {
            (0..batch as u32)
                .flat_map(|image| values.iter().map(move |value| value + image * step))
                .collect()
        };
        let mut all = vec![0];
        all.extend(repeated(&offsets[1..], of_one));
        let csr = Csr::new(all, repeated(&sources, n_rows as u32)).map_err(Error::wrap)?;
        let walls: Vec<u32> = (0..=batch as u32).map(|i| i * n_rows as u32).collect();
        Ok(Edges {
            batch,
            mask: Mask::new(Pattern::Edges(csr.into()), walls).map_err(Error::wrap)?,
            kinds: repeated(&kinds, 0).into(),
        })
    }
}

/// The places at most `reach` from `at` on a side.
fn near(at: usize, reach: usize, side: usize) -> RangeInclusive<usize> {
    at.saturating_sub(reach)..=(at + reach).min(side - 1)
}

/// The edges in a number of images.
#[derive(Debug, Clone)]
struct Edges {
    batch: usize,
    mask: Mask,
    kinds: Arc<[u32]>,
}

/// A learnt number for each head and kind of edge, added to the scores along it, beside
/// another encoding: Liu et al. 2021, equation 4 <https://arxiv.org/abs/2103.14030>. It
/// starts at 0.
///
/// Parameters, under the prefix of the builder: `bias`, `[n_heads, n_kinds]`.
#[derive(Debug)]
pub(super) struct Windowed {
    window: Window,
    bias: Tensor,
    beside: Arc<dyn Position>,
    made: Mutex<Vec<Edges>>,
}

impl Windowed {
    pub(super) fn new(
        window: Window,
        n_heads: usize,
        beside: Arc<dyn Position>,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            window,
            bias: vb.get_with_hints((n_heads, window.n_kinds()), "bias", Init::Const(0.0))?,
            beside,
            made: Mutex::new(Vec::new()),
        })
    }

    /// As [`Window::mask`], which is asked for once.
    pub(super) fn mask(&self, batch: usize) -> Result<Mask> {
        Ok(self.of_batch(batch)?.mask)
    }

    /// The edges of `batch` images, made when a batch is first so large.
    fn of_batch(&self, batch: usize) -> Result<Edges> {
        // Entries are whole before they are put in, so a panic elsewhere leaves none behind.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(edges) = made.iter().find(|edges| edges.batch == batch) {
            return Ok(edges.clone());
        }
        let edges = self.window.edges(batch)?;
        if made.len() == KEPT {
            made.remove(0);
        }
        made.push(edges.clone());
        Ok(edges)
    }
}

impl Position for Windowed {
    fn embed(&self, x: &Tensor, mask: &Mask) -> Result<Tensor> {
        self.beside.embed(x, mask)
    }

    fn rotate(&self, mask: &Mask) -> Result<Option<Rotary>> {
        self.beside.rotate(mask)
    }

    /// # Errors
    ///
    /// If `mask` is not that of a batch of images.
    fn edge_bias(&self, mask: &Mask) -> Result<Option<EdgeBias>> {
        let edges = self.of_batch(mask.n_sequences())?;
        Ok(Some(EdgeBias {
            table: self.bias.clone(),
            buckets: edges.kinds,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use attn_core::{NoPosition, ParamStore, attend};
    use candle_core::{DType, Device};
    use testkit::{assert_close, gradcheck_all, oracle, randn, reach};

    use super::*;

    fn windows() -> Vec<Window> {
        let mut windows = Vec::new();
        for (height, width) in [(1, 1), (1, 4), (3, 3), (4, 5)] {
            for reach in [1, 2, 7] {
                for class_token in [false, true] {
                    let grid = Grid {
                        height,
                        width,
                        class_token,
                    };
                    windows.push(Window::new(grid, reach));
                }
            }
        }
        windows
    }

    #[test]
    fn a_patch_reads_those_within_reach_of_its_own_image() -> Result<()> {
        for (height, width, reach) in [(1, 1, 1), (1, 4, 2), (3, 3, 1), (4, 5, 2), (3, 2, 9)] {
            for class_token in [false, true] {
                let grid = Grid {
                    height,
                    width,
                    class_token,
                };
                let window = Window::new(grid, reach);
                let places: Vec<_> = grid.places().collect();
                let mask = window.edges(3)?.mask;
                let n = grid.len();
                assert_eq!((mask.n_queries(), mask.n_sequences()), (3 * n, 3));
                for (i, j) in (0..3 * n).flat_map(|i| (0..3 * n).map(move |j| (i, j))) {
                    let near = match (places[i % n], places[j % n]) {
                        (Some((y, x)), Some((v, u))) => y.abs_diff(v).max(x.abs_diff(u)) <= reach,
                        _ => true,
                    };
                    let want = i / n == j / n && near;
                    assert_eq!(mask.allows(i, j), want, "{window:?} {i} {j}");
                    assert_eq!(window.reads(i % n, j % n), near, "{window:?} {i} {j}");
                }
                assert_eq!(crate::cost::n_pairs(&mask), 3 * window.n_pairs());
            }
        }
        Ok(())
    }

    #[test]
    fn a_kind_is_a_step_and_every_kind_is_there() -> Result<()> {
        for window in windows() {
            let places: Vec<_> = window.grid.places().collect();
            let Edges { mask, kinds, .. } = window.edges(2)?;
            let edges = mask.edges().expect("a mask of edges").clone();
            let (mut steps, mut found) = (HashMap::new(), HashMap::new());
            for i in 0..mask.n_queries() {
                for (edge, &j) in edges.edges(i).zip(edges.sources(i)) {
                    let n = places.len();
                    let step = match (places[i % n], places[j as usize % n]) {
                        (Some((y, x)), Some((v, u))) => {
                            (0, v as i64 - y as i64, u as i64 - x as i64)
                        }
                        (Some(_), None) => (1, 0, 0),
                        (None, Some(_)) => (2, 0, 0),
                        (None, None) => (3, 0, 0),
                    };
                    assert_eq!(*steps.entry(step).or_insert(kinds[edge]), kinds[edge]);
                    assert_eq!(*found.entry(kinds[edge]).or_insert(step), step);
                }
            }
            // A class token beside no other patch still has one to read.
            assert_eq!(found.len(), window.n_kinds(), "{window:?}");
            assert!(found.keys().all(|&kind| (kind as usize) < window.n_kinds()));
        }
        Ok(())
    }

    #[test]
    fn the_bias_is_added_by_step_and_learns() -> Result<()> {
        let grid = Grid {
            height: 3,
            width: 2,
            class_token: true,
        };
        let (window, n_heads) = (Window::new(grid, 1), 2);
        let store = ParamStore::new(1, DType::F64, &Device::Cpu);
        let vb = store.var_builder().pp("window");
        let position = Windowed::new(window, n_heads, Arc::new(NoPosition), vb)?;
        let bias = store.get("window.bias").expect("a table");
        assert_eq!(bias.abs()?.sum_all()?.to_scalar::<f64>()?, 0.0);
        bias.set(&randn(5, bias.shape())?)?;
        let table = bias.to_vec2::<f64>()?;
        let n = grid.len();
        let [q, k, v] = [1, 2, 3].map(|seed| randn(seed, (2 * n, n_heads * 4)));
        let (q, k, v) = (q?, k?, v?);
        let mask = position.mask(2)?;
        let run = || {
            let heads = |x: &Tensor| x.reshape((2 * n, n_heads, 4));
            let y = attend(&heads(&q)?, &heads(&k)?, &heads(&v)?, &mask, &position)?;
            y.flatten_from(1)
        };
        let place = |row: usize| grid.places().nth(row % n).flatten();
        let by_definition = |head: usize, i: usize, j: usize| {
            let kind = match (place(i), place(j)) {
                (Some((y, x)), Some((v, u))) => (v + 1 - y) * 3 + (u + 1 - x),
                (Some(_), None) => 9,
                (None, Some(_)) => 10,
                (None, None) => 11,
            };
            table[head][kind]
        };
        let attention = oracle::Attention {
            n_heads,
            n_kv_heads: n_heads,
            scale: 0.5,
            bias: Some(&by_definition),
            ..Default::default()
        };
        let want = oracle::attention(&q, &k, &v, &attention, |i, j| mask.allows(i, j))?;
        assert_close(&run()?, &want, 1e-12)?;
        gradcheck_all(&[("bias", &bias)], run)?;
        reach(&run()?.sqr()?.sum_all()?, [("bias", &bias)])
    }

    #[test]
    fn masks_are_made_once_and_old_ones_let_go() -> Result<()> {
        let window = windows()[8];
        let store = ParamStore::new(1, DType::F32, &Device::Cpu);
        let position = Windowed::new(window, 1, Arc::new(NoPosition), store.var_builder())?;
        let same = |a: &Edges, b: &Edges| Arc::ptr_eq(&a.kinds, &b.kinds);
        let first = position.of_batch(3)?;
        assert!(same(&first, &position.of_batch(3)?));
        for batch in 4..4 + KEPT {
            position.of_batch(batch)?;
        }
        assert!(!same(&first, &position.of_batch(3)?));
        let huge = Window::new(
            Grid {
                height: 1 << 10,
                width: 1 << 10,
                class_token: false,
            },
            64,
        );
        let said = huge.edges(1).expect_err("too many").to_string();
        assert!(said.contains("use a smaller window or batch"), "{said}");
        Ok(())
    }
}
