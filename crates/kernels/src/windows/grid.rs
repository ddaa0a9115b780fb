//! Windows over images of equal size.

use std::sync::Arc;

use candle_core::{Result, bail};

use super::Window;
use super::place::Places;

/// Size of an image, in pixels; its rows are its pixels, line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Lines.
    pub height: usize,
    /// Pixels of a line.
    pub width: usize,
}

impl Grid {
    /// Pixels there are.
    pub fn len(self) -> usize {
        self.height * self.width
    }

    /// Whether there is no pixel.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// The same windows over each image of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct GridWindows {
    n_images: usize,
    /// Of the pixels.
    pixels: Grid,
    /// Of the windows.
    windows: Grid,
    down: Window,
    across: Window,
}

impl GridWindows {
    pub(super) fn new(n_images: usize, pixels: Grid, down: Window, across: Window) -> Result<Self> {
        let Grid { height, width } = pixels;
        let windows = Grid {
            height: down.count(height),
            width: across.count(width),
        };
        let fits = |grid: Grid| {
            let pixels = grid.height.checked_mul(grid.width);
            let all = pixels.and_then(|pixels| pixels.checked_mul(n_images));
            all.is_some_and(|all| u32::try_from(all).is_ok())
        };
        if !fits(pixels) || !fits(windows) {
            bail!("windows: {n_images} images of {height}×{width} pixels are more than 2^32 rows");
        }
        Ok(Self {
            n_images,
            pixels,
            windows,
            down,
            across,
        })
    }

    pub(super) fn grid(&self) -> Grid {
        self.windows
    }

    pub(super) fn cu_windows(&self) -> Arc<[u32]> {
        // `new` checked that the last of them is a `u32`.
        (0..=self.n_images)
            .map(|i| (i * self.windows.len()) as u32)
            .collect()
    }
}

/// Image, line and column of element `i` of a batch of `grid`s.
fn locate(grid: Grid, i: usize) -> (usize, usize, usize) {
    let (image, within) = (i / grid.len(), i % grid.len());
    (image, within / grid.width, within % grid.width)
}

impl Places for GridWindows {
    fn n_rows(&self) -> usize {
        self.n_images * self.pixels.len()
    }

    fn n_windows(&self) -> usize {
        self.n_images * self.windows.len()
    }

    fn n_taps(&self) -> usize {
        self.down.width * self.across.width
    }

    #[inline]
    fn rows_of(&self, window: usize, mut f: impl FnMut(usize, usize)) {
        let Grid { height, width } = self.pixels;
        let (image, i, j) = locate(self.windows, window);
        for down in 0..self.down.width {
            let Some(y) = self.down.position(i, down, height) else {
                continue;
            };
            for across in 0..self.across.width {
                if let Some(x) = self.across.position(j, across, width) {
                    let row = image * self.pixels.len() + y * width + x;
                    f(down * self.across.width + across, row);
                }
            }
        }
    }

    #[inline]
    fn windows_of(&self, row: usize, mut f: impl FnMut(usize, usize)) {
        let Grid { height, width } = self.windows;
        let (image, y, x) = locate(self.pixels, row);
        for down in 0..self.down.width {
            let Some(i) = self.down.at(y, down, height) else {
                continue;
            };
            for across in 0..self.across.width {
                if let Some(j) = self.across.at(x, across, width) {
                    let window = image * self.windows.len() + i * width + j;
                    f(window, down * self.across.width + across);
                }
            }
        }
    }
}
