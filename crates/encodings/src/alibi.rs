//! Scores that fall with the distance.

use attn_core::{Mask, Position, RelativeBias};
use candle_core::{DType, Device, Result, Tensor};

use crate::grown::Grown;

/// Lowers the score of a query at `p` and a key at `s` by `m |p − s|`, with a slope `m`
/// for each head; Press et al. 2021, §3 <https://arxiv.org/abs/2108.12409>.
///
/// The paper treats causal attention, where keys are never later; with `|p − s|` the
/// same holds to both sides.
#[derive(Debug)]
pub struct Alibi {
    slopes: Vec<f64>,
    dtype: DType,
    device: Device,
    table: Grown<Tensor>,
}

impl Alibi {
    /// Creates the encoding for `n_heads` query heads.
    pub fn new(n_heads: usize, dtype: DType, device: &Device) -> Self {
        let device = device.clone();
        Self {
            slopes: slopes(n_heads),
            dtype,
            device,
            table: Grown::new(),
        }
    }

    /// The bias of every head and distance `−(n − 1) ..= n − 1`: `[n_heads, 2n − 1]`.
    fn table(&self, n: usize) -> Result<Tensor> {
        let last = n as i64 - 1;
        let of_head = |&slope: &f64| (-last..=last).map(move |d| -slope * d.abs() as f64);
        let rows: Vec<f64> = self.slopes.iter().flat_map(of_head).collect();
        Tensor::from_vec(rows, (self.slopes.len(), 2 * n - 1), &Device::Cpu)?
            .to_dtype(self.dtype)?
            .to_device(&self.device)
    }
}

impl Position for Alibi {
    fn bias(&self, mask: &Mask) -> Result<Option<RelativeBias>> {
        let (n, table) = self.table.up_to(mask.max_len(), |n| self.table(n))?;
        Ok(Some(RelativeBias {
            table,
            offset: n as i64 - 1,
            query_positions: mask.positions(),
            key_positions: mask.key_positions(),
        }))
    }
}

/// The slope of each head: `2^(−8h/n)`, `h = 1 … n`, where `n` is a power of two. Else,
/// as in the authors' code, the slopes of the greatest power of two below, then the
/// first, third, … of the next one.
fn slopes(n_heads: usize) -> Vec<f64> {
    let geometric = |n: usize| (1..=n).map(move |h| (-8.0 * h as f64 / n as f64).exp2());
    let below = match n_heads.is_power_of_two() {
        true => n_heads,
        false => n_heads.next_power_of_two() / 2,
    };
    geometric(below)
        .chain(geometric(2 * below).step_by(2))
        .take(n_heads)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_paper() {
        // §3: "for models with 8 heads … 1/2¹, 1/2², …, 1/2⁸".
        let halves: Vec<f64> = (1..=8).map(|h| 0.5f64.powi(h)).collect();
        assert_eq!(slopes(8), halves);
        for n_heads in 1..40 {
            let (got, want) = (slopes(n_heads), testkit::oracle::alibi_slopes(n_heads));
            assert_eq!(got.len(), want.len());
            assert!(
                got.iter()
                    .zip(want)
                    .all(|(got, want)| (got - want).abs() < 1e-15)
            );
        }
    }

    #[test]
    fn the_table_is_symmetric_and_zero_at_no_distance() -> Result<()> {
        let table = Alibi::new(3, DType::F64, &Device::Cpu)
            .table(4)?
            .to_vec2::<f64>()?;
        for row in table {
            assert_eq!(row[3], 0.0);
            (0..4).for_each(|d| assert_eq!(row[3 - d], row[3 + d]));
        }
        Ok(())
    }
}
