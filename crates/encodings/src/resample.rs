//! Learnt positions for more or fewer rows than they were learnt for.
//!
//! A table of positions is read as samples of a smooth function of the place, which is then
//! sampled elsewhere. For weights that are loaded, not for training: no gradient passes.

use candle_core::{Device, Tensor};

use crate::error::EncodingError;

/// Brings the `n` rows of `table` to `n_rows` by straight lines between neighbours: row `i`
/// is read at `(i + ½) n / n_rows − ½`, within the table.
///
/// As `torch.nn.functional.interpolate` with `mode="linear"` and `align_corners=False`.
///
/// # Shapes
///
/// - `table`: `[n, d]`
/// - returns: `[n_rows, d]`, of the same type
///
/// # Errors
///
/// If there are no rows, or none are asked for.
pub fn linear(table: &Tensor, n_rows: usize) -> Result<Tensor, EncodingError> {
    let (n, d) = table.dims2()?;
    filled(n, n_rows)?;
    let rows = linear_taps(n, n_rows);
    let values = along(&values(table)?, d, &rows);
    back(values, (n_rows, d), table)
}

/// Brings the rows of `table` behind the first `n_leading`, which are those of a grid of
/// `from` (rows, columns) patches, row by row, to those of a grid of `to`. The leading rows,
/// those of class tokens, stay as they are.
///
/// Keys' cubic kernel with `a = −½` along both sides, as wide as the step where the grid
/// shrinks, its weights made to sum to one at the border: `torch.nn.functional.interpolate`
/// with `mode="bicubic"`, `antialias=True` and `align_corners=False`, and so
/// `resample_abs_pos_embed` of `timm`. The interpolation inside the ViT of `transformers` is
/// another: it has `a = −¾` and does not widen.
///
/// # Shapes
///
/// - `table`: `[n_leading + from.0 · from.1, d]`
/// - returns: `[n_leading + to.0 · to.1, d]`, of the same type
///
/// # Errors
///
/// If the table has another number of rows, or a grid has none.
pub fn bicubic(
    table: &Tensor,
    n_leading: usize,
    from: (usize, usize),
    to: (usize, usize),
) -> Result<Tensor, EncodingError> {
    let (n, d) = table.dims2()?;
    let of = |grid: (usize, usize)| grid.0.checked_mul(grid.1)?.checked_add(n_leading);
    let Some(n_rows) = of(to).filter(|_| of(from) == Some(n)) else {
        return Err(EncodingError::OtherGrid {
            found: n,
            n_leading,
            grid: from,
        });
    };
    filled(from.0, to.0)?;
    filled(from.1, to.1)?;
    let values = values(table)?;
    let (leading, grid) = values.split_at(n_leading * d);
    // A row of the grid is `from.1` vectors; then a row is one long vector.
    let columns = cubic_taps(from.1, to.1);
    let narrowed = grid.chunks_exact(from.1 * d);
    let narrowed: Vec<f64> = narrowed.flat_map(|row| along(row, d, &columns)).collect();
    let resized = along(&narrowed, to.1 * d, &cubic_taps(from.0, to.0));
    back([leading, &resized].concat(), (n_rows, d), table)
}

/// The neighbours of which one new row is made: the first of them, and the weight of each.
struct Taps {
    first: usize,
    weights: Vec<f64>,
}

fn linear_taps(n: usize, n_new: usize) -> Vec<Taps> {
    let of = |i: usize| {
        let place = (i as f64 + 0.5) * n as f64 / n_new as f64 - 0.5;
        let place = place.clamp(0.0, (n - 1) as f64);
        let first = place as usize;
        let weights = match place - first as f64 {
            0.0 => vec![1.0],
            share => vec![1.0 - share, share],
        };
        Taps { first, weights }
    };
    (0..n_new).map(of).collect()
}

fn cubic_taps(n: usize, n_new: usize) -> Vec<Taps> {
    let step = n as f64 / n_new as f64;
    let width = step.max(1.0);
    let of = |i: usize| {
        let centre = step * (i as f64 + 0.5);
        let first = (centre - 2.0 * width + 0.5).max(0.0) as usize;
        let end = ((centre + 2.0 * width + 0.5) as usize).min(n);
        let at = |j: usize| cubic((j as f64 + 0.5 - centre) / width);
        let mut weights: Vec<f64> = (first..end).map(at).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        Taps { first, weights }
    };
    (0..n_new).map(of).collect()
}

/// The convolution kernel of Keys 1981, equation 15, with `a = −½`
/// <https://doi.org/10.1109/TASSP.1981.1163711>.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// One new vector of `width` for each of `taps`, of the vectors in `values`.
fn along(values: &[f64], width: usize, taps: &[Taps]) -> Vec<f64> {
    let mut new = vec![0.0; taps.len() * width];
    for (new, taps) in new.chunks_exact_mut(width.max(1)).zip(taps) {
        let old = values[taps.first * width..].chunks_exact(width.max(1));
        for (old, weight) in old.zip(&taps.weights) {
            new.iter_mut()
                .zip(old)
                .for_each(|(new, old)| *new += weight * old);
        }
    }
    new
}

fn filled(n: usize, n_new: usize) -> Result<(), EncodingError> {
    match n > 0 && n_new > 0 {
        true => Ok(()),
        false => Err(EncodingError::NoRows { n, n_new }),
    }
}

fn values(table: &Tensor) -> candle_core::Result<Vec<f64>> {
    table
        .to_device(&Device::Cpu)?
        .to_dtype(candle_core::DType::F64)?
        .flatten_all()?
        .to_vec1()
}

fn back(values: Vec<f64>, shape: (usize, usize), like: &Tensor) -> Result<Tensor, EncodingError> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?
        .to_dtype(like.dtype())?
        .to_device(like.device())?)
}

#[cfg(test)]
mod tests {
    use candle_core::DType;
    use testkit::{assert_close, randn};

    use super::*;

    type Outcome = Result<(), EncodingError>;

    /// `(7 i + 3 c) mod 11 − 5`
    fn table(n: usize) -> candle_core::Result<Tensor> {
        let value = |i: usize, c: usize| ((7 * i + 3 * c) % 11) as f32 - 5.0;
        let values: Vec<f32> = (0..n).flat_map(|i| [value(i, 0), value(i, 1)]).collect();
        Tensor::from_vec(values, (n, 2), &Device::Cpu)
    }

    fn same(got: &Tensor, want: &[f32]) -> Outcome {
        assert_eq!(got.dtype(), DType::F32);
        let want = Tensor::new(want, &Device::Cpu)?.reshape(((), 2))?;
        Ok(assert_close(got, &want, 1e-5)?)
    }

    /// Of PyTorch 2.11: `interpolate(table.T[None], size=m, mode="linear",
    /// align_corners=False)`.
    #[test]
    fn lines_are_those_of_pytorch() -> Outcome {
        let longer = [-5.0, -2.0, -2.2, 0.8, 2.0, 5.0, -0.4, 2.6, -2.0, 1.0];
        same(&linear(&table(3)?, 5)?, &longer)?;
        let shorter = [-2.666667, 0.333333, -2.0, 1.0, 2.333334, 1.666666];
        same(&linear(&table(5)?, 3)?, &shorter)?;
        same(
            &linear(&table(1)?, 3)?,
            &[-5.0, -2.0, -5.0, -2.0, -5.0, -2.0],
        )
    }

    /// Of PyTorch 2.11: `interpolate(grid, size=to, mode="bicubic", antialias=True)`, the
    /// leading rows put before it.
    #[test]
    fn cubics_are_those_of_pytorch() -> Outcome {
        let larger = [
            -5.0, -2.0, 2.274745, 5.274745, -0.93234, 2.83941, 0.397875, -0.707831, 5.431461,
            -3.143166, 1.708955, 4.708955, -1.498129, 2.27362, -0.167914, -1.27362, 4.865672,
            -3.708955, 1.143166, 4.143166, -2.063919, 1.707831, -0.733704, -1.83941, 4.299882,
            -4.274745,
        ];
        same(&bicubic(&table(7)?, 1, (2, 3), (3, 4))?, &larger)?;
        let smaller = [
            -5.0, -2.0, 2.0, 5.0, 0.927545, -0.937548, -0.200411, 1.284783, -0.443784, -0.804023,
            0.804023, 0.443785, -1.284783, 0.200411, 0.937547, -0.927545,
        ];
        same(&bicubic(&table(22)?, 2, (5, 4), (2, 3))?, &smaller)?;
        let other = [
            -1.483871, 1.516129, -1.483871, 1.516129, 1.803418, 0.532356, 1.803418, 0.532356,
            0.483871, -0.729838, 0.483871, -0.729838,
        ];
        same(&bicubic(&table(7)?, 0, (7, 1), (3, 2))?, &other)
    }

    #[test]
    fn the_same_size_changes_nothing() -> Outcome {
        let table = randn(1, (14, 3))?;
        assert_close(&linear(&table, 14)?, &table, 1e-15)?;
        let same = bicubic(&table, 2, (3, 4), (3, 4))?;
        Ok(assert_close(&same, &table, 1e-15)?)
    }

    /// Both reproduce straight lines between the outermost samples, and constants anywhere.
    #[test]
    fn lines_stay_lines_and_constants_constants() -> Outcome {
        let line = |n: usize| -> candle_core::Result<Tensor> {
            let at = |i: usize| (i as f64 + 0.5) / n as f64;
            let values: Vec<f64> = (0..n).flat_map(|i| [at(i), 3.0]).collect();
            Tensor::from_vec(values, (n, 2), &Device::Cpu)
        };
        for n_new in [16, 24, 37] {
            let lines = linear(&line(16)?, n_new)?;
            let cubics = bicubic(&line(16)?, 0, (16, 1), (n_new, 1))?;
            let want = line(n_new)?;
            // Two old steps from each end a cubic has all of its neighbours.
            let (edge, inner) = (2 * n_new / 16 + 1, n_new - 2 * (2 * n_new / 16 + 1));
            for got in [&lines, &cubics] {
                let inside = |x: &Tensor| x.narrow(0, edge, inner);
                assert_close(&inside(got)?, &inside(&want)?, 1e-12)?;
                let constant = |x: &Tensor| x.narrow(1, 1, 1);
                assert_close(&constant(got)?, &constant(&want)?, 1e-12)?;
            }
        }
        Ok(())
    }

    #[test]
    fn tables_of_other_grids_are_refused() -> Outcome {
        let table = table(7)?;
        for (said, want) in [
            (linear(&table, 0), "7 positions cannot become 0"),
            (
                bicubic(&table, 1, (2, 3), (0, 3)),
                "2 positions cannot become 0",
            ),
            (
                bicubic(&table, 0, (2, 3), (3, 3)),
                "7 positions are not 0 and a grid of 2 x 3",
            ),
            (
                bicubic(&table, 1, (usize::MAX, 2), (3, 3)),
                "7 positions are not 1 and a grid of",
            ),
        ] {
            let said = said.expect_err(want).to_string();
            assert!(said.contains(want), "{said}");
        }
        Ok(())
    }
}
