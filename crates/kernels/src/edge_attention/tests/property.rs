//! What holds for any graph.

use candle_core::{DType, Result};
use proptest::prelude::*;
use testkit::{assert_close, max_error};

use super::*;
use crate::{Attention, RelativeBias, Spans, attention, edge_attention_packed, gat_attention};

fn bits(x: &Tensor) -> Vec<u64> {
    let x = x.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
    let x = x.to_vec1::<f64>().unwrap();
    x.into_iter().map(f64::to_bits).collect()
}

/// Results and gradients of a case, then those of others.
fn all(case: &Case) -> Result<Vec<Tensor>> {
    let mut all = vec![case.run()?];
    all.extend(case.clone().gradients()?);
    Ok(all)
}

/// Intervals of keys: the start and end of each row's.
#[derive(Debug, Clone, Copy)]
enum Pattern {
    Full,
    Causal,
    Band { left: u32, right: u32 },
    Chunk { size: u32, left: u32 },
}

impl Pattern {
    fn span(self, i: u32, n: u32) -> std::ops::Range<u32> {
        let (start, end) = match self {
            Self::Full => (0, n),
            Self::Causal => (0, i + 1),
            Self::Band { left, right } => (i.saturating_sub(left), i + right + 1),
            Self::Chunk { size, left } => (
                (i / size).saturating_sub(left) * size,
                (i / size + 1) * size,
            ),
        };
        start..end.min(n)
    }
}

fn patterns() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        Just(Pattern::Full),
        Just(Pattern::Causal),
        (0u32..6, 0u32..6).prop_map(|(left, right)| Pattern::Band { left, right }),
        (1u32..5, 0u32..3).prop_map(|(size, left)| Pattern::Chunk { size, left }),
    ]
}

/// Sequences of up to nine rows, some of them empty.
fn lens() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0u32..10, 1..4)
}

fn heads() -> impl Strategy<Value = (usize, usize, usize)> {
    (1usize..3, 1usize..3, 1usize..6).prop_map(|(kv, group, d)| (kv * group, kv, d))
}

/// The same keys as intervals and as edges.
fn both(pattern: Pattern, lens: &[u32]) -> Result<(Spans, Edges)> {
    let mut end = 0;
    let segments: Vec<_> = lens
        .iter()
        .map(|len| {
            let rows = end..end + len;
            end = rows.end;
            (rows.clone(), rows)
        })
        .collect();
    let span = |i: u32, keys: &std::ops::Range<u32>| {
        let within = pattern.span(i - keys.start, keys.len() as u32);
        keys.start + within.start..keys.start + within.end
    };
    let (mut offsets, mut sources) = (vec![0], Vec::new());
    for (rows, keys) in &segments {
        for i in rows.clone() {
            sources.extend(span(i, keys));
            offsets.push(sources.len() as u32);
        }
    }
    let edges = Edges::new(offsets, sources, end as usize)?;
    Ok((Spans::new(segments, span)?, edges))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2500))]

    /// Results and gradients of the kernel for intervals, and of that for edges.
    #[test]
    fn intervals_and_their_edges_agree(
        pattern in patterns(), lens in lens(), heads in heads(), buckets in 0usize..5, turned in 0usize..2,
    ) {
        let (spans, edges) = both(pattern, &lens).unwrap();
        let with = With { rotary: 2 * turned, ..With::default() };
        let mut along = Case::new(Arc::new(edges), heads, with).unwrap();
        let edges = along.attention.edges.clone();
        let n = edges.n_sources() as u32;
        let positions: Arc<[u32]> = (0..n).collect();
        let offset = 2;
        let table = randn(9, (heads.0, buckets.max(1))).unwrap();
        let bucket = |i: usize, j: u32| {
            (i as i64 - i64::from(j) + offset).clamp(0, buckets as i64 - 1) as u32
        };
        if buckets > 0 {
            let of_row = |i| edges.sources(i).iter().map(move |&j| bucket(i, j));
            let buckets = (0..n as usize).flat_map(of_row).collect();
            along.attention.bias = Some(EdgeBias { table: table.clone(), buckets });
        }
        let mut tiles = Attention::new(heads.0, heads.2, Arc::new(spans));
        tiles.n_kv_heads = heads.1;
        tiles.rotary = along.attention.rotary.clone();

        let [q, k, v, table] = [&along.q, &along.k, &along.v, &table].map(|x| Var::from_tensor(x).unwrap());
        if buckets > 0 {
            tiles.bias = Some(RelativeBias {
                table: table.as_tensor().clone(),
                offset,
                query_positions: positions.clone(),
                key_positions: positions,
            });
        }
        let y = attention(&q, &k, &v, &tiles).unwrap();
        let cotangent = randn(77, y.shape()).unwrap();
        let grads = (&y * cotangent).unwrap().sum_all().unwrap().backward().unwrap();
        let got = all(&along).unwrap();
        // Both are sums of at most nine terms below ten.
        assert_close(&got[0], &y, 1e-12).unwrap();
        for (got, var) in got[1..].iter().zip([&q, &k, &v, &table]) {
            assert_close(got, grads.get(var.as_tensor()).unwrap(), 1e-11).unwrap();
        }
    }

    #[test]
    fn rows_depend_on_what_they_read_alone(
        seed in 0u64..1000, changed in 0usize..8, heads in heads(), with in 0usize..6,
    ) {
        let edges = random(seed, (8, 8), 4, false).unwrap();
        let case = Case::new(edges.clone(), heads, WITH[with]).unwrap().to_dtype(DType::F32).unwrap();
        let mut other = case.clone();
        for x in [&mut other.k, &mut other.v] {
            let row = (x.narrow(0, changed, 1).unwrap() + 1.0).unwrap();
            let width = x.dims()[1];
            *x = x.slice_assign(&[changed..changed + 1, 0..width], &row).unwrap();
        }
        let (before, after) = (case.run().unwrap(), other.run().unwrap());
        for i in 0..8 {
            if number(&edges, i, changed).is_none() {
                prop_assert_eq!(bits(&before.get(i).unwrap()), bits(&after.get(i).unwrap()));
            }
        }
    }

    #[test]
    fn packed_operands_give_the_bits_of_separate_ones(
        seed in 0u64..1000, heads in heads(), with in 0usize..6,
    ) {
        let edges = random(seed, (7, 7), 5, false).unwrap();
        let case = Case::new(edges, heads, WITH[with]).unwrap().to_dtype(DType::F32).unwrap();
        let qkv = Tensor::cat(&[&case.q, &case.k, &case.v], 1).unwrap();
        let qkv = Var::from_tensor(&qkv).unwrap();
        let y = edge_attention_packed(&qkv, &case.attention).unwrap();
        let cotangent = randn(77, y.shape()).unwrap().to_dtype(DType::F32).unwrap();
        let grads = (&y * cotangent).unwrap().sum_all().unwrap().backward().unwrap();
        let want = all(&case).unwrap();
        prop_assert_eq!(bits(&y), bits(&want[0]));
        let grad = grads.get(qkv.as_tensor()).unwrap();
        let (q, kv) = (heads.0 * heads.2, heads.1 * heads.2);
        for (i, (first, width)) in [(0, q), (q, kv), (q + kv, kv)].into_iter().enumerate() {
            prop_assert_eq!(bits(&grad.narrow(1, first, width).unwrap()), bits(&want[1 + i]));
        }
    }

    #[test]
    fn results_are_means_of_the_values_that_are_read(
        seed in 0u64..1000, heads in heads(), with in 0usize..4,
    ) {
        let edges = random(seed, (9, 6), 5, true).unwrap();
        let mut case = Case::new(edges.clone(), heads, WITH[with]).unwrap();
        case.v = case.v.ones_like().unwrap();
        case.attention.features = None;
        let y = case.run().unwrap().to_vec2::<f64>().unwrap();
        for (i, row) in y.iter().enumerate() {
            let want = f64::from(u8::from(!edges.sources(i).is_empty()));
            prop_assert!(row.iter().all(|y| (y - want).abs() < 1e-12), "{:?}", row);
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() -> Result<()> {
    let edges = random(1, (3000, 3000), 12, true)?;
    assert!(
        edges.incoming().pieces.len() > 8,
        "work for several threads"
    );
    let case = Case::new(edges.clone(), (4, 2, 16), WITH[5])?.to_dtype(DType::F32)?;
    let var = |seed, width| Var::from_tensor(&randn(seed, (3000, width))?.to_dtype(DType::F32)?);
    let (x, to, from) = (var(1, 64)?, var(2, 4)?, var(3, 4)?);
    let gat = crate::GatAttention {
        n_heads: 4,
        head_dim: 16,
        edges,
        slope: 0.2,
        dropout: Some((0.3, key())),
    };
    let run = || -> Result<Vec<Vec<u64>>> {
        let mut seen: Vec<_> = all(&case)?.iter().map(bits).collect();
        let y = gat_attention(&x, &to, &from, &gat)?;
        let grads = y.sqr()?.sum_all()?.backward()?;
        seen.push(bits(&y));
        seen.extend([&x, &to, &from].map(|var| bits(grads.get(var).unwrap())));
        Ok(seen)
    };
    let mut seen = Vec::new();
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        seen.push(pool.install(run)?);
    }
    assert!(seen.iter().all(|bits| *bits == seen[0]));
    Ok(())
}

#[test]
fn dropout_keeps_the_share_it_should() -> Result<()> {
    let mut case = Case::new(random(2, (400, 50), 20, true)?, (3, 3, 1), WITH[4])?;
    case.v = case.v.ones_like()?;
    let dropped = case.run()?;
    case.attention.dropout = None;
    assert!(max_error(&dropped, &case.run()?)? > 0.1);
    let read = (0..400).filter(|&i| !case.attention.edges.sources(i).is_empty());
    let mean = dropped.sum_all()?.to_scalar::<f64>()? / (3.0 * read.count() as f64);
    // About 1,100 means of some five kept weights: five standard errors.
    assert!((mean - 1.0).abs() < 0.08, "{mean}");
    Ok(())
}

#[test]
fn what_disagrees_is_refused() -> Result<()> {
    let case = Case::new(random(3, (5, 6), 3, true)?, (4, 2, 8), WITH[5])?;
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
    let features = |change: fn(&Tensor) -> Result<Tensor>| {
        refused(&|c| {
            let features = c.attention.features.as_ref().unwrap();
            c.attention.features = Some(change(features).unwrap());
        })
    };
    assert!(features(|x| x.narrow(0, 1, x.dims()[0] - 1)));
    assert!(features(|x| x.narrow(1, 1, 15)));
    assert!(features(|x| x.to_dtype(DType::F32)));
    let bias = |change: fn(&mut EdgeBias)| refused(&|c| change(c.attention.bias.as_mut().unwrap()));
    assert!(bias(|b| b.table = b.table.narrow(0, 0, 3).unwrap()));
    assert!(bias(
        |b| b.table = b.table.narrow(1, 0, 2).unwrap().contiguous().unwrap()
    ));
    assert!(bias(|b| b.buckets = vec![0; b.buckets.len() + 1].into()));
    assert!(refused(&|c| c
        .attention
        .rotary
        .as_mut()
        .unwrap()
        .key_positions = vec![0; 5].into()));
    for chance in [-0.1, 1.0, f32::NAN] {
        assert!(refused(&|c| c.attention.dropout = Some((chance, key()))));
    }
    Ok(())
}
