//! Position encodings that are formulas.

use candle_core::{Result, Tensor};

use super::rows::{Rows, rows, tensor};

/// The encoding of Vaswani et al. 2017, §3.5 <https://arxiv.org/abs/1706.03762>:
/// channel `2i` is `sin(p / base^(2i/d))`, channel `2i + 1` the cosine of the same.
///
/// # Shapes
///
/// - `positions`: `[n]`
/// - returns: `[n, d_model]`, `f64`
///
/// # Errors
///
/// Those of the conversion to a tensor.
pub fn sinusoidal(positions: &[u32], d_model: usize, base: f64) -> Result<Tensor> {
    let channel = |position: u32, c: usize| {
        let pair = c / 2;
        let angle = f64::from(position) / base.powf(2.0 * pair as f64 / d_model as f64);
        if c.is_multiple_of(2) {
            angle.sin()
        } else {
            angle.cos()
        }
    };
    let row = |&p: &u32| (0..d_model).map(|c| channel(p, c)).collect();
    tensor(&positions.iter().map(row).collect(), d_model)
}

/// Cosine and sine of the rotary angles `p · θ^(−2i/head_dim)`, for positions `p`
/// from 0; Su et al. 2021, §3.4.2 <https://arxiv.org/abs/2104.09864>.
///
/// # Shapes
///
/// - returns: two of `[n_positions, head_dim / 2]`, `f64`
///
/// # Errors
///
/// Those of the conversion to a tensor.
pub fn rope_tables(n_positions: usize, head_dim: usize, theta: f64) -> Result<(Tensor, Tensor)> {
    let half = head_dim / 2;
    let angle = |p: usize, i: usize| p as f64 * theta.powf(-2.0 * i as f64 / head_dim as f64);
    let table = |f: fn(f64) -> f64| -> Result<Tensor> {
        let row = |p| (0..half).map(|i| f(angle(p, i))).collect();
        tensor(&(0..n_positions).map(row).collect(), half)
    };
    Ok((table(f64::cos)?, table(f64::sin)?))
}

/// Turns each head by the angles of its row's position.
///
/// Channel `i` of the first half of a head is paired with channel `i` of the second
/// (`x cos + rotate_half(x) sin`, the convention of Hugging Face's Llama).
///
/// # Shapes
///
/// - `x`: `[n, n_heads · head_dim]`
/// - `cos`, `sin`: `[n_positions, head_dim / 2]`
/// - `positions`: `[n]`, each below `n_positions`
/// - returns: as `x`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn rope(
    x: &Tensor,
    n_heads: usize,
    cos: &Tensor,
    sin: &Tensor,
    positions: &[u32],
) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    let (cos, sin) = (rows(cos)?, rows(sin)?);
    let x = rows(x)?;
    assert_eq!(x.len(), positions.len(), "one position a row");
    let mut y: Rows = Vec::new();
    for (row, &p) in x.iter().zip(positions) {
        let (cos, sin) = (&cos[p as usize], &sin[p as usize]);
        y.push(
            row.chunks(width / n_heads)
                .flat_map(|head| rotate(head, cos, sin))
                .collect(),
        );
    }
    tensor(&y, width)
}

/// One head turned: `[a, b] -> [a cos − b sin, b cos + a sin]`
fn rotate(head: &[f64], cos: &[f64], sin: &[f64]) -> Vec<f64> {
    let half = head.len() / 2;
    assert_eq!(cos.len(), half, "one angle a pair of channels");
    let (a, b) = head.split_at(half);
    let first = (0..half).map(|i| a[i] * cos[i] - b[i] * sin[i]);
    let second = (0..half).map(|i| b[i] * cos[i] + a[i] * sin[i]);
    first.chain(second).collect()
}

/// The slope of each head; Press et al. 2021, §3 <https://arxiv.org/abs/2108.12409>.
///
/// `2^(−8(h+1)/n)` for `n` heads if `n` is a power of two. Else, as the authors'
/// code: the slopes of the greatest power of two below, then every second one of
/// the power above.
pub fn alibi_slopes(n_heads: usize) -> Vec<f64> {
    let geometric = |n: usize| (1..=n).map(move |h| 2f64.powf(-8.0 * h as f64 / n as f64));
    let mut below = 1;
    while below * 2 <= n_heads {
        below *= 2;
    }
    geometric(below)
        .chain(geometric(2 * below).step_by(2))
        .take(n_heads)
        .collect()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::assert_close;

    #[test]
    fn sinusoidal_interleaves_sines_and_cosines() -> Result<()> {
        let want = [
            [0.0, 1.0, 0.0, 1.0],
            [3f64.sin(), 3f64.cos(), 0.03f64.sin(), 0.03f64.cos()],
        ];
        let want = Tensor::new(&want, &Device::Cpu)?;
        assert_close(&sinusoidal(&[0, 3], 4, 10_000.0)?, &want, 1e-15)
    }

    #[test]
    fn a_quarter_turn_swaps_the_halves_with_a_sign() -> Result<()> {
        let x = Tensor::new(&[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]], &Device::Cpu)?;
        let cos = Tensor::new(&[[1.0, 1.0], [0.0, 1.0]], &Device::Cpu)?;
        let sin = Tensor::new(&[[0.0, 0.0], [1.0, 0.0]], &Device::Cpu)?;
        assert_close(&rope(&x, 2, &cos, &sin, &[0])?, &x, 0.0)?;
        // Pairs are (1, 3), (2, 4) | (5, 7), (6, 8); the first of each head turns.
        let want = Tensor::new(&[[-3.0, 2.0, 1.0, 4.0, -7.0, 6.0, 5.0, 8.0]], &Device::Cpu)?;
        assert_close(&rope(&x, 2, &cos, &sin, &[1])?, &want, 0.0)
    }

    #[test]
    fn rotary_angles_fall_with_the_channel() -> Result<()> {
        let (cos, sin) = rope_tables(3, 4, 100.0)?;
        let angles = [[0.0f64, 0.0], [1.0, 0.1], [2.0, 0.2]];
        assert_close(
            &cos,
            &Tensor::new(&angles.map(|row| row.map(f64::cos)), &Device::Cpu)?,
            1e-15,
        )?;
        assert_close(
            &sin,
            &Tensor::new(&angles.map(|row| row.map(f64::sin)), &Device::Cpu)?,
            1e-15,
        )
    }

    #[test]
    fn slopes_are_those_of_the_paper() {
        let halves: Vec<f64> = (1..=8).map(|h| 0.5f64.powi(h)).collect();
        assert_eq!(alibi_slopes(8), halves);
        assert_eq!(alibi_slopes(1), [2f64.powi(-8)]);
        // Six heads: ¼, 1⁄16, 1⁄64, 1⁄256 of four, then ½, ⅛ of eight.
        assert_eq!(
            alibi_slopes(6),
            [0.25, 0.0625, 1.0 / 64.0, 1.0 / 256.0, 0.5, 0.125]
        );
    }
}
