//! Scaled dot-product attention over the pairs that a predicate allows.

use candle_core::{Result, Tensor};

use super::loss::softmax;
use super::position::rope;
use super::rows::{Rows, dot, rows, tensor};

/// Everything about attention but its tensors and its mask.
#[derive(Clone, Copy, Default)]
pub struct Attention<'a> {
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; query head `h` reads head `h / (n_heads / n_kv_heads)`.
    pub n_kv_heads: usize,
    /// Factor of the scores, `1/√head_dim` as a rule.
    pub scale: f64,
    /// Turns queries and keys by their position first.
    pub rotary: Option<Rotary<'a>>,
    /// Added to the scaled score of head `h`, query row `i` and key row `j`.
    pub bias: Option<&'a dyn Fn(usize, usize, usize) -> f64>,
    /// Factor of the weight of head `h`, query row `i` and key row `j` after the
    /// softmax: dropout, written out.
    pub keep: Option<&'a dyn Fn(usize, usize, usize) -> f64>,
}

/// Rotary angles and who stands where.
#[derive(Debug, Clone, Copy)]
pub struct Rotary<'a> {
    /// Cosines, `[n_positions, head_dim / 2]`.
    pub cos: &'a Tensor,
    /// Sines, `[n_positions, head_dim / 2]`.
    pub sin: &'a Tensor,
    /// Position of each query row.
    pub queries: &'a [u32],
    /// Position of each key row.
    pub keys: &'a [u32],
}

/// `softmax(scale · q kᵀ + bias) v`, head by head, over the pairs `(i, j)` of query
/// row and key row that `allows` grants; Vaswani et al. 2017, §3.2.1
/// <https://arxiv.org/abs/1706.03762>.
///
/// A query that may read no key gives zeros.
///
/// # Shapes
///
/// - `q`: `[n, n_heads · head_dim]`
/// - `k`, `v`: `[m, n_kv_heads · head_dim]`
/// - returns: as `q`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    attention: &Attention<'_>,
    allows: impl Fn(usize, usize) -> bool,
) -> Result<Tensor> {
    let (_, width) = q.dims2()?;
    let head_dim = width / attention.n_heads;
    let weights = attention_weights(q, k, attention, allows)?;
    let v = rows(v)?;
    let mut y = vec![Vec::with_capacity(width); weights.first().map_or(0, Vec::len)];
    for (h, weights) in weights.iter().enumerate() {
        let v = head(&v, attention.kv_head(h), head_dim);
        for (i, weights) in weights.iter().enumerate() {
            let kept = |j: usize| weights[j] * attention.keep.map_or(1.0, |keep| keep(h, i, j));
            y[i].extend(
                (0..head_dim).map(|c| (0..v.len()).map(|j| kept(j) * v[j][c]).sum::<f64>()),
            );
        }
    }
    tensor(&y, width)
}

/// The weights of [`attention`], before `keep`: `[n_heads][n][m]`, each row summing
/// to one, or to zero where nothing may be read.
///
/// # Shapes
///
/// - `q`: `[n, n_heads · head_dim]`
/// - `k`: `[m, n_kv_heads · head_dim]`
///
/// # Errors
///
/// Those of the conversion from a tensor.
pub fn attention_weights(
    q: &Tensor,
    k: &Tensor,
    attention: &Attention<'_>,
    allows: impl Fn(usize, usize) -> bool,
) -> Result<Vec<Vec<Vec<f64>>>> {
    let &Attention {
        n_heads,
        n_kv_heads,
        scale,
        rotary,
        bias,
        ..
    } = attention;
    assert_eq!(n_heads % n_kv_heads, 0, "n_kv_heads divides n_heads");
    let (_, width) = q.dims2()?;
    let (q, k) = match rotary {
        None => (q.clone(), k.clone()),
        Some(Rotary {
            cos,
            sin,
            queries,
            keys,
        }) => (
            rope(q, n_heads, cos, sin, queries)?,
            rope(k, n_kv_heads, cos, sin, keys)?,
        ),
    };
    let (q, k) = (rows(&q)?, rows(&k)?);
    let of_head = |h: usize| {
        let q = head(&q, h, width / n_heads);
        let k = head(&k, attention.kv_head(h), width / n_heads);
        let score = |i: usize, j: usize| {
            if allows(i, j) {
                scale * dot(&q[i], &k[j]) + bias.map_or(0.0, |bias| bias(h, i, j))
            } else {
                f64::NEG_INFINITY
            }
        };
        let row = |i| softmax(&(0..k.len()).map(|j| score(i, j)).collect::<Vec<_>>());
        (0..q.len()).map(row).collect()
    };
    Ok((0..n_heads).map(of_head).collect())
}

impl Attention<'_> {
    /// The key head that query head `h` reads.
    fn kv_head(&self, h: usize) -> usize {
        h / (self.n_heads / self.n_kv_heads)
    }
}

/// Columns of head `h`.
fn head(x: &Rows, h: usize, head_dim: usize) -> Rows {
    x.iter()
        .map(|row| row[h * head_dim..(h + 1) * head_dim].to_vec())
        .collect()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::rope_tables;
    use super::*;
    use crate::{assert_close, randn};

    /// Rounding of a few operations on numbers below ten.
    const ROUNDING: f64 = 1e-14;

    fn one_head() -> Attention<'static> {
        Attention {
            n_heads: 1,
            n_kv_heads: 1,
            scale: 1.0,
            ..Attention::default()
        }
    }

    fn tensor2<const N: usize, const D: usize>(rows: &[[f64; D]; N]) -> Result<Tensor> {
        Tensor::new(rows, &Device::Cpu)
    }

    #[test]
    fn weights_have_the_values_computed_by_hand() -> Result<()> {
        // Scores ln 3 and 0, so weights ¾ and ¼.
        let q = tensor2(&[[3f64.ln()]])?;
        let k = tensor2(&[[1.0], [0.0]])?;
        let v = tensor2(&[[8.0], [4.0]])?;
        let y = attention(&q, &k, &v, &one_head(), |_, _| true)?;
        assert_close(&y, &tensor2(&[[7.0]])?, ROUNDING)
    }

    #[test]
    fn scale_bias_and_keep_enter_where_they_should() -> Result<()> {
        let q = tensor2(&[[2.0 * 3f64.ln()]])?;
        let k = tensor2(&[[1.0], [0.0]])?;
        let v = tensor2(&[[8.0], [4.0]])?;
        let bias = |_, _, j: usize| if j == 1 { 3f64.ln() } else { 0.0 };
        let keep = |_, _, j: usize| if j == 1 { 2.0 } else { 0.0 };
        let halved = Attention {
            scale: 0.5,
            ..one_head()
        };
        let biased = Attention {
            bias: Some(&bias),
            ..halved
        };
        let dropped = Attention {
            keep: Some(&keep),
            ..biased
        };
        for (attend, want) in [(halved, 7.0), (biased, 6.0), (dropped, 4.0)] {
            let y = attention(&q, &k, &v, &attend, |_, _| true)?;
            assert_close(&y, &tensor2(&[[want]])?, ROUNDING)?;
        }
        Ok(())
    }

    #[test]
    fn only_allowed_keys_are_read_and_none_gives_zeros() -> Result<()> {
        let (q, k) = (randn(1, (3, 2))?, randn(2, (3, 2))?);
        let v = tensor2(&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])?;
        let y = attention(&q, &k, &v, &one_head(), |i, j| i != 1 && i == j)?;
        assert_close(&y, &tensor2(&[[1.0, 2.0], [0.0, 0.0], [5.0, 6.0]])?, 0.0)
    }

    #[test]
    fn grouped_heads_read_the_head_of_their_group() -> Result<()> {
        let q = randn(3, (1, 4))?;
        let (k, v) = (tensor2(&[[0.0, 0.0]])?, tensor2(&[[1.0, 2.0]])?);
        let grouped = Attention {
            n_heads: 4,
            n_kv_heads: 2,
            ..one_head()
        };
        let y = attention(&q, &k, &v, &grouped, |_, _| true)?;
        assert_close(&y, &tensor2(&[[1.0, 1.0, 2.0, 2.0]])?, 0.0)
    }

    #[test]
    fn rotary_scores_depend_on_the_distance_alone() -> Result<()> {
        let (q, k, v) = (randn(4, (2, 4))?, randn(5, (3, 4))?, randn(6, (3, 4))?);
        let (cos, sin) = rope_tables(20, 4, 100.0)?;
        let at = |start: u32| {
            let keys = [start, start + 1, start + 2];
            let rotary = Some(Rotary {
                cos: &cos,
                sin: &sin,
                queries: &keys[1..],
                keys: &keys,
            });
            attention(
                &q,
                &k,
                &v,
                &Attention {
                    rotary,
                    ..one_head()
                },
                |_, _| true,
            )
        };
        assert_close(&at(0)?, &at(17)?, ROUNDING)?;
        let unturned = attention(&q, &k, &v, &one_head(), |_, _| true)?;
        assert!(crate::max_error(&at(0)?, &unturned)? > 1e-3);
        Ok(())
    }
}
