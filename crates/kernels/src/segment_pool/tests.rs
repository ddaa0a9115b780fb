//! Pooling against its definition and differences.

use candle_core::{DType, Result, Tensor, Var};
use testkit::{assert_close, gradcheck, oracle, randn, reach};

use super::*;

const ALL: [Pool; 4] = [Pool::Mean, Pool::Sum, Pool::First, Pool::Last];

fn walls(walls: &[u32]) -> Arc<[u32]> {
    walls.into()
}

#[test]
fn oracle_every_pool_in_both_types() -> Result<()> {
    for (segments, d) in [
        (&[0, 1][..], 1),
        (&[0, 3, 4, 9], 3),
        (&[0, 5, 70, 200], 65),
        (&[0, 1, 2, 3, 4000], 17),
    ] {
        let x = randn(1, (segments[segments.len() - 1] as usize, d))?;
        for pool in ALL {
            let want = match pool {
                Pool::Mean => oracle::segment_mean(&x, segments)?,
                Pool::Sum => oracle::segment_sum(&x, segments)?,
                Pool::First => oracle::segment_first(&x, segments)?,
                Pool::Last => oracle::segment_last(&x, segments)?,
            };
            // A sum is as many times larger than a mean as it has rows, and so is its error.
            let size = match pool {
                Pool::Sum => f64::from(segments[segments.len() - 1]),
                _ => 1.0,
            };
            assert_close(
                &segment_pool(&x, walls(segments), pool)?,
                &want,
                1e-14 * size,
            )?;
            let single = segment_pool(&x.to_dtype(DType::F32)?, walls(segments), pool)?;
            // √4000 roundings of a running sum of about 100, over 4000.
            assert_close(&single, &want, 5e-7 * size)?;
        }
    }
    Ok(())
}

#[test]
fn gradients_match_differences_beside_empty_segments() -> Result<()> {
    let x = Var::from_tensor(&randn(1, (7, 3))?)?;
    for segments in [&[0, 7][..], &[0, 2, 3, 7], &[0, 0, 4, 4, 4, 7, 7]] {
        for pool in ALL {
            gradcheck(&x, |x| segment_pool(x, walls(segments), pool))?;
        }
    }
    Ok(())
}

#[test]
fn an_empty_segment_gives_zeros_and_no_rows_no_error() -> Result<()> {
    let x = Var::from_tensor(&randn(1, (2, 3))?)?;
    for pool in ALL {
        let y = segment_pool(&x, walls(&[0, 0, 2, 2]), pool)?;
        let y = y.to_vec2::<f64>()?;
        assert_eq!((&y[0], &y[2]), (&vec![0.0; 3], &vec![0.0; 3]));
        let none = x.narrow(0, 0, 0)?;
        let y = segment_pool(&none, walls(&[0, 0]), pool)?;
        assert_eq!(y.to_vec2::<f64>()?, [[0.0; 3]]);
        y.sum_all()?.backward()?;
        assert_eq!(segment_pool(&none, walls(&[0]), pool)?.dims(), [0, 3]);
    }
    Ok(())
}

#[test]
fn permuted_segments_permute_the_rows() -> Result<()> {
    let (a, b) = (randn(1, (4, 5))?, randn(2, (3, 5))?);
    for pool in ALL {
        let ab = segment_pool(&Tensor::cat(&[&a, &b], 0)?, walls(&[0, 4, 7]), pool)?;
        let ba = segment_pool(&Tensor::cat(&[&b, &a], 0)?, walls(&[0, 3, 7]), pool)?;
        assert_close(&ab.narrow(0, 0, 1)?, &ba.narrow(0, 1, 1)?, 0.0)?;
        assert_close(&ab.narrow(0, 1, 1)?, &ba.narrow(0, 0, 1)?, 0.0)?;
    }
    Ok(())
}

/// More rows than one piece of work, so that a piece starts inside a segment.
#[test]
fn the_gradient_of_the_mean_is_the_same_for_all_rows_of_a_segment() -> Result<()> {
    let x = Var::from_tensor(&randn(1, (3000, 16))?)?;
    let y = segment_pool(&x, walls(&[0, 1000, 2999, 3000]), Pool::Mean)?;
    let grads = y.sum_all()?.backward()?;
    let dx = grads.get(x.as_tensor()).unwrap().to_vec2::<f64>()?;
    for (row, dx) in dx.iter().enumerate() {
        let rows = [1000.0, 1999.0, 1.0][usize::from(row >= 1000) + usize::from(row >= 2999)];
        assert!(dx.iter().all(|dx| (dx * rows - 1.0).abs() < 1e-12), "{row}");
    }
    Ok(())
}

#[test]
fn the_argument_is_reached() -> Result<()> {
    for pool in ALL {
        let x = Var::from_tensor(&randn(1, (4, 3))?)?;
        let y = segment_pool(&x, walls(&[0, 1, 4]), pool)?;
        reach(&y.sum_all()?, [("x", &x)])?;
    }
    Ok(())
}

#[test]
fn boundaries_that_do_not_cover_the_rows_are_refused() -> Result<()> {
    let x = randn(1, (4, 3))?;
    for bad in [&[][..], &[1, 4], &[0, 3], &[0, 3, 2, 4], &[0, 5]] {
        assert!(segment_pool(&x, walls(bad), Pool::Mean).is_err(), "{bad:?}");
    }
    Ok(())
}
