//! What holds for every input.

use candle_core::{DType, Result, Tensor};
use proptest::prelude::*;
use testkit::randn;

use super::*;

fn bits(x: &Tensor) -> Vec<u64> {
    let x = x.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    x.to_vec1::<f64>()
        .unwrap()
        .into_iter()
        .map(f64::to_bits)
        .collect()
}

/// Values and gradients by `q`, `k`, `v`, for comparison to the bit.
fn all_bits(case: &Case) -> Result<Vec<Vec<u64>>> {
    let vars = [&case.q, &case.k, &case.v].map(|x| candle_core::Var::from_tensor(x).unwrap());
    let [q, k, v] = vars.each_ref().map(|var| var.as_tensor());
    let y = crate::attention(q, k, v, &case.attention)?;
    let cotangent = randn(8, y.shape())?.to_dtype(y.dtype())?;
    let grads = (&y * cotangent)?.sum_all()?.backward()?;
    let mut all = vec![bits(&y)];
    all.extend(vars.iter().map(|var| bits(grads.get(var).unwrap())));
    Ok(all)
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Full),
        Just(Kind::Causal),
        (0u32..90, 0u32..5).prop_map(|(left, right)| Kind::Band { left, right }),
        (1u32..40, 0u32..3).prop_map(|(size, left)| Kind::Chunk { size, left }),
        Just(Kind::Gaps),
    ]
}

/// Small most of the time; now and then more than a tile.
fn lens(max: usize) -> impl Strategy<Value = Vec<(u32, u32)>> {
    let len = prop_oneof![4 => 0u32..12, 1 => 60u32..70];
    prop::collection::vec(len.prop_map(|n| (n, 0)), 1..=max)
}

fn heads() -> impl Strategy<Value = (usize, usize, usize)> {
    (1usize..3, 1usize..3, 1usize..20).prop_map(|(kv, group, d)| (kv * group, kv, d))
}

fn settings() -> impl Strategy<Value = With> {
    (0usize..2, 0usize..20).prop_map(|(rotary, buckets)| With {
        rotary: 2 * rotary,
        buckets,
    })
}

fn single(kind: Kind, lens: Lens<'_>, heads: (usize, usize, usize), with: With) -> Result<Case> {
    let with = With {
        rotary: with.rotary.min(heads.2 / 2 * 2),
        ..with
    };
    Case::new(kind, lens, heads, with)?.to_dtype(DType::F32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_future_cannot_change_the_past(
        n in 1u32..80, cut in 0u32..80, heads in heads(), with in settings(), band in 1u32..80,
    ) {
        let cut = (cut % n) as usize;
        for kind in [Kind::Causal, Kind::Band { left: band, right: 0 }] {
            let case = single(kind, &[(n, 0)], heads, with).unwrap();
            let mut changed = case.clone();
            for x in [&mut changed.q, &mut changed.k, &mut changed.v] {
                let future = n as usize - cut;
                let other = (x.narrow(0, cut, future).unwrap() * 3.0).unwrap();
                *x = Tensor::cat(&[x.narrow(0, 0, cut).unwrap(), other], 0).unwrap();
            }
            let past = |case: &Case| bits(&case.run().unwrap().narrow(0, 0, cut).unwrap());
            prop_assert_eq!(past(&case), past(&changed));
        }
    }

    #[test]
    fn packed_operands_give_the_bits_of_separate_ones(
        kind in kinds(), lens in lens(3), heads in heads(), with in settings(),
    ) {
        let case = single(kind, &lens, heads, with).unwrap();
        let qkv = candle_core::Var::from_tensor(&case.packed().unwrap()).unwrap();
        let y = crate::attention_packed(&qkv, &case.attention).unwrap();
        let cotangent = randn(8, y.shape()).unwrap().to_dtype(DType::F32).unwrap();
        let store = (&y * cotangent).unwrap().sum_all().unwrap().backward().unwrap();
        let grad = store.get(&qkv).unwrap();
        // Views of the packed tensor, too.
        let (q, kv) = (heads.0 * heads.2, heads.1 * heads.2);
        let view = |first, width| qkv.narrow(1, first, width).unwrap();
        let views = [view(0, q), view(q, kv), view(q + kv, kv)];
        let viewed = crate::attention(&views[0], &views[1], &views[2], &case.attention).unwrap();
        prop_assert_eq!(bits(&viewed), bits(&y));
        let want = all_bits(&case).unwrap();
        prop_assert_eq!(&bits(&y), &want[0]);
        for (i, (first, width)) in [(0, q), (q, kv), (q + kv, kv)].into_iter().enumerate() {
            prop_assert_eq!(&bits(&grad.narrow(1, first, width).unwrap()), &want[1 + i]);
        }
    }

    #[test]
    fn moving_segments_moves_their_results(
        kind in kinds(), lens in lens(4), heads in heads(), with in settings(), turn in 0usize..4,
    ) {
        let case = single(kind, &lens, heads, with).unwrap();
        let turn = turn % lens.len();
        let cut: usize = lens[..turn].iter().map(|&(n, _)| n as usize).sum();
        let mut moved_lens = lens.clone();
        moved_lens.rotate_left(turn);
        let moved = |x: &Tensor| -> Tensor {
            let rest = x.dims()[0] - cut;
            Tensor::cat(&[x.narrow(0, cut, rest).unwrap(), x.narrow(0, 0, cut).unwrap()], 0).unwrap()
        };
        let mut other = single(kind, &moved_lens, heads, with).unwrap();
        (other.q, other.k, other.v) = (moved(&case.q), moved(&case.k), moved(&case.v));
        prop_assert_eq!(bits(&moved(&case.run().unwrap())), bits(&other.run().unwrap()));
    }

    #[test]
    fn equal_spans_give_equal_bits(n in 1u32..80, heads in heads(), with in settings()) {
        let lens = [(n, 0)];
        let causal = all_bits(&single(Kind::Causal, &lens, heads, with).unwrap()).unwrap();
        let band = Kind::Band { left: n, right: 0 };
        prop_assert_eq!(&all_bits(&single(band, &lens, heads, with).unwrap()).unwrap(), &causal);
        let chunk = Kind::Chunk { size: 1, left: n };
        prop_assert_eq!(&all_bits(&single(chunk, &lens, heads, with).unwrap()).unwrap(), &causal);
        let full = all_bits(&single(Kind::Full, &lens, heads, with).unwrap()).unwrap();
        let chunk = Kind::Chunk { size: n, left: 0 };
        prop_assert_eq!(&all_bits(&single(chunk, &lens, heads, with).unwrap()).unwrap(), &full);
    }

    #[test]
    fn the_last_queries_alone_give_the_bits_they_give_among_all(
        kind in kinds(), past in 0u32..140, new in 1u32..80, heads in heads(), with in settings(),
    ) {
        let all = single(kind, &[(past + new, 0)], heads, with).unwrap();
        let mut last = single(kind, &[(new, past)], heads, with).unwrap();
        let tail = |x: &Tensor| x.narrow(0, past as usize, new as usize).unwrap();
        (last.q, last.k, last.v) = (tail(&all.q), all.k.clone(), all.v.clone());
        prop_assert_eq!(bits(&last.run().unwrap()), bits(&tail(&all.run().unwrap())));
    }

    #[test]
    fn results_are_means_of_the_values_that_are_read(
        kind in kinds(), lens in lens(3), heads in heads(), with in settings(),
    ) {
        let mut case = single(kind, &lens, heads, with).unwrap();
        case.v = case.v.ones_like().unwrap();
        let y = case.run().unwrap().to_vec2::<f32>().unwrap();
        for (i, row) in y.iter().enumerate() {
            let want = f32::from(!case.attention.spans.keys(i).is_empty());
            // Rounding of a sum of at most 70 weights and a division.
            prop_assert!(row.iter().all(|y| (y - want).abs() < 1e-5), "{row:?}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() -> Result<()> {
    let with = With {
        rotary: 8,
        buckets: 30,
    };
    for kind in KINDS {
        let mut case = single(kind, &[(300, 0), (70, 0), (1, 0)], (4, 2, 16), with)?;
        case.attention.dropout = Some((0.1, super::oracle::key()));
        let mut seen = Vec::new();
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            seen.push(pool.install(|| all_bits(&case))?);
        }
        assert!(seen.iter().all(|bits| *bits == seen[0]), "{kind:?}");
    }
    Ok(())
}

#[test]
fn what_disagrees_is_refused() -> Result<()> {
    let with = With {
        rotary: 8,
        buckets: 3,
    };
    let case = Case::new(Kind::Causal, &[(5, 0)], (4, 2, 8), with)?;
    assert!(case.run().is_ok());
    let refused = |change: &dyn Fn(&mut Case)| {
        let mut case = case.clone();
        change(&mut case);
        case.run().is_err()
    };
    assert!(refused(&|c| c.attention.n_kv_heads = 3));
    assert!(refused(&|c| c.attention.n_heads = 0));
    assert!(refused(&|c| c.attention.head_dim = 7));
    assert!(refused(&|c| c.k = c.q.clone()));
    assert!(refused(&|c| c.v = c.v.to_dtype(DType::F32).unwrap()));
    assert!(refused(&|c| c.q = c.q.narrow(0, 0, 4).unwrap()));
    for chance in [-0.1, 1.0, f32::NAN] {
        assert!(refused(
            &|c| c.attention.dropout = Some((chance, super::oracle::key()))
        ));
    }
    let rotary =
        |change: fn(&mut Rotary)| refused(&|c| change(c.attention.rotary.as_mut().unwrap()));
    assert!(rotary(
        |r| r.cos = Tensor::cat(&[&r.cos, &r.cos], 1).unwrap()
    ));
    assert!(rotary(|r| r.query_positions = vec![0, 1, 2, 3, 5].into()));
    assert!(rotary(|r| r.key_positions = vec![0; 4].into()));
    let bias =
        |change: fn(&mut RelativeBias)| refused(&|c| change(c.attention.bias.as_mut().unwrap()));
    assert!(bias(|b| b.table = b.table.narrow(0, 0, 3).unwrap()));
    assert!(bias(|b| b.key_positions = vec![0; 6].into()));
    Ok(())
}
