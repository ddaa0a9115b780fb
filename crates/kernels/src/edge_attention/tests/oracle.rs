//! Against the definition in `f64`.

use candle_core::{DType, Result};
use testkit::assert_close;

use super::*;
use crate::edge_attention_weights;

/// `f64` rounding of scores below ten, over sums of at most 130 terms.
const DOUBLE: f64 = 1e-12;

/// As for attention in tiles: scores err by less than 5e-6, weights as much relatively,
/// and results are weighted means of values below four, or below ten where features
/// and dropout enlarge them.
const SINGLE: f64 = 2e-5;

fn check(case: &Case) -> Result<()> {
    let want = case.want()?;
    assert_close(&case.run()?, &want, DOUBLE)?;
    assert_close(&case.to_dtype(DType::F32)?.run()?, &want, SINGLE)
}

#[test]
fn every_setting_gives_the_definition() -> Result<()> {
    for with in WITH {
        for (seed, rows, most, hub) in [
            (1, (1, 1), 1, true),
            (2, (9, 9), 3, false),
            (3, (5, 130), 4, true),
            (4, (40, 7), 6, false),
        ] {
            let edges = random(seed, rows, most, hub)?;
            check(&Case::new(edges, (2, 1, 8), with)?)?;
        }
    }
    Ok(())
}

#[test]
fn every_head_dimension_and_grouping_gives_the_definition() -> Result<()> {
    for head_dim in [1, 2, 4, 8, 12, 16, 20, 32, 64] {
        for (n_heads, n_kv_heads) in [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (6, 2), (17, 1)] {
            for with in [WITH[0], WITH[5]] {
                let edges = random(5, (12, 12), 40, true)?;
                check(&Case::new(edges, (n_heads, n_kv_heads, head_dim), with)?)?;
            }
        }
    }
    Ok(())
}

#[test]
fn a_hub_of_many_blocks_gives_the_definition() -> Result<()> {
    // Scores that rise along the edges: each block has a new largest one.
    let mut case = Case::new(random(6, (3, 129), 2, true)?, (2, 2, 4), With::default())?;
    let rising: Vec<f64> = (0..129 * 8).map(|i| f64::from(i / 8) * 0.1).collect();
    case.k = Tensor::from_vec(rising, (129, 8), case.q.device())?;
    check(&case)
}

#[test]
fn no_edge_and_no_row_are_no_error() -> Result<()> {
    for (n, m) in [(0, 0), (3, 0), (0, 4), (3, 4)] {
        let edges = Arc::new(Edges::new(vec![0; n + 1], Vec::new(), m)?);
        for with in WITH {
            let case = Case::new(edges.clone(), (2, 1, 4), with)?;
            assert_eq!(case.run()?.dims(), [n, 8]);
            check(&case)?;
            for grad in case.gradients()? {
                assert!(
                    grad.flatten_all()?
                        .to_vec1::<f64>()?
                        .iter()
                        .all(|&g| g == 0.0)
                );
            }
        }
    }
    Ok(())
}

#[test]
fn minus_infinity_in_the_table_forbids_an_edge() -> Result<()> {
    let edges = Arc::new(Edges::new(vec![0, 2, 3], vec![0, 1, 1], 2)?);
    let case = Case::new(edges, (1, 1, 4), With::default())?;
    let mut barred = case.clone();
    barred.attention.bias = Some(EdgeBias {
        table: Tensor::new(&[[0.0, f64::NEG_INFINITY]], case.q.device())?,
        buckets: [0, 1, 1].into(),
    });
    let y = barred.run()?.to_vec2::<f64>()?;
    assert_eq!(y[0], case.v.to_vec2::<f64>()?[0]);
    assert_eq!(y[1], [0.0; 4]);
    for grad in barred.gradients()? {
        assert!(
            grad.flatten_all()?
                .to_vec1::<f64>()?
                .iter()
                .all(|g| g.is_finite())
        );
    }
    Ok(())
}

#[test]
fn weights_make_the_results_that_attention_gives() -> Result<()> {
    for with in [WITH[0], WITH[2], WITH[3]] {
        let case = Case::new(random(7, (8, 50), 4, true)?, (4, 2, 4), with)?;
        let y = case.run()?;
        for head in 0..4 {
            let weights = edge_attention_weights(&case.q, &case.k, &case.attention, head, 0..8)?;
            let v = case.v.narrow(1, head / 2 * 4, 4)?.contiguous()?;
            assert_close(&weights.matmul(&v)?, &y.narrow(1, head * 4, 4)?, DOUBLE)?;
        }
    }
    let case = Case::new(random(7, (3, 3), 2, false)?, (2, 2, 4), With::default())?;
    let weights =
        |head, rows| edge_attention_weights(&case.q, &case.k, &case.attention, head, rows);
    assert!(weights(2, 0..1).is_err() && weights(0, 2..4).is_err());
    Ok(())
}
