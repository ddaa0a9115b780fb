//! Additive scores against their definition and differences.

use candle_core::{DType, Result};
use testkit::{assert_close, gradcheck_all, reach};

use super::*;
use crate::{GatAttention, gat_attention};

/// Settings and inputs, all `f64`: what is read, and the numbers of either end.
fn case(
    edges: Arc<Edges>,
    (n_heads, head_dim): (usize, usize),
) -> Result<(GatAttention, [Var; 3])> {
    let (n, m) = (edges.n_destinations(), edges.n_sources());
    let var = |seed, shape: (usize, usize)| Var::from_tensor(&randn(seed, shape)?);
    let inputs = [
        var(1, (m, n_heads * head_dim))?,
        var(2, (n, n_heads))?,
        var(3, (m, n_heads))?,
    ];
    let attention = GatAttention {
        n_heads,
        head_dim,
        edges,
        slope: 0.2,
        dropout: None,
    };
    Ok((attention, inputs))
}

/// The definition, in plain loops.
fn want(attention: &GatAttention, [x, to, from]: [&Var; 3]) -> Result<Tensor> {
    let GatAttention {
        n_heads,
        head_dim,
        ref edges,
        slope,
        dropout,
    } = *attention;
    let [x, to, from] = [x, to, from].map(|t| t.to_vec2::<f64>());
    let (x, to, from) = (x?, to?, from?);
    let mut y = vec![vec![0.0; n_heads * head_dim]; to.len()];
    for (i, y) in y.iter_mut().enumerate() {
        for h in 0..n_heads {
            let weight = |j: u32| {
                let sum = to[i][h] + from[j as usize][h];
                if sum > 0.0 {
                    sum.exp()
                } else {
                    (slope * sum).exp()
                }
            };
            let total: f64 = edges.sources(i).iter().map(|&j| weight(j)).sum();
            for (e, &j) in edges.edges(i).zip(edges.sources(i)) {
                let weight = weight(j) / total * keep(dropout, n_heads, e, h);
                for c in h * head_dim..(h + 1) * head_dim {
                    y[c] += weight * x[j as usize][c];
                }
            }
        }
    }
    let (n, width) = (y.len(), n_heads * head_dim);
    Tensor::from_vec(
        y.into_iter().flatten().collect::<Vec<_>>(),
        (n, width),
        &candle_core::Device::Cpu,
    )
}

#[test]
fn additive_scores_give_the_definition() -> Result<()> {
    for heads in [(1, 7), (8, 8), (3, 16), (20, 1)] {
        for (rows, most, hub) in [((9, 9), 4, false), ((4, 100), 3, true), ((30, 5), 5, false)] {
            for dropout in [None, Some((0.6, key()))] {
                let (mut attention, inputs) = case(random(1, rows, most, hub)?, heads)?;
                attention.dropout = dropout;
                let [x, to, from] = &inputs;
                let want = want(&attention, [x, to, from])?;
                // Rounding of a softmax over at most 100 scores below ten.
                assert_close(&gat_attention(x, to, from, &attention)?, &want, 1e-13)?;
                let single = [x, to, from].map(|x| x.to_dtype(DType::F32));
                let [x, to, from] = single;
                assert_close(&gat_attention(&x?, &to?, &from?, &attention)?, &want, 1e-5)?;
            }
        }
    }
    Ok(())
}

#[test]
fn additive_scores_have_their_gradients() -> Result<()> {
    for (rows, most, hub) in [((5, 5), 4, false), ((3, 40), 3, true)] {
        for dropout in [None, Some((0.5, key()))] {
            let (mut attention, inputs) = case(random(2, rows, most, hub)?, (2, 3))?;
            attention.dropout = dropout;
            let [x, to, from] = &inputs;
            gradcheck_all(&[("x", x), ("to", to), ("from", from)], || {
                gat_attention(x, to, from, &attention)
            })?;
        }
    }
    Ok(())
}

#[test]
fn every_argument_is_reached() -> Result<()> {
    let (attention, [x, to, from]) = case(random(3, (9, 9), 4, false)?, (2, 4))?;
    let loss = gat_attention(&x, &to, &from, &attention)?
        .sqr()?
        .sum_all()?;
    reach(&loss, [("x", x), ("to", to), ("from", from)])
}

#[test]
fn equal_numbers_give_the_mean_of_what_is_read() -> Result<()> {
    let edges = random(4, (9, 9), 5, true)?;
    let (attention, [x, to, from]) = case(edges.clone(), (1, 4))?;
    let (to, from) = (to.zeros_like()?, from.zeros_like()?);
    let y = gat_attention(&x, &to, &from, &attention)?;
    let shares = (0..9).flat_map(|i| {
        let n = edges.sources(i).len();
        vec![1.0 / n as f32; n]
    });
    let mean = crate::edge_sum(&x, edges.clone(), shares.collect())?;
    // The shares are rounded to f32.
    assert_close(&y, &mean, 1e-6)
}

#[test]
fn what_disagrees_is_refused() -> Result<()> {
    let (attention, [x, to, from]) = case(random(5, (4, 6), 2, true)?, (2, 3))?;
    assert!(gat_attention(&x, &to, &from, &attention).is_ok());
    assert!(gat_attention(&x, &from, &to, &attention).is_err());
    assert!(gat_attention(&to, &to, &from, &attention).is_err());
    assert!(gat_attention(&x, &to.to_dtype(DType::F32)?, &from, &attention).is_err());
    for dropout in [-0.1, 1.0, f32::NAN] {
        let attention = GatAttention {
            dropout: Some((dropout, key())),
            ..attention.clone()
        };
        assert!(gat_attention(&x, &to, &from, &attention).is_err());
    }
    Ok(())
}
