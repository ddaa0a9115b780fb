//! Windows that slide over sequences and images: convolution and pooling without a
//! convolution.
//!
//! [`unfold`] puts the rows that a window covers side by side, so that a convolution is
//! `linear(unfold(x, windows), w)`; [`window_pool`] takes their maximum or mean. Both
//! read packed rows, and neither reads across a wall.

mod cpu;
mod grid;
mod place;
mod segment;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use crate::Real;
use crate::storage::{buffer, tensor, values, with_real};
use crate::tape::{Backward, Node, record, tracked};
use grid::GridWindows;
use place::Places;
use segment::SegmentWindows;

pub use grid::Grid;

/// Widest window and stride: far beyond use, and no sum of two overflows.
const MAX_WIDTH: usize = 1 << 24;

/// How a window lies along one axis.
///
/// Window `i` covers the positions from `i · stride − before`, `width` of them. There are
/// as many windows as fit into the positions with `before` and `after` more at the ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Positions that it covers.
    pub width: usize,
    /// Positions from one window to the next.
    pub stride: usize,
    /// Positions that the first window may reach out in front; below `width`.
    pub before: usize,
    /// Positions that the last window may reach out behind; below `width`.
    pub after: usize,
}

impl Window {
    /// Windows that lie inside the positions.
    pub fn inside(width: usize, stride: usize) -> Self {
        Self {
            width,
            stride,
            before: 0,
            after: 0,
        }
    }

    /// A window around every `stride`-th position, in its middle if `width` is odd.
    pub fn around(width: usize, stride: usize) -> Self {
        Self {
            width,
            stride,
            before: (width.max(1) - 1) / 2,
            after: width / 2,
        }
    }

    /// A window of every `stride`-th position and those in front of it, none behind.
    pub fn past(width: usize, stride: usize) -> Self {
        Self {
            width,
            stride,
            before: width.max(1) - 1,
            after: 0,
        }
    }

    /// How many windows lie over `n` positions; none over none.
    pub fn count(self, n: usize) -> usize {
        match (n + self.before + self.after).checked_sub(self.width) {
            Some(room) if n > 0 => room / self.stride + 1,
            _ => 0,
        }
    }

    fn check(self) -> Result<Self> {
        let Self {
            width,
            stride,
            before,
            after,
        } = self;
        if width == 0 || stride == 0 {
            bail!("windows: width = {width} and stride = {stride} must be at least 1");
        }
        if width.max(stride) > MAX_WIDTH {
            bail!("windows: width = {width} and stride = {stride} must be at most {MAX_WIDTH}");
        }
        if before >= width || after >= width {
            bail!(
                "windows: before = {before} and after = {after} must be below width = {width}, \
                 or a window covers nothing"
            );
        }
        Ok(self)
    }
}

/// Windows over all rows of a batch: which rows each of them covers.
///
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Windows(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Segments(Arc<SegmentWindows>),
    Grid(GridWindows),
}

impl Windows {
    /// Windows along packed sequences, which end at the walls `cu_seqlens`, `[batch + 1]`.
    ///
    /// # Errors
    ///
    /// Fails if the walls do not rise from 0, the width or the stride is 0, or a window
    /// may lie outside altogether.
    pub fn over_segments(cu_seqlens: Arc<[u32]>, window: Window) -> Result<Self> {
        let windows = SegmentWindows::new(cu_seqlens, window.check()?)?;
        Ok(Self(Kind::Segments(Arc::new(windows))))
    }

    /// Windows over `n_images` images of equal size, whose pixels are the rows, line by
    /// line.
    ///
    /// # Errors
    ///
    /// As [`Windows::over_segments`]; and if there are more pixels than a `u32` counts.
    pub fn over_grid(n_images: usize, grid: Grid, down: Window, across: Window) -> Result<Self> {
        let windows = GridWindows::new(n_images, grid, down.check()?, across.check()?)?;
        Ok(Self(Kind::Grid(windows)))
    }

    /// How many windows there are: the rows of a result.
    pub fn len(&self) -> usize {
        self.place(|places| places.n_windows())
    }

    /// Whether there is no window at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rows each of them covers, those outside counted.
    pub fn n_taps(&self) -> usize {
        self.place(|places| places.n_taps())
    }

    /// The walls between the windows: one segment for each sequence or image.
    pub fn cu_seqlens(&self) -> Arc<[u32]> {
        match &self.0 {
            Kind::Segments(windows) => windows.cu_windows().clone(),
            Kind::Grid(windows) => windows.cu_windows(),
        }
    }

    /// The grid of the windows of one image; `None` over sequences.
    pub fn grid(&self) -> Option<Grid> {
        match &self.0 {
            Kind::Segments(_) => None,
            Kind::Grid(windows) => Some(windows.grid()),
        }
    }

    fn place<R>(&self, f: impl FnOnce(&dyn Sizes) -> R) -> R {
        match &self.0 {
            Kind::Segments(windows) => f(&**windows),
            Kind::Grid(windows) => f(windows),
        }
    }

    fn check(&self, name: &str, x: &Tensor) -> Result<(usize, usize)> {
        let (n, d) = x.dims2()?;
        let n_rows = self.place(|places| places.n_rows());
        if n != n_rows {
            bail!("{name}: the windows lie over {n_rows} rows, x has {n}");
        }
        Ok((n, d))
    }
}

/// The sizes that [`Places`] has, for any of its implementations.
trait Sizes {
    fn n_rows(&self) -> usize;
    fn n_windows(&self) -> usize;
    fn n_taps(&self) -> usize;
}

impl<P: Places> Sizes for P {
    fn n_rows(&self) -> usize {
        Places::n_rows(self)
    }

    fn n_windows(&self) -> usize {
        Places::n_windows(self)
    }

    fn n_taps(&self) -> usize {
        Places::n_taps(self)
    }
}

/// Runs `$body` with `$places` bound to the windows, whatever they lie over.
macro_rules! with_places {
    ($windows:expr, $places:ident => $body:expr) => {
        match &$windows.0 {
            Kind::Segments(places) => {
                let $places = &**places;
                $body
            }
            Kind::Grid($places) => $body,
        }
    };
}

/// The rows that each window covers, side by side; zeros where it reaches out.
///
/// `linear(unfold(x), w)` is a convolution whose weight is `[out, width · d]`, the first
/// position first; over a grid `[out, height · width · d]`, line by line.
///
/// # Shapes
///
/// - `x`: `[n, d]`, contiguous
/// - returns: `[n_windows, n_taps · d]`
///
/// # Errors
///
/// Fails if the windows lie over another number of rows.
pub fn unfold(x: &Tensor, windows: &Windows) -> Result<Tensor> {
    let (_, d) = windows.check("unfold", x)?;
    let width = windows.n_taps() * d;
    with_real!(x, T => {
        let mut y = buffer::<T>(windows.len() * width);
        with_places!(windows, places => cpu::unfold(places, &values(x)?, d, &mut y));
        let node = Unfold::<T> { windows: windows.clone(), elem: PhantomData };
        record(node, &[x], y, (windows.len(), width))
    })
}

/// Argument: `x`.
struct Unfold<T> {
    windows: Windows,
    elem: PhantomData<T>,
}

impl<T: Real> Node for Unfold<T> {
    fn name(&self) -> &'static str {
        "unfold"
    }

    /// Each row gets the sum of what the windows that cover it pass back.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let (n, d) = pass.args[0].dims2()?;
        let mut dx = buffer::<T>(n * d);
        let dy = values::<T>(pass.grad)?;
        with_places!(self.windows, places => cpu::fold(places, &dy, d, &mut dx));
        Ok(vec![Some(tensor(dx, (n, d)))])
    }
}

/// What stands for the rows of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowPool {
    /// The largest value of each column; its gradient goes to the first row that has it.
    Max,
    /// The mean over the rows there are: what lies outside does not count.
    Mean,
}

/// One row for each window of `x`.
///
/// # Shapes
///
/// - `x`: `[n, d]`, contiguous
/// - returns: `[n_windows, d]`
///
/// # Errors
///
/// Fails if the windows lie over another number of rows.
pub fn window_pool(x: &Tensor, windows: &Windows, pool: WindowPool) -> Result<Tensor> {
    let (_, d) = windows.check("window-pool", x)?;
    with_real!(x, T => {
        let mut y = buffer::<T>(windows.len() * d);
        let taken = match pool {
            WindowPool::Mean => {
                with_places!(windows, places => cpu::mean(places, &values(x)?, d, &mut y));
                None
            }
            WindowPool::Max => {
                let mut taken = vec![0; y.len()];
                with_places!(windows, places => {
                    cpu::max(places, &values(x)?, d, &mut y, &mut taken);
                });
                Some(if tracked([x]) { taken } else { Vec::new() })
            }
        };
        let node = WindowPoolNode::<T> { windows: windows.clone(), taken, elem: PhantomData };
        record(node, &[x], y, (windows.len(), d))
    })
}

/// Argument: `x`.
struct WindowPoolNode<T> {
    windows: Windows,
    /// Of every result that is a maximum, which of the window's rows it came from.
    taken: Option<Vec<u32>>,
    elem: PhantomData<T>,
}

impl<T: Real> Node for WindowPoolNode<T> {
    fn name(&self) -> &'static str {
        "window-pool"
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let (n, d) = pass.args[0].dims2()?;
        let mut dx = buffer::<T>(n * d);
        let dy = values::<T>(pass.grad)?;
        with_places!(self.windows, places => match &self.taken {
            None => cpu::mean_backward(places, &dy, d, &mut dx),
            Some(taken) => cpu::max_backward(places, &dy, taken, d, &mut dx),
        });
        Ok(vec![Some(tensor(dx, (n, d)))])
    }
}
