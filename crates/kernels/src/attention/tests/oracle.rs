//! Against the definition in `f64`.

use candle_core::{DType, Result};
use testkit::assert_close;

use super::*;
use crate::rng::{Domain, Key};

/// `f64` rounding of scores below ten, over sums of at most 130 terms.
const DOUBLE: f64 = 1e-12;

/// A score is a chain of at most 80 fused steps on partial sums below four, each
/// rounded by at most 2.4e-7: less than 5e-6 even if a quarter of them conspire. A
/// weight errs by as much, relatively, and results are weighted means of values
/// below four.
const SINGLE: f64 = 2e-5;

fn check(case: &Case) -> Result<()> {
    let want = case.want()?;
    assert_close(&case.run()?, &want, DOUBLE)?;
    assert_close(&case.to_dtype(DType::F32)?.run()?, &want, SINGLE)
}

#[test]
fn every_mask_and_length_gives_the_definition() -> Result<()> {
    for kind in KINDS {
        for lens in [
            &[(1, 0)][..],
            &[(3, 0)],
            &[(63, 0)],
            &[(64, 0)],
            &[(65, 0)],
            &[(130, 0)],
            &[(5, 0), (0, 0), (70, 0), (1, 0)],
        ] {
            check(&Case::new(kind, lens, (2, 2, 8), With::default())?)?;
        }
    }
    Ok(())
}

#[test]
fn every_head_dimension_and_grouping_gives_the_definition() -> Result<()> {
    for head_dim in [1, 8, 12, 16, 32, 64, 80] {
        for (n_heads, n_kv_heads) in [(1, 1), (4, 2), (6, 1)] {
            let heads = (n_heads, n_kv_heads, head_dim);
            check(&Case::new(
                Kind::Causal,
                &[(67, 0)],
                heads,
                With::default(),
            )?)?;
        }
    }
    Ok(())
}

#[test]
fn several_passes_over_the_keys_give_the_definition() -> Result<()> {
    for kind in [Kind::Causal, Kind::Band { left: 70, right: 3 }] {
        check(&Case::new(kind, &[(400, 0)], (1, 1, 8), With::default())?)?;
    }
    Ok(())
}

#[test]
fn rotary_and_bias_give_the_definition_under_every_mask() -> Result<()> {
    for kind in KINDS {
        for (rotary, buckets) in [(8, 0), (12, 0), (0, 1), (0, 30), (6, 200)] {
            let with = With { rotary, buckets };
            check(&Case::new(kind, &[(3, 0), (70, 0)], (4, 2, 12), with)?)?;
        }
    }
    Ok(())
}

#[test]
fn fewer_queries_than_keys_give_the_definition() -> Result<()> {
    let with = With {
        rotary: 8,
        buckets: 9,
    };
    for kind in KINDS {
        for lens in [&[(1, 0), (1, 70)][..], &[(3, 129), (65, 5)]] {
            check(&Case::new(kind, lens, (2, 1, 8), with)?)?;
        }
    }
    Ok(())
}

#[test]
fn scattered_positions_give_the_definition() -> Result<()> {
    let with = With {
        rotary: 8,
        buckets: 40,
    };
    let mut case = Case::new(Kind::Full, &[(70, 0)], (2, 2, 8), with)?;
    // A permutation: row `i` stands at `29 i mod 70`; the oracle learns of it by
    // being asked for the rows in the order of their positions.
    let positions: Arc<[u32]> = (0..70).map(|i| i * 29 % 70).collect();
    let mut rows = vec![0u32; 70];
    for (row, &position) in positions.iter().enumerate() {
        rows[position as usize] = row as u32;
    }
    let order = Tensor::new(rows, case.q.device())?;
    let sorted = |x: &Tensor| x.index_select(&order, 0);
    let in_order = Case {
        q: sorted(&case.q)?,
        k: sorted(&case.k)?,
        v: sorted(&case.v)?,
        ..case.clone()
    };
    let rotary = case.attention.rotary.as_mut().unwrap();
    (rotary.query_positions, rotary.key_positions) = (positions.clone(), positions.clone());
    let bias = case.attention.bias.as_mut().unwrap();
    (bias.query_positions, bias.key_positions) = (positions.clone(), positions);
    assert_close(&sorted(&case.run()?)?, &in_order.want()?, DOUBLE)
}

#[test]
fn dropout_gives_the_definition_with_its_mask() -> Result<()> {
    for kind in KINDS {
        let mut case = Case::new(kind, &[(6, 0), (70, 1)], (2, 1, 8), With::default())?;
        case.attention.dropout = Some((0.3, key()));
        check(&case)?;
    }
    Ok(())
}

pub(super) fn key() -> Key {
    Key {
        seed: 5,
        domain: Domain::Dropout,
        step: 1,
        site: 2,
    }
}

#[test]
fn a_given_scale_is_used() -> Result<()> {
    let mut case = Case::new(Kind::Causal, &[(9, 0)], (2, 2, 8), With::default())?;
    case.attention.scale = Some(0.07);
    check(&case)
}

#[test]
fn huge_scores_do_not_overflow() -> Result<()> {
    let mut case = Case::new(Kind::Causal, &[(70, 0)], (2, 2, 8), With::default())?;
    case.q = (case.q * 1e4)?;
    let case = case.to_dtype(DType::F32)?;
    // So peaked that each query reads one key; in `f32` the same key, unless the two
    // best are within rounding of each other, which this seed has not.
    assert_close(&case.run()?, &case.want()?, 1e-3)?;
    let overflowing = Case {
        q: (&case.q * 1e30)?,
        ..case
    };
    let y = overflowing.run()?.flatten_all()?.to_vec1::<f32>()?;
    assert!(y.iter().all(|y| y.is_finite()));
    Ok(())
}

#[test]
fn a_bias_of_minus_infinity_forbids() -> Result<()> {
    let with = With {
        rotary: 0,
        buckets: 12,
    };
    let mut case = Case::new(Kind::Full, &[(9, 0)], (1, 1, 8), with)?;
    let bias = case.attention.bias.as_mut().unwrap();
    // Bucket 4 is distance zero: nothing later may be read, as if causal.
    let table: Vec<f64> = (0..12)
        .map(|b| if b < 4 { f64::NEG_INFINITY } else { 0.0 })
        .collect();
    bias.table = Tensor::from_vec(table, (1, 12), case.q.device())?;
    let causal = Case {
        kind: Kind::Causal,
        attention: Attention::new(1, 8, Kind::Causal.spans(&[(9, 0)])?),
        ..case.clone()
    };
    assert_close(&case.run()?, &causal.want()?, DOUBLE)?;
    // And if nothing at all may be read: zeros.
    case.attention.bias.as_mut().unwrap().table =
        Tensor::full(f64::NEG_INFINITY, (1, 12), case.q.device())?;
    assert_close(&case.run()?, &case.q.zeros_like()?, 0.0)
}

#[test]
fn weights_on_demand_are_those_of_the_definition() -> Result<()> {
    let with = With {
        rotary: 8,
        buckets: 9,
    };
    for kind in KINDS {
        let mut case = Case::new(kind, &[(6, 2), (70, 0)], (4, 2, 8), with)?;
        for head in 0..4 {
            let weights = crate::attention_weights(&case.q, &case.k, &case.attention, head, 2..60)?;
            // With one-hot values the result is the weights.
            let n = weights.dims()[1];
            for first in (0..n).step_by(8) {
                let wide = (n - first).min(8);
                let one_hot = |j: usize, c: usize| f64::from(j == first + c % 8 && c % 8 < wide);
                let v = (0..n)
                    .flat_map(|j| (0..16).map(move |c| one_hot(j, c)))
                    .collect();
                case.v = Tensor::from_vec(v, (n, 16), case.q.device())?;
                let want = case.want()?.narrow(1, head * 8, wide)?.narrow(0, 2, 58)?;
                assert_close(&weights.narrow(1, first, wide)?, &want, DOUBLE)?;
            }
        }
        assert!(crate::attention_weights(&case.q, &case.k, &case.attention, 4, 0..1).is_err());
        assert!(crate::attention_weights(&case.q, &case.k, &case.attention, 0, 0..77).is_err());
    }
    Ok(())
}

#[test]
fn narrower_instruction_sets_give_the_definition() -> Result<()> {
    if std::env::var_os("KERNELS_ISA").is_some() {
        return Ok(());
    }
    for set in ["scalar", "avx2"] {
        let output = std::process::Command::new(std::env::current_exe()?)
            .args(["attention::tests::oracle", "attention::tests::gradient"])
            .env("KERNELS_ISA", set)
            .output()?;
        assert!(
            output.status.success(),
            "with KERNELS_ISA={set}:\n{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    Ok(())
}
