//! Sums along edges against their definition and differences.

use candle_core::{DType, Device, Result, Tensor, Var};
use testkit::{assert_close, gradcheck, rand_ids, randn, reach};

use super::*;

/// Some edges into `n` rows out of `m`, and their weights.
fn graph(n: usize, m: usize, n_edges: usize) -> Result<(Arc<Edges>, Arc<[f32]>)> {
    let mut destinations = rand_ids(1, n_edges, n as u32);
    destinations.sort_unstable();
    let offsets = (0..=n as u32).map(|i| destinations.partition_point(|&d| d < i) as u32);
    let edges = Edges::new(
        offsets.collect::<Vec<_>>(),
        rand_ids(2, n_edges, m as u32),
        m,
    )?;
    let weights = rand_ids(3, n_edges, 9).into_iter().map(|w| w as f32 - 4.0);
    Ok((Arc::new(edges), weights.collect()))
}

#[test]
fn oracle_every_sum_in_both_types() -> Result<()> {
    for (n, m, n_edges, d) in [
        (1, 1, 1, 1),
        (7, 4, 30, 5),
        (900, 800, 5000, 17),
        (3, 2, 0, 4),
    ] {
        let (edges, weights) = graph(n, m, n_edges)?;
        let x = randn(4, (m, d))?;
        let rows = x.to_vec2::<f64>()?;
        let mut want = vec![0.0; n * d];
        for i in 0..n {
            for (e, &j) in edges.edges(i).zip(edges.sources(i)) {
                for c in 0..d {
                    want[i * d + c] += f64::from(weights[e]) * rows[j as usize][c];
                }
            }
        }
        let want = Tensor::from_vec(want, (n, d), &Device::Cpu)?;
        let y = edge_sum(&x, edges.clone(), weights.clone())?;
        assert_close(&y, &want, 1e-13)?;
        // Sums of at most 30 terms below sixteen.
        let single = edge_sum(&x.to_dtype(DType::F32)?, edges, weights)?;
        assert_close(&single, &want, 1e-5)?;
    }
    Ok(())
}

#[test]
fn gradients_match_differences_and_arrive() -> Result<()> {
    let (edges, weights) = graph(5, 4, 11)?;
    let x = Var::from_tensor(&randn(5, (4, 3))?)?;
    gradcheck(&x, |x| edge_sum(x, edges.clone(), weights.clone()))?;
    let (edges, weights) = graph(900, 800, 5000)?;
    let x = Var::from_tensor(&randn(5, (800, 3))?)?;
    let loss = edge_sum(&x, edges, weights)?.sqr()?.sum_all()?;
    reach(&loss, [("x", &x)])
}

#[test]
fn a_sum_turned_round_is_its_own_adjoint() -> Result<()> {
    // y·(A x) = (Aᵀ y)·x, to the rounding of 15,000 products.
    let (edges, weights) = graph(900, 800, 5000)?;
    let x = Var::from_tensor(&randn(6, (800, 3))?)?;
    let y = randn(7, (900, 3))?;
    let inner = (edge_sum(&x, edges, weights)? * &y)?.sum_all()?;
    let grads = inner.backward()?;
    let other = (grads.get(x.as_tensor()).unwrap() * x.as_tensor())?.sum_all()?;
    assert_close(&other, &inner, 1e-11)
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() -> Result<()> {
    let (edges, weights) = graph(2000, 2000, 9000)?;
    let x = Var::from_tensor(&randn(8, (2000, 20))?.to_dtype(DType::F32)?)?;
    let run = || -> Result<[Vec<Vec<f32>>; 2]> {
        let y = edge_sum(&x, edges.clone(), weights.clone())?;
        let grads = y.sqr()?.sum_all()?.backward()?;
        Ok([y.to_vec2()?, grads.get(x.as_tensor()).unwrap().to_vec2()?])
    };
    let with_threads = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
        pool.expect("a pool can be built").install(run)
    };
    let one = with_threads(1)?;
    assert!(one == with_threads(2)? && one == with_threads(4)?);
    Ok(())
}

#[test]
fn what_disagrees_is_refused() -> Result<()> {
    let (edges, weights) = graph(5, 4, 11)?;
    assert!(edge_sum(&randn(1, (5, 3))?, edges.clone(), weights).is_err());
    assert!(edge_sum(&randn(1, (4, 3))?, edges, vec![1.0; 10].into()).is_err());
    Ok(())
}
