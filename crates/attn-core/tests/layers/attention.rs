//! Multi-head attention and `attend`.

use attn_core::{
    AttentionConfig, Context, Mask, MultiHeadAttention, NoPosition, ParamStore, Pass, Pattern,
    attend, attention_weights,
};
use candle_core::{Tensor, Var};
use testkit::{assert_close, gradcheck_all, oracle, randn, reach};

use super::{ROUNDING, Result, bits, mask, param, patterns, pick, shake, store};

const D_MODEL: usize = 8;

/// One of each option that changes the equation.
fn configs() -> Result<[AttentionConfig; 4]> {
    let plain = AttentionConfig::new(D_MODEL, 2)?;
    Ok([
        plain,
        plain.with_bias(true),
        plain.with_qk_norm(true),
        AttentionConfig::new(D_MODEL, 4)?
            .with_kv_heads(2)?
            .with_bias(true),
    ])
}

fn layer(config: &AttentionConfig) -> Result<(ParamStore, MultiHeadAttention)> {
    let store = store();
    let layer = MultiHeadAttention::new(config, store.var_builder())?;
    shake(&store)?;
    Ok((store, layer))
}

/// The layer, written with plain loops.
pub(super) fn definition(
    config: &AttentionConfig,
    store: &ParamStore,
    prefix: &str,
    x: &Tensor,
    mask: &Mask,
) -> Result<Tensor> {
    let map = |name: &str, x: &Tensor| -> Result<Tensor> {
        let weight = param(store, &format!("{prefix}{name}.weight")).ok_or("no weight")?;
        let bias = param(store, &format!("{prefix}{name}.bias"));
        Ok(oracle::linear(x, &weight, bias.as_ref())?)
    };
    let norm = |name: &str, x: Tensor| -> Result<Tensor> {
        let Some(gamma) = param(store, &format!("{prefix}{name}.weight")) else {
            return Ok(x);
        };
        let heads = x.reshape(((), config.head_dim()))?;
        Ok(oracle::rms_norm(&heads, &gamma, 1e-5)?.reshape(x.dims())?)
    };
    let (q, k) = (
        norm("q_norm", map("wq", x)?)?,
        norm("k_norm", map("wk", x)?)?,
    );
    let attention = oracle::Attention {
        n_heads: config.n_heads(),
        n_kv_heads: config.n_kv_heads(),
        scale: 1.0 / (config.head_dim() as f64).sqrt(),
        ..Default::default()
    };
    let y = oracle::attention(&q, &k, &map("wv", x)?, &attention, |i, j| mask.allows(i, j))?;
    map("wo", &y)
}

#[test]
fn forward_is_its_definition_under_every_pattern() -> Result {
    let x = randn(9, (7, D_MODEL))?;
    for config in configs()? {
        let (store, layer) = layer(&config)?;
        for pattern in patterns() {
            let mask = mask(pattern);
            let y = layer.forward(&x, Context::eval(&mask))?;
            assert_close(&y, &definition(&config, &store, "", &x, &mask)?, ROUNDING)?;
        }
    }
    Ok(())
}

#[test]
fn gradients_are_right_and_reach_every_parameter() -> Result {
    let x = Var::from_tensor(&randn(9, (7, D_MODEL))?)?;
    for (config, pattern) in configs()?.iter().zip(patterns()) {
        let (store, layer) = layer(config)?;
        let mask = mask(pattern);
        let vars = store.named_vars();
        // The bias of the keys moves all scores of a query alike: its gradient is zero.
        let moves = |name: &str| name != "wk.bias";
        let mut inputs = vec![("x", &x)];
        inputs.extend(vars.iter().map(|(name, var)| (name.as_str(), var)));
        gradcheck_all(&inputs, || layer.forward(&x, Context::eval(&mask)))?;
        let loss = layer.forward(&x, Context::eval(&mask))?.sqr()?.sum_all()?;
        reach(&loss, vars.iter().filter(|(name, _)| moves(name)).cloned())?;
    }
    Ok(())
}

#[test]
fn gradients_are_right_with_dropout() -> Result {
    let config = AttentionConfig::new(D_MODEL, 2)?.with_dropout(0.3, 0.2)?;
    let (store, layer) = layer(&config)?;
    let x = Var::from_tensor(&randn(9, (7, D_MODEL))?)?;
    let mask = mask(Pattern::Causal);
    let vars = store.named_vars();
    let mut inputs = vec![("x", &x)];
    inputs.extend(vars.iter().map(|(name, var)| (name.as_str(), var)));
    let context = Context {
        pass: Pass::train(5, 6),
        ..Context::eval(&mask)
    };
    gradcheck_all(&inputs, || layer.forward(&x, context))?;
    let (trained, evaluated) = (
        layer.forward(&x, context)?,
        layer.forward(&x, Context::eval(&mask))?,
    );
    assert_ne!(bits(&trained)?, bits(&evaluated)?);
    Ok(())
}

#[test]
fn the_future_cannot_change_the_past_nor_one_sequence_another() -> Result {
    let x = randn(9, (7, D_MODEL))?;
    for config in configs()? {
        let (_, layer) = layer(&config)?;
        let mask = mask(Pattern::Causal);
        let before = layer.forward(&x, Context::eval(&mask))?;
        for changed in 0..7 {
            let row = x.get(changed)?.affine(0.0, 3.0)?.unsqueeze(0)?;
            let other = x.slice_assign(&[changed..changed + 1, 0..D_MODEL], &row)?;
            let after = layer.forward(&other, Context::eval(&mask))?;
            for i in 0..7 {
                let same = bits(&before.get(i)?)? == bits(&after.get(i)?)?;
                assert_eq!(same, !mask.allows(i, changed), "row {i}, changed {changed}");
            }
        }
    }
    Ok(())
}

#[test]
fn sequences_may_come_in_any_order() -> Result {
    let x = randn(9, (7, D_MODEL))?;
    let rows = [4, 5, 6, 0, 1, 2, 3];
    for pattern in patterns() {
        let (_, layer) = layer(&configs()?[0])?;
        let y = layer.forward(&x, Context::eval(&mask(pattern.clone())))?;
        let swapped = Mask::new(pattern, [0, 3, 7])?;
        let z = layer.forward(&pick(&x, &rows)?, Context::eval(&swapped))?;
        assert_close(&z, &pick(&y, &rows)?, ROUNDING)?;
    }
    Ok(())
}

#[test]
fn the_layer_is_attend_between_its_maps() -> Result {
    let config = AttentionConfig::new(D_MODEL, 4)?.with_kv_heads(2)?;
    let (store, layer) = layer(&config)?;
    let x = randn(9, (7, D_MODEL))?;
    let map = |name: &str, x: &Tensor| -> Result<Tensor> {
        let weight = param(&store, &format!("{name}.weight")).ok_or("no weight")?;
        Ok(kernels::linear(x, &weight, None, None, None)?)
    };
    for pattern in patterns() {
        let mask = mask(pattern);
        let q = map("wq", &x)?.reshape((7, 4, 2))?;
        let k = map("wk", &x)?.reshape((7, 2, 2))?;
        let v = map("wv", &x)?.reshape((7, 2, 2))?;
        let y = attend(&q, &k, &v, &mask, &NoPosition)?;
        let y = map("wo", &y.flatten_from(1)?)?;
        assert_close(&layer.forward(&x, Context::eval(&mask))?, &y, ROUNDING)?;
    }
    Ok(())
}

#[test]
fn weights_are_those_that_attention_used() -> Result {
    let config = AttentionConfig::new(D_MODEL, 4)?.with_kv_heads(2)?;
    let (_, layer) = layer(&config)?;
    let x = randn(9, (7, D_MODEL))?;
    let attention = oracle::Attention {
        n_heads: 4,
        n_kv_heads: 2,
        scale: 1.0 / 2f64.sqrt(),
        ..Default::default()
    };
    for pattern in patterns() {
        let mask = mask(pattern);
        let (q, k) = (randn(1, (7, 8))?, randn(2, (7, 4))?);
        let all = oracle::attention_weights(&q, &k, &attention, |i, j| mask.allows(i, j))?;
        let (heads, rows) = ([3, 0], [6, 1, 1]);
        let (q, k) = (q.reshape((7, 4, 2))?, k.reshape((7, 2, 2))?);
        let got = attention_weights(&q, &k, &mask, &NoPosition, &heads, &rows)?;
        let mut want = Vec::new();
        for &h in &heads {
            rows.iter()
                .for_each(|&i| want.extend_from_slice(&all[h][i]));
        }
        assert_close(
            &got,
            &Tensor::from_vec(want, (2, 3, 7), x.device())?,
            ROUNDING,
        )?;
        let of_layer = layer.weights(&x, Context::eval(&mask), &heads, &rows)?;
        let sums = of_layer.sum(2)?.flatten_all()?.to_vec1::<f64>()?;
        assert!(
            sums.iter().all(|sum| (sum - 1.0).abs() < ROUNDING),
            "{sums:?}"
        );
    }
    let mask = mask(Pattern::Full);
    assert!(layer.weights(&x, Context::eval(&mask), &[4], &[0]).is_err());
    assert!(layer.weights(&x, Context::eval(&mask), &[0], &[7]).is_err());
    Ok(())
}

#[test]
fn wrong_sizes_are_errors_with_a_reason() -> Result {
    let (_, layer) = layer(&configs()?[0])?;
    let x = randn(9, (7, D_MODEL))?;
    let short = Mask::single(Pattern::Causal, 6)?;
    assert!(layer.forward(&x, Context::eval(&short)).is_err());
    let cached = Mask::decode(Pattern::Causal, &[1], &[7])?;
    let error = layer
        .forward(&x, Context::eval(&cached))
        .unwrap_err()
        .to_string();
    assert!(error.contains("no cache"), "{error}");
    Ok(())
}
