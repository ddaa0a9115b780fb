//! The encodings inside attention, against plain definitions in `f64`.

use std::sync::Arc;

use attn_core::{
    AttentionConfig, BlockConfig, Context, Mask, MlpConfig, ParamStore, Pass, Pattern, Position,
    Stack, StackConfig, attend, attention_weights,
};
use candle_core::{DType, Device, Tensor, Var};
use encodings::{EncodingConfig, Rotary, RotaryConfig, Sizes};
use testkit::{assert_close, gradcheck_all, oracle, randn, reach};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const D_MODEL: usize = 12;
const N_HEADS: usize = 3;
const HEAD_DIM: usize = 4;
/// Rounding of a few hundred operations in `f64` on numbers of unit size.
const ROUNDING: f64 = 1e-11;

fn all() -> Vec<EncodingConfig> {
    let named = |name: &str| serde_json::from_str(&format!("\"{name}\"")).expect("a name");
    ["none", "sinusoidal", "learnt", "rotary", "alibi"]
        .into_iter()
        .map(named)
        .chain([yarn()])
        .collect()
}

/// Rotary angles of which the two pairs of a head are slowed by different amounts.
fn yarn() -> EncodingConfig {
    let table = r#"{ "rotary": { "scaling": { "kind": "yarn", "factor": 4.0,
                     "original_max_seq_len": 1000, "beta_fast": 8.0 } } }"#;
    serde_json::from_str(table).expect("a table")
}

fn store() -> ParamStore {
    ParamStore::new(1, DType::F64, &Device::Cpu)
}

fn build(config: &EncodingConfig, store: &ParamStore) -> Result<Arc<dyn Position>> {
    let sizes = Sizes {
        d_model: D_MODEL,
        n_heads: N_HEADS,
        max_seq_len: Some(16),
    };
    Ok(config.build(&sizes, store.var_builder().pp("position"))?)
}

fn mask(pattern: Pattern) -> Mask {
    Mask::new(pattern, [0, 5, 8]).expect("valid walls")
}

fn heads(seed: u64) -> Result<Tensor> {
    Ok(randn(seed, (8, N_HEADS, HEAD_DIM))?)
}

#[test]
fn rotary_attention_is_its_definition() -> Result {
    let position = build(&EncodingConfig::Rotary(RotaryConfig::default()), &store())?;
    let (q, k, v) = (heads(1)?, heads(2)?, heads(3)?);
    let (cos, sin) = oracle::rope_tables(8, HEAD_DIM, 10_000.0)?;
    for pattern in [
        Pattern::Full,
        Pattern::Causal,
        Pattern::Band { left: 1, right: 1 },
    ] {
        let mask = mask(pattern);
        let at = mask.positions();
        let rotary = oracle::Rotary {
            cos: &cos,
            sin: &sin,
            queries: &at,
            keys: &at,
        };
        let settings = oracle::Attention {
            n_heads: N_HEADS,
            n_kv_heads: N_HEADS,
            scale: 0.5,
            rotary: Some(rotary),
            ..Default::default()
        };
        let flat = |x: &Tensor| x.flatten_from(1);
        let want = oracle::attention(&flat(&q)?, &flat(&k)?, &flat(&v)?, &settings, |i, j| {
            mask.allows(i, j)
        })?;
        let y = attend(&q, &k, &v, &mask, &*position)?;
        assert_close(&y.flatten_from(1)?, &want, ROUNDING)?;
    }
    Ok(())
}

#[test]
fn alibi_attention_is_its_definition() -> Result {
    let position = build(&EncodingConfig::Alibi, &store())?;
    let (q, k, v) = (heads(1)?, heads(2)?, heads(3)?);
    let slopes = oracle::alibi_slopes(N_HEADS);
    for pattern in [
        Pattern::Full,
        Pattern::Causal,
        Pattern::Chunk { size: 2, left: 1 },
    ] {
        let mask = mask(pattern);
        // Within a sequence, rows are as far apart as positions.
        let bias = |h: usize, i: usize, j: usize| -slopes[h] * i.abs_diff(j) as f64;
        let settings = oracle::Attention {
            n_heads: N_HEADS,
            n_kv_heads: N_HEADS,
            scale: 0.5,
            bias: Some(&bias),
            ..Default::default()
        };
        let flat = |x: &Tensor| x.flatten_from(1);
        let want = oracle::attention(&flat(&q)?, &flat(&k)?, &flat(&v)?, &settings, |i, j| {
            mask.allows(i, j)
        })?;
        let y = attend(&q, &k, &v, &mask, &*position)?;
        assert_close(&y.flatten_from(1)?, &want, ROUNDING)?;
    }
    Ok(())
}

#[test]
fn gradients_through_every_encoding_are_right() -> Result {
    for config in all() {
        let position = build(&config, &store())?;
        let [q, k, v] = [1, 2, 3].map(|seed| Var::from_tensor(&heads(seed).expect("numbers")));
        let (q, k, v) = (q?, k?, v?);
        let mask = mask(Pattern::Causal);
        gradcheck_all(&[("q", &q), ("k", &k), ("v", &v)], || {
            attend(&q, &k, &v, &mask, &*position)
        })?;
    }
    Ok(())
}

/// The second pair turns `1000 / 100 / 2π` times over the original length, 1.6, and is in the
/// middle of a ramp from pair 0 to pair 2. Cosines and sines are `0.1 ln 4 + 1` times as large,
/// so scores are so by its square.
#[test]
fn yarn_attention_is_its_definition() -> Result {
    let position = build(&yarn(), &store())?;
    let (q, k, v) = (heads(1)?, heads(2)?, heads(3)?);
    let (speeds, factor) = ([1.0, 0.01 * (0.5 + 0.5 / 4.0)], 0.1 * 4f64.ln() + 1.0);
    let table = |f: fn(f64) -> f64| {
        let angles = (0..8).flat_map(|p| speeds.map(|speed| f64::from(p) * speed));
        Tensor::from_vec(angles.map(f).collect(), (8, 2), &Device::Cpu)
    };
    let (cos, sin) = (table(f64::cos)?, table(f64::sin)?);
    let mask = mask(Pattern::Causal);
    let at = mask.positions();
    let settings = oracle::Attention {
        n_heads: N_HEADS,
        n_kv_heads: N_HEADS,
        scale: 0.5 * factor * factor,
        rotary: Some(oracle::Rotary {
            cos: &cos,
            sin: &sin,
            queries: &at,
            keys: &at,
        }),
        ..Default::default()
    };
    let flat = |x: &Tensor| x.flatten_from(1);
    let want = oracle::attention(&flat(&q)?, &flat(&k)?, &flat(&v)?, &settings, |i, j| {
        mask.allows(i, j)
    })?;
    let y = attend(&q, &k, &v, &mask, &*position)?;
    assert_close(&y.flatten_from(1)?, &want, ROUNDING)?;
    Ok(())
}

/// The scores of one query differ by the same amounts wherever it stands.
#[test]
fn rotary_scores_depend_on_the_distance_alone() -> Result {
    let rotary = Rotary::new(&RotaryConfig::default(), HEAD_DIM, DType::F64, &Device::Cpu)?;
    let (q, k) = (randn(1, (3, 1, HEAD_DIM))?, randn(2, (3, 1, HEAD_DIM))?);
    let between = randn(3, (7, 1, HEAD_DIM))?;
    let twice = |x: &Tensor| Tensor::cat(&[x, &between, x], 0);
    let mask = Mask::single(Pattern::Full, 13)?;
    let rows: Vec<usize> = (0..13).collect();
    let weights = attention_weights(&twice(&q)?, &twice(&k)?, &mask, &rotary, &[0], &rows)?;
    let log = weights.log()?.get(0)?.to_vec2::<f64>()?;
    let mut turned = false;
    for i in 0..3 {
        for j in 0..3 {
            let (here, there) = (log[i][j] - log[i][0], log[10 + i][10 + j] - log[10 + i][10]);
            assert!((here - there).abs() < ROUNDING, "{here} and {there}");
            let across = log[i][10 + j] - log[i][10];
            turned |= (here - across).abs() > 1e-3;
        }
    }
    assert!(turned, "nothing was turned");
    Ok(())
}

#[test]
fn every_encoding_but_none_tells_the_order_of_rows() -> Result {
    let rows = Tensor::new(&[2u32, 1, 0, 3, 4, 5, 6, 7], &Device::Cpu)?;
    for config in all() {
        let store = store();
        let position = build(&config, &store)?;
        let block = BlockConfig::new(
            AttentionConfig::new(D_MODEL, N_HEADS)?,
            MlpConfig::new(D_MODEL, 8)?,
        )?;
        let stack = Stack::new(&StackConfig::new(block, 1)?, store.var_builder())?;
        let mask = mask(Pattern::Full);
        let forward = |x: &Tensor| -> Result<Tensor> {
            let context = Context {
                mask: &mask,
                position: &*position,
                pass: Pass::eval(),
            };
            Ok(stack.forward(&position.embed(x, &mask)?, context)?)
        };
        let x = randn(1, (8, D_MODEL))?;
        let here = forward(&x)?.index_select(&rows, 0)?;
        let there = forward(&x.index_select(&rows, 0)?)?;
        let error = testkit::max_error(&here, &there)?;
        assert_eq!(
            error < ROUNDING,
            config == EncodingConfig::None,
            "{}: {error}",
            config.name()
        );
    }
    Ok(())
}

#[test]
fn decoding_with_a_cache_stands_where_the_whole_sequence_stands() -> Result {
    for config in all() {
        let store = store();
        let position = build(&config, &store)?;
        let block = BlockConfig::new(
            AttentionConfig::new(D_MODEL, N_HEADS)?,
            MlpConfig::new(D_MODEL, 8)?,
        )?;
        let stack = Stack::new(&StackConfig::new(block, 2)?, store.var_builder())?;
        let x = randn(1, (9, D_MODEL))?;
        let whole = Mask::single(Pattern::Causal, 9)?;
        let context = Context {
            mask: &whole,
            position: &*position,
            pass: Pass::eval(),
        };
        let want = stack.forward(&position.embed(&x, &whole)?, context)?;

        let (mut cache, mut parts, mut at) = (stack.cache(1), Vec::new(), 0);
        for n in [4, 1, 1, 3] {
            let mask = cache.mask(Pattern::Causal, &[n as u32])?;
            let x = position.embed(&x.narrow(0, at, n)?, &mask)?;
            let context = Context {
                mask: &mask,
                ..context
            };
            parts.push(stack.decode(&x, context, &mut cache)?.detach());
            at += n;
        }
        assert_close(&Tensor::cat(&parts, 0)?, &want, ROUNDING)?;
    }
    Ok(())
}

#[test]
fn the_gradient_reaches_all_that_is_learnt() -> Result {
    for config in all() {
        let store = store();
        let position = build(&config, &store)?;
        let block = BlockConfig::new(
            AttentionConfig::new(D_MODEL, N_HEADS)?,
            MlpConfig::new(D_MODEL, 8)?,
        )?;
        let stack = Stack::new(&StackConfig::new(block, 1)?, store.var_builder())?;
        assert_eq!(
            store.get("position.weight").is_some(),
            config == EncodingConfig::Learnt
        );
        let mask = mask(Pattern::Causal);
        let context = Context {
            mask: &mask,
            position: &*position,
            pass: Pass::train(1, 1),
        };
        let x = position.embed(&randn(1, (8, D_MODEL))?, &mask)?;
        let y = stack.forward(&x, context)?;
        reach(
            &(y * randn(2, (8, D_MODEL))?)?.sum_all()?,
            store.named_vars(),
        )?;
    }
    Ok(())
}

#[test]
fn single_precision_is_close_to_double() -> Result {
    for config in all() {
        let run = |dtype: DType| -> Result<Tensor> {
            let store = ParamStore::new(1, dtype, &Device::Cpu);
            let position = build(&config, &store)?;
            let mask = mask(Pattern::Causal);
            let x = position.embed(&heads(1)?.flatten_from(1)?.to_dtype(dtype)?, &mask)?;
            let q = x.reshape((8, N_HEADS, HEAD_DIM))?;
            Ok(attend(&q, &q, &q, &mask, &*position)?)
        };
        // 24 bits, and a few dozen operations on numbers below ten.
        assert_close(&run(DType::F32)?, &run(DType::F64)?, 1e-5)?;
    }
    Ok(())
}
