//! A GPU gives what the CPU gives, values and gradients.

use candle_core::Var;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::cuda::agree::{agree_on, gpu};
use crate::{attention, attention_packed, attention_weights};

/// The widths of heads that fill kernels, and those that do not.
const WIDTHS: [usize; 11] = [1, 2, 5, 16, 32, 33, 64, 80, 128, 200, 256];

impl Case {
    /// The attention of the case with its tables where `x` is, and of the type of `x`.
    fn beside(&self, x: &Tensor) -> Result<Attention> {
        let mut attention = self.attention.clone();
        let there = |table: &Tensor| table.to_dtype(x.dtype())?.to_device(x.device());
        if let Some(rotary) = &mut attention.rotary {
            (rotary.cos, rotary.sin) = (there(&rotary.cos)?, there(&rotary.sin)?);
        }
        if let Some(bias) = &mut attention.bias {
            bias.table = there(&bias.table)?;
        }
        Ok(attention)
    }

    fn operands(&self) -> [Tensor; 3] {
        [&self.q, &self.k, &self.v].map(Tensor::clone)
    }

    /// Values and gradients by `q`, `k` and `v`.
    fn agrees(&self) -> Result<()> {
        agree_on(&self.operands(), |x| {
            attention(&x[0], &x[1], &x[2], &self.beside(&x[0])?)
        })
    }

    /// As [`Self::agrees`], and the gradient by the table of the bias.
    fn agrees_by_table(&self) -> Result<()> {
        let bias = self.attention.bias.as_ref().expect("a bias");
        let values = self.operands().into_iter().chain([bias.table.clone()]);
        agree_on(&values.collect::<Vec<_>>(), |x| {
            let mut at = self.beside(&x[0])?;
            at.bias.as_mut().expect("a bias").table = x[3].clone();
            attention(&x[0], &x[1], &x[2], &at)
        })
    }

    /// As [`Self::agrees`], of one tensor.
    fn agrees_packed(&self) -> Result<()> {
        agree_on(&[self.packed()?], |x| {
            attention_packed(&x[0], &self.beside(&x[0])?)
        })
    }
}

fn plain(kind: Kind, lens: Lens<'_>, heads: (usize, usize, usize)) -> Result<Case> {
    Case::new(kind, lens, heads, With::default())
}

#[test]
#[ignore = "needs a GPU"]
fn every_mask_agrees_with_the_cpu() -> Result<()> {
    for kind in KINDS {
        for lens in [
            &[(70, 0)][..],
            &[(3, 0), (0, 0), (130, 0), (1, 0), (33, 0)],
            &[(5, 60), (1, 0), (0, 3), (33, 70), (1, 129)],
        ] {
            plain(kind, lens, (4, 2, 16))?.agrees()?;
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn every_width_of_heads_agrees_with_the_cpu() -> Result<()> {
    for width in WIDTHS {
        plain(Kind::Causal, &[(70, 0), (3, 0)], (2, 1, width))?.agrees()?;
        let case = plain(Kind::Full, &[(40, 0), (5, 0)], (2, 2, width))?;
        case.agrees()?;
        case.agrees_packed()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn lengths_beside_the_ends_of_tiles_agree_with_the_cpu() -> Result<()> {
    for kind in [Kind::Full, Kind::Causal, Kind::Band { left: 40, right: 3 }] {
        for len in [1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 130] {
            for width in [8, 64, 128] {
                plain(kind, &[(len, 0)], (1, 1, width))?.agrees()?;
                plain(kind, &[(1, len)], (1, 1, width))?.agrees()?;
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn query_heads_share_key_heads_as_on_the_cpu() -> Result<()> {
    for (n_heads, n_kv_heads) in [(1, 1), (3, 3), (6, 2), (6, 3), (5, 1)] {
        let case = plain(Kind::Causal, &[(70, 0), (20, 0)], (n_heads, n_kv_heads, 8))?;
        case.agrees()?;
        case.agrees_packed()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn rows_apart_and_heads_apart_agree_with_the_cpu() -> Result<()> {
    for width in [5, 8, 64] {
        let case = plain(Kind::Causal, &[(40, 0), (30, 0)], (4, 2, width))?;
        let (q, kv) = (4 * width, 2 * width);
        agree_on(&[case.packed()?], |x| {
            let view = |first, heads| {
                let columns = x[0].narrow(1, first, heads * width)?;
                columns.reshape((70, heads, width))
            };
            let (q, k, v) = (view(0, 4)?, view(q, 2)?, view(q + kv, 2)?);
            attention(&q, &k, &v, &case.attention)
        })?;
        // Some of the rows of a tensor, at a place that four values do not fill.
        let more = Tensor::cat(&[&case.q, &case.q], 0)?;
        agree_on(&[more, case.k.clone(), case.v.clone()], |x| {
            attention(&x[0].narrow(0, 33, 70)?, &x[1], &x[2], &case.attention)
        })?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn rotary_positions_agree_with_the_cpu() -> Result<()> {
    for (width, turned) in [
        (2, 2),
        (8, 8),
        (8, 4),
        (64, 64),
        (80, 32),
        (128, 128),
        (9, 8),
    ] {
        let with = With {
            rotary: turned,
            buckets: 0,
        };
        for lens in [&[(70, 0), (9, 0)][..], &[(9, 60), (3, 0)]] {
            Case::new(Kind::Causal, lens, (4, 2, width), with)?.agrees()?;
        }
        Case::new(Kind::Full, &[(33, 0), (40, 0)], (2, 1, width), with)?.agrees_packed()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn biases_by_distance_agree_with_the_cpu() -> Result<()> {
    for kind in KINDS {
        for buckets in [1, 7, 50, 300] {
            let with = With { rotary: 0, buckets };
            for lens in [
                &[(70, 0), (0, 0), (3, 0)][..],
                &[(9, 60), (3, 0), (0, 2), (40, 1)],
            ] {
                let case = Case::new(kind, lens, (4, 2, 8), with)?;
                case.agrees()?;
                case.agrees_by_table()?;
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn biases_agree_with_the_cpu_whatever_the_positions_and_offsets() -> Result<()> {
    let with = With {
        rotary: 0,
        buckets: 20,
    };
    let mut case = Case::new(Kind::Causal, &[(70, 0), (50, 0)], (3, 1, 8), with)?;
    for offset in [i64::MIN, -3, 0, 19, 1000, i64::MAX] {
        case.attention.bias.as_mut().unwrap().offset = offset;
        case.agrees_by_table()?;
    }
    let bias = case.attention.bias.as_mut().unwrap();
    bias.offset = 9;
    bias.query_positions = (0..120).map(|i| i * 7 % 13).collect();
    case.agrees_by_table()?;
    case.attention.bias.as_mut().unwrap().key_positions = (0..120).map(|i| i * 5 % 11).collect();
    case.agrees_by_table()
}

#[test]
#[ignore = "needs a GPU"]
fn what_the_table_forbids_is_not_read() -> Result<()> {
    let with = With {
        rotary: 0,
        buckets: 9,
    };
    let mut case = Case::new(Kind::Full, &[(70, 0), (4, 0)], (2, 1, 8), with)?;
    let table: Vec<f64> = (0..18)
        .map(|b| {
            if b % 9 < 4 {
                f64::NEG_INFINITY
            } else {
                f64::from(b) / 10.0
            }
        })
        .collect();
    case.attention.bias.as_mut().unwrap().table = Tensor::from_vec(table, (2, 9), case.q.device())?;
    case.agrees()?;
    // Nothing is left.
    let table = &mut case.attention.bias.as_mut().unwrap().table;
    *table = Tensor::full(f64::NEG_INFINITY, (2, 9), table.device())?;
    case.agrees()
}

#[test]
#[ignore = "needs a GPU"]
fn the_same_weights_are_dropped_as_on_the_cpu() -> Result<()> {
    for kind in KINDS {
        for width in [8, 64, 128] {
            for lens in [
                &[(130, 0), (3, 0), (66, 0)][..],
                &[(9, 60), (3, 0), (0, 2), (40, 1)],
            ] {
                let mut case = plain(kind, lens, (4, 2, width))?;
                case.attention.dropout = Some((0.3, super::oracle::key()));
                case.agrees()?;
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn operands_that_want_no_gradient_get_none() -> Result<()> {
    let with = With {
        rotary: 4,
        buckets: 9,
    };
    let case = Case::new(Kind::Causal, &[(40, 0), (30, 0)], (4, 2, 8), with)?;
    for wanted in 1..8 {
        agree_on(&case.operands(), |x| {
            let [q, k, v] = std::array::from_fn(|i| match wanted >> i & 1 {
                0 => x[i].detach(),
                _ => x[i].clone(),
            });
            attention(&q, &k, &v, &case.beside(&q)?)
        })?;
    }
    let table = case.attention.bias.as_ref().unwrap().table.clone();
    agree_on(&[table], |x| {
        let mut at = case.beside(&x[0])?;
        at.bias.as_mut().unwrap().table = x[0].clone();
        let [q, k, v] = case
            .operands()
            .map(|y| y.to_dtype(x[0].dtype())?.to_device(x[0].device()));
        attention(&q?, &k?, &v?, &at)
    })
}

#[test]
#[ignore = "needs a GPU"]
fn tables_in_slots_get_their_gradient_added() -> Result<()> {
    let with = With {
        rotary: 0,
        buckets: 9,
    };
    let case = Case::new(Kind::Causal, &[(70, 0)], (2, 1, 8), with)?.to_dtype(DType::F32)?;
    let gpu = gpu()?;
    let slots = |on: &candle_core::Device, passes: usize| -> Result<Vec<f32>> {
        let [q, k, v] = case.operands().map(|x| x.to_device(on));
        let (q, k, v) = (q?, k?, v?);
        let mut at = case.beside(&q)?;
        let table = Var::from_tensor(&at.bias.as_ref().unwrap().table)?;
        at.bias.as_mut().unwrap().table = table.as_tensor().clone();
        let mut grads = crate::FlatGrads::new([&table])?;
        for _ in 0..passes {
            grads.backward(attention(&q, &k, &v, &at)?.sqr()?.sum_all()?)?;
        }
        Ok(grads.values()?.to_vec())
    };
    for passes in [1, 2] {
        let [want, got] = [&candle_core::Device::Cpu, &gpu].map(|on| slots(on, passes));
        for (want, got) in want?.into_iter().zip(got?) {
            assert!((want - got).abs() < 1e-4, "{want} {got}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn no_queries_are_no_error() -> Result<()> {
    let case = plain(Kind::Full, &[(0, 5)], (2, 1, 8))?;
    let [k, v] = [&case.k, &case.v].map(|x| Var::from_tensor(&x.to_device(&gpu()?)?));
    let (k, v) = (k?, v?);
    let q = Tensor::zeros((0, 16), DType::F64, &gpu()?)?;
    let y = attention(&q, &k, &v, &case.attention)?;
    assert_eq!(y.dims(), [0, 16]);
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn long_rows_agree_with_the_cpu() -> Result<()> {
    for (kind, width) in [
        (Kind::Causal, 64),
        (
            Kind::Band {
                left: 100,
                right: 20,
            },
            32,
        ),
        (Kind::Full, 128),
    ] {
        let with = With {
            rotary: 16,
            buckets: 40,
        };
        let mut case = Case::new(kind, &[(300, 0), (700, 0)], (2, 1, width), with)?;
        case.attention.dropout = Some((0.1, super::oracle::key()));
        case.agrees()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn a_query_gives_the_same_bits_wherever_its_segment_lies() -> Result<()> {
    let with = With {
        rotary: 4,
        buckets: 9,
    };
    let run = |case: &Case| -> Result<Vec<Vec<f32>>> {
        let case = case.to_dtype(DType::F32)?;
        let [q, k, v] = case.operands().map(|x| x.to_device(&gpu()?));
        let q = q?;
        attention(&q, &k?, &v?, &case.beside(&q)?)?.to_vec2()
    };
    let two = Case::new(Kind::Causal, &[(37, 0), (150, 0)], (2, 1, 16), with)?;
    let mut one = Case::new(Kind::Causal, &[(150, 0)], (2, 1, 16), with)?;
    let tail = |x: &Tensor| x.narrow(0, 37, 150)?.contiguous();
    (one.q, one.k, one.v) = (tail(&two.q)?, tail(&two.k)?, tail(&two.v)?);
    let all = run(&two)?;
    assert_eq!(all[37..], run(&one)?);
    // Its last queries alone.
    let mut last = Case::new(Kind::Causal, &[(50, 100)], (2, 1, 16), with)?;
    (last.q, last.k, last.v) = (one.q.narrow(0, 100, 50)?.contiguous()?, one.k, one.v);
    assert_eq!(all[137..], run(&last)?);
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn weights_are_those_of_the_cpu() -> Result<()> {
    let with = With {
        rotary: 4,
        buckets: 9,
    };
    let case = Case::new(Kind::Causal, &[(40, 0), (30, 0)], (4, 2, 8), with)?;
    let want = attention_weights(&case.q, &case.k, &case.attention, 3, 35..45)?;
    let (q, k) = (case.q.to_device(&gpu()?)?, case.k.to_device(&gpu()?)?);
    let got = attention_weights(&q, &k, &case.beside(&q)?, 3, 35..45)?;
    testkit::assert_close(&got.to_device(want.device())?, &want, 0.0)
}

#[test]
#[ignore = "needs a GPU"]
fn what_disagrees_is_refused_as_on_the_cpu() -> Result<()> {
    let with = With {
        rotary: 8,
        buckets: 3,
    };
    let case = Case::new(Kind::Causal, &[(5, 0)], (4, 2, 8), with)?;
    let refused = |change: &dyn Fn(&mut Case)| -> Result<bool> {
        let mut case = case.clone();
        change(&mut case);
        let [q, k, v] = case.operands().map(|x| x.to_device(&gpu()?));
        let q = q?;
        Ok(attention(&q, &k?, &v?, &case.beside(&q)?).is_err())
    };
    assert!(!refused(&|_| {})?);
    assert!(refused(&|c| c.attention.n_kv_heads = 3)?);
    assert!(refused(&|c| c.attention.head_dim = 7)?);
    assert!(refused(&|c| c.q = c.q.narrow(0, 0, 4).unwrap())?);
    assert!(refused(
        &|c| c.attention.dropout = Some((1.0, super::oracle::key()))
    )?);
    assert!(refused(&|c| c
        .attention
        .rotary
        .as_mut()
        .unwrap()
        .key_positions = vec![9; 5].into())?);
    assert!(refused(&|c| c
        .attention
        .bias
        .as_mut()
        .unwrap()
        .key_positions = vec![0; 6].into())?);
    let wide = Tensor::zeros((5, 257), DType::F32, &gpu()?)?;
    let at = Attention::new(1, 257, case.attention.spans.clone());
    let error = attention(&wide, &wide, &wide, &at).unwrap_err().to_string();
    assert!(error.contains("at most 256"), "{error}");
    Ok(())
}

#[test]
#[ignore = "needs a GPU"]
fn random_cases_agree_with_the_cpu() {
    let config = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let len = prop_oneof![3 => 0u32..12, 1 => 60u32..70, 1 => 0u32..140];
    let lens = prop::collection::vec((len.clone(), prop_oneof![3 => Just(0), 1 => len]), 1..=4);
    let heads = (
        1usize..3,
        1usize..4,
        prop_oneof![3 => 1usize..40, 1 => 40usize..140],
    );
    let settings = (0usize..3, 0usize..30, any::<bool>(), any::<bool>());
    let kinds = prop_oneof![
        Just(Kind::Full),
        Just(Kind::Causal),
        (0u32..90, 0u32..5).prop_map(|(left, right)| Kind::Band { left, right }),
        (1u32..40, 0u32..3).prop_map(|(size, left)| Kind::Chunk { size, left }),
        Just(Kind::Gaps),
    ];
    let strategy = (kinds, lens, heads, settings);
    let mut runner = TestRunner::new(config);
    let all = runner.run(
        &strategy,
        |(kind, lens, (kv, group, width), (rotary, buckets, drop, by_table))| {
            if lens.iter().all(|&(new, _)| new == 0) {
                return Ok(());
            }
            let with = With {
                rotary: (4 * rotary).min(width / 2 * 2),
                buckets,
            };
            let mut case = Case::new(kind, &lens, (kv * group, kv, width), with).unwrap();
            if drop {
                case.attention.dropout = Some((0.4, super::oracle::key()));
            }
            match (
                by_table && buckets > 0,
                lens.iter().all(|&(_, past)| past == 0),
            ) {
                (true, _) => case.agrees_by_table(),
                (false, true) => case.agrees_packed(),
                (false, false) => case.agrees(),
            }
            .unwrap();
            Ok(())
        },
    );
    all.unwrap();
}
