//! Convolution and pooling, over sequences and images padded with zeros.

use candle_core::{Result, Tensor};

use super::rows::{Rows, rows, tensor};

/// How a window slides along an axis: its width, its step, and how many positions are
/// added in front and behind.
#[derive(Debug, Clone, Copy)]
pub struct Slide {
    /// Positions of the window.
    pub width: usize,
    /// Positions from one window to the next.
    pub stride: usize,
    /// Positions added in front.
    pub before: usize,
    /// Positions added behind.
    pub after: usize,
}

/// A row, or nothing where the window reaches out.
type Covered<'a> = Option<&'a Vec<f64>>;

impl Slide {
    /// `x` with nothing added at both ends, window after window. No window without rows.
    fn over<T: Copy>(self, x: &[T]) -> Vec<Vec<Option<T>>> {
        let mut padded = vec![None; self.before];
        padded.extend(x.iter().map(|&x| Some(x)));
        padded.extend(vec![None; self.after]);
        if x.is_empty() || padded.len() < self.width {
            return vec![];
        }
        let windows = padded.windows(self.width).step_by(self.stride);
        windows.map(<[_]>::to_vec).collect()
    }
}

/// The rows under each window along each segment, side by side, with zeros for those
/// that are not there.
///
/// # Shapes
///
/// - `x`: `[n, d]`
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
/// - returns: `[n_windows, width · d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn unfold_segments(x: &Tensor, cu_seqlens: &[u32], slide: Slide) -> Result<Tensor> {
    let (_, d) = x.dims2()?;
    let x = rows(x)?;
    let windows = of_segments(&x, cu_seqlens, slide);
    side_by_side(&windows, slide.width, d)
}

/// As [`unfold_segments`], over images of `height × width` pixels.
///
/// # Shapes
///
/// - `x`: `[n_images · height · width, d]`
/// - returns: `[n_windows, down.width · across.width · d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn unfold_images(
    x: &Tensor,
    (height, width): (usize, usize),
    down: Slide,
    across: Slide,
) -> Result<Tensor> {
    let (_, d) = x.dims2()?;
    let x = rows(x)?;
    let windows = of_images(&x, (height, width), down, across);
    side_by_side(&windows, down.width * across.width, d)
}

/// The largest value of each column under each window of images.
///
/// # Shapes
///
/// - `x`: `[n_images · height · width, d]`
/// - returns: `[n_windows, d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn max_pool_images(
    x: &Tensor,
    size: (usize, usize),
    down: Slide,
    across: Slide,
) -> Result<Tensor> {
    let largest = |column: &[f64]| column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    pool(x, size, down, across, largest)
}

/// The mean of the pixels that are there, under each window of images.
///
/// # Shapes
///
/// - `x`: `[n_images · height · width, d]`
/// - returns: `[n_windows, d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn mean_pool_images(
    x: &Tensor,
    size: (usize, usize),
    down: Slide,
    across: Slide,
) -> Result<Tensor> {
    let mean = |column: &[f64]| column.iter().sum::<f64>() / column.len() as f64;
    pool(x, size, down, across, mean)
}

fn pool(
    x: &Tensor,
    size: (usize, usize),
    down: Slide,
    across: Slide,
    f: impl Fn(&[f64]) -> f64,
) -> Result<Tensor> {
    let (_, d) = x.dims2()?;
    let x = rows(x)?;
    let pooled: Rows = of_images(&x, size, down, across)
        .iter()
        .map(|window| {
            let column = |c: usize| {
                window
                    .iter()
                    .flatten()
                    .map(|row| row[c])
                    .collect::<Vec<_>>()
            };
            (0..d).map(|c| f(&column(c))).collect()
        })
        .collect();
    tensor(&pooled, d)
}

fn of_segments<'a>(x: &'a Rows, cu_seqlens: &[u32], slide: Slide) -> Vec<Vec<Covered<'a>>> {
    let x: Vec<&Vec<f64>> = x.iter().collect();
    cu_seqlens
        .windows(2)
        .flat_map(|wall| slide.over(&x[wall[0] as usize..wall[1] as usize]))
        .collect()
}

fn of_images(
    x: &Rows,
    (height, width): (usize, usize),
    down: Slide,
    across: Slide,
) -> Vec<Vec<Covered<'_>>> {
    let mut windows = Vec::new();
    let pixels: Vec<&Vec<f64>> = x.iter().collect();
    for image in pixels.chunks_exact(height * width) {
        let lines: Vec<&[&Vec<f64>]> = image.chunks_exact(width).collect();
        for lines in down.over(&lines) {
            // Each line's windows; a line that is not there has empty ones.
            let n = across.over(image[..width].as_ref()).len();
            let of_line = |line: &Option<&[_]>| match line {
                Some(line) => across.over(line),
                None => vec![vec![None; across.width]; n],
            };
            let lines: Vec<_> = lines.iter().map(of_line).collect();
            for j in 0..n {
                windows.push(lines.iter().flat_map(|line| line[j].clone()).collect());
            }
        }
    }
    windows
}

fn side_by_side(windows: &[Vec<Covered<'_>>], n_taps: usize, d: usize) -> Result<Tensor> {
    let zeros = vec![0.0; d];
    let row = |window: &Vec<Covered<'_>>| {
        let rows = window.iter().map(|row| row.unwrap_or(&zeros).clone());
        rows.collect::<Vec<_>>().concat()
    };
    let unfolded: Rows = windows.iter().map(row).collect();
    tensor(&unfolded, n_taps * d)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const SAME: Slide = Slide {
        width: 3,
        stride: 1,
        before: 1,
        after: 1,
    };

    #[test]
    fn windows_stop_at_walls() -> Result<()> {
        let x = Tensor::new(&[[1.0], [2.0], [3.0]], &Device::Cpu)?;
        let got = unfold_segments(&x, &[0, 2, 2, 3], SAME)?.to_vec2::<f64>()?;
        assert_eq!(got, [[0.0, 1.0, 2.0], [1.0, 2.0, 0.0], [0.0, 3.0, 0.0]]);
        let two = Slide {
            width: 2,
            stride: 2,
            before: 0,
            after: 0,
        };
        let got = unfold_segments(&x, &[0, 3], two)?.to_vec2::<f64>()?;
        assert_eq!(got, [[1.0, 2.0]]);
        Ok(())
    }

    #[test]
    fn images_are_read_line_by_line() -> Result<()> {
        let x = Tensor::new(&[[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]], &Device::Cpu)?;
        let pair = Slide {
            width: 2,
            stride: 1,
            before: 0,
            after: 0,
        };
        let got = unfold_images(&x, (2, 3), pair, pair)?.to_vec2::<f64>()?;
        assert_eq!(got, [[1.0, 2.0, 4.0, 5.0], [2.0, 3.0, 5.0, 6.0]]);
        let got = max_pool_images(&x, (2, 3), SAME, SAME)?.flatten_all()?;
        assert_eq!(got.to_vec1::<f64>()?, [5.0, 6.0, 6.0, 5.0, 6.0, 6.0]);
        let got = mean_pool_images(&x, (2, 3), pair, SAME)?.flatten_all()?;
        assert_eq!(got.to_vec1::<f64>()?, [3.0, 3.5, 4.0]);
        Ok(())
    }
}
