//! `embedding` against its definition and differences.

use candle_core::{DType, Result, Tensor, Var};
use testkit::{assert_close, gradcheck, oracle, rand_ids, randn, reach};

use super::*;

fn ids(seed: u64, n: usize, rows: u32) -> Arc<[u32]> {
    rand_ids(seed, n, rows).into()
}

#[test]
fn oracle_rows_are_copied_to_the_bit() -> Result<()> {
    for (n, rows, d) in [(0, 3, 4), (1, 1, 1), (17, 5, 3), (300, 65, 65), (9, 7, 0)] {
        let table = randn(1, (rows, d))?;
        let ids = ids(2, n, rows as u32);
        let want = oracle::embedding(&ids, &table)?;
        assert_close(&embedding(ids.clone(), &table)?, &want, 0.0)?;
        let single = embedding(ids, &table.to_dtype(DType::F32)?)?;
        assert_close(&single, &want.to_dtype(DType::F32)?, 0.0)?;
    }
    Ok(())
}

/// Definition of the gradient: each place adds its row.
fn scattered(ids: &[u32], dy: &Tensor, rows: usize) -> Result<Tensor> {
    let dy = dy.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let mut sum = vec![vec![0.0; dy[0].len()]; rows];
    for (&id, dy) in ids.iter().zip(&dy) {
        for (sum, dy) in sum[id as usize].iter_mut().zip(dy) {
            *sum += dy;
        }
    }
    Tensor::new(sum, &candle_core::Device::Cpu)
}

#[test]
fn oracle_the_gradient_adds_up_the_places_of_each_row() -> Result<()> {
    for (n, rows, d) in [(1, 4, 3), (200, 3, 17), (64, 300, 65)] {
        let ids = ids(3, n, rows as u32);
        let dy = randn(4, (n, d))?;
        // In f32, a sum of up to 200 terms errs by √200 · 6e-8 of its size, about 14.
        for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 1e-5)] {
            let table = Var::from_tensor(&randn(5, (rows, d))?.to_dtype(dtype)?)?;
            let y = embedding(ids.clone(), &table)?;
            let grads = (y * dy.to_dtype(dtype)?)?.sum_all()?.backward()?;
            let got = grads.get(table.as_tensor()).unwrap();
            assert_close(got, &scattered(&ids, &dy, rows)?, tolerance)?;
        }
    }
    Ok(())
}

#[test]
fn gradient_matches_differences() -> Result<()> {
    let table = Var::from_tensor(&randn(1, (4, 3))?)?;
    gradcheck(&table, |table| embedding(vec![2, 0, 2, 2].into(), table))
}

#[test]
fn permuted_places_permute_the_rows_and_keep_the_gradient() -> Result<()> {
    let table = Var::from_tensor(&randn(1, (5, 8))?)?;
    let forth = embedding(vec![1, 4, 0].into(), &table)?;
    let back = embedding(vec![0, 4, 1].into(), &table)?;
    assert_close(&forth.narrow(0, 0, 1)?, &back.narrow(0, 2, 1)?, 0.0)?;
    let grad = |y: Tensor| -> Result<Tensor> {
        let grads = y.sqr()?.sum_all()?.backward()?;
        Ok(grads.get(table.as_tensor()).unwrap().clone())
    };
    assert_close(&grad(forth)?, &grad(back)?, 0.0)
}

#[test]
fn every_row_that_is_read_is_reached() -> Result<()> {
    let table = Var::from_tensor(&randn(1, (3, 2))?)?;
    let y = embedding(vec![0, 1, 2].into(), &table)?;
    reach(&y.sqr()?.sum_all()?, [("table", &table)])
}

#[test]
fn an_id_outside_the_table_is_named() -> Result<()> {
    let error = embedding(vec![0, 3, 9].into(), &randn(1, (3, 2))?).unwrap_err();
    let message = error.to_string();
    let want = "embedding: id 3 at place 1 is not below the 3 rows of the table";
    assert!(message.starts_with(want), "{message}");
    Ok(())
}
