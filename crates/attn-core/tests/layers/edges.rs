//! Attention along edges: layers, the hooks for edges, and masks that mean the same.

use std::sync::Arc;

use attn_core::mask::Csr;
use attn_core::{
    AttentionConfig, Context, EdgeBias, Mask, MultiHeadAttention, NoPosition, Pass, Pattern,
    Position, RelativeBias, attend, attention_weights,
};
use candle_core::{Tensor, Var};
use proptest::prelude::*;
use testkit::{assert_close, gradcheck_all, oracle, randn, reach};

use super::attention::definition;
use super::{ROUNDING, Result, bits, mask, param, patterns, shake, store};

const D_MODEL: usize = 8;

/// The edges of the pairs that `mask` grants.
fn as_edges(mask: &Mask) -> Pattern {
    let n = mask.n_queries();
    let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    let granted = pairs.filter(|&(i, j)| mask.allows(i, j));
    let (destinations, sources): (Vec<_>, Vec<_>) =
        granted.map(|(i, j)| (i as u32, j as u32)).unzip();
    let edges = Csr::from_edge_index(n, &sources, &destinations).expect("valid edges");
    Pattern::Edges(Arc::new(edges))
}

/// A graph of seven rows in two parts; row 2 reads nothing, row 3 is not read.
pub(super) fn graph() -> Result<Mask> {
    let sources = [1, 2, 0, 1, 4, 5, 6, 4, 6];
    let destinations = [0, 0, 1, 3, 4, 4, 4, 5, 6];
    let edges = Csr::from_edge_index(7, &sources, &destinations)?;
    Ok(Mask::new(Pattern::Edges(edges.into()), [0, 4, 7])?)
}

/// Hooks with whatever is set.
#[derive(Debug, Default)]
struct Hooks {
    by_distance: Option<RelativeBias>,
    by_kind: Option<EdgeBias>,
    features: Option<Tensor>,
}

impl Position for Hooks {
    fn bias(&self, _: &Mask) -> candle_core::Result<Option<RelativeBias>> {
        Ok(self.by_distance.clone())
    }

    fn edge_bias(&self, _: &Mask) -> candle_core::Result<Option<EdgeBias>> {
        Ok(self.by_kind.clone())
    }

    fn edge_features(&self, _: &Mask) -> candle_core::Result<Option<Tensor>> {
        Ok(self.features.clone())
    }
}

#[test]
fn a_layer_along_edges_is_its_definition_with_its_gradients() -> Result {
    let x = Var::from_tensor(&randn(9, (7, D_MODEL))?)?;
    let mask = graph()?;
    let plain = AttentionConfig::new(D_MODEL, 4)?;
    for config in [
        plain,
        plain.with_kv_heads(2)?.with_qk_norm(true).with_bias(true),
    ] {
        let store = store();
        let layer = MultiHeadAttention::new(&config, store.var_builder())?;
        shake(&store)?;
        let y = layer.forward(&x, Context::eval(&mask))?;
        assert_close(&y, &definition(&config, &store, "", &x, &mask)?, ROUNDING)?;
        let vars = store.named_vars();
        let mut inputs = vec![("x", &x)];
        inputs.extend(vars.iter().map(|(name, var)| (name.as_str(), var)));
        gradcheck_all(&inputs, || layer.forward(&x, Context::eval(&mask)))?;
        let loss = layer.forward(&x, Context::eval(&mask))?.sqr()?.sum_all()?;
        // The bias of the keys moves all scores of a row alike: its gradient is zero.
        let moves = |name: &str| name != "wk.bias";
        reach(&loss, vars.iter().filter(|(name, _)| moves(name)).cloned())?;
    }
    Ok(())
}

#[test]
fn every_pattern_and_its_edges_make_the_same_layer() -> Result {
    let x = Var::from_tensor(&randn(9, (7, D_MODEL))?)?;
    let store = store();
    let config = AttentionConfig::new(D_MODEL, 2)?;
    let layer = MultiHeadAttention::new(&config, store.var_builder())?;
    shake(&store)?;
    for pattern in patterns() {
        let spans = mask(pattern);
        let edges = mask(as_edges(&spans));
        let mut seen = Vec::new();
        for mask in [&spans, &edges] {
            let y = layer.forward(&x, Context::eval(mask))?;
            let grads = y.sqr()?.sum_all()?.backward()?;
            let mut all = vec![y];
            for (_, var) in store
                .named_vars()
                .into_iter()
                .chain([("x".into(), x.clone())])
            {
                all.push(grads.get(&var).ok_or("no gradient")?.clone());
            }
            seen.push(all);
        }
        for (spans, edges) in seen[0].iter().zip(&seen[1]) {
            assert_close(edges, spans, 100.0 * ROUNDING)?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_graph_is_attended_along_as_its_mask_allows(
        pairs in prop::collection::btree_set((0u32..9, 0u32..9), 0..30),
        wall in 0u32..10,
    ) {
        let apart = |i: u32| i < wall;
        let pairs = pairs.into_iter().filter(|&(i, j)| apart(i) == apart(j));
        let (destinations, sources): (Vec<_>, Vec<_>) = pairs.unzip();
        let edges = Csr::from_edge_index(9, &sources, &destinations).unwrap();
        let mask = Mask::new(Pattern::Edges(edges.into()), [0, wall, 9]).unwrap();
        let (q, k, v) = (randn(1, (9, 4)).unwrap(), randn(2, (9, 2)).unwrap(), randn(3, (9, 2)).unwrap());
        let attention = oracle::Attention {
            n_heads: 4,
            n_kv_heads: 2,
            scale: 1.0,
            ..Default::default()
        };
        let want = oracle::attention(&q, &k, &v, &attention, |i, j| mask.allows(i, j)).unwrap();
        let heads = |x: &Tensor, h: usize| x.reshape((9, h, 1)).unwrap();
        let y = attend(&heads(&q, 4), &heads(&k, 2), &heads(&v, 2), &mask, &NoPosition).unwrap();
        assert_close(&y.flatten_from(1).unwrap(), &want, ROUNDING).unwrap();
    }
}

#[test]
fn weights_along_edges_are_those_that_attention_used() -> Result {
    let mask = graph()?;
    let (q, k) = (randn(1, (7, 8))?, randn(2, (7, 4))?);
    let attention = oracle::Attention {
        n_heads: 4,
        n_kv_heads: 2,
        scale: 1.0 / 2f64.sqrt(),
        ..Default::default()
    };
    let all = oracle::attention_weights(&q, &k, &attention, |i, j| mask.allows(i, j))?;
    let (heads, rows) = ([3, 0], [6, 2, 4]);
    let (q, k) = (q.reshape((7, 4, 2))?, k.reshape((7, 2, 2))?);
    let got = attention_weights(&q, &k, &mask, &NoPosition, &heads, &rows)?;
    let mut want = Vec::new();
    for &h in &heads {
        rows.iter()
            .for_each(|&i| want.extend_from_slice(&all[h][i]));
    }
    let want = Tensor::from_vec(want, (2, 3, 7), q.device())?;
    assert_close(&got, &want, ROUNDING)?;
    assert!(attention_weights(&q, &k, &mask, &NoPosition, &[4], &[0]).is_err());
    assert!(attention_weights(&q, &k, &mask, &NoPosition, &[0], &[7]).is_err());
    Ok(())
}

#[test]
fn a_bias_by_distance_holds_along_edges_too() -> Result {
    for pattern in patterns() {
        let spans = mask(pattern);
        let edges = mask(as_edges(&spans));
        let hooks = |mask: &Mask| -> Result<Hooks> {
            Ok(Hooks {
                by_distance: Some(RelativeBias {
                    table: randn(5, (2, 4))?,
                    offset: 1,
                    query_positions: mask.positions(),
                    key_positions: mask.key_positions(),
                }),
                ..Hooks::default()
            })
        };
        let x = |seed| randn(seed, (7, 2, 3));
        let (q, k, v) = (x(1)?, x(2)?, x(3)?);
        let want = attend(&q, &k, &v, &spans, &hooks(&spans)?)?;
        assert_close(
            &attend(&q, &k, &v, &edges, &hooks(&edges)?)?,
            &want,
            ROUNDING,
        )?;
    }
    Ok(())
}

#[test]
fn kinds_and_features_of_edges_have_their_gradients() -> Result {
    let mask = graph()?;
    let n_edges = mask.edges().ok_or("no edges")?.n_edges();
    let store = store();
    let config = AttentionConfig::new(D_MODEL, 2)?
        .with_edge_features(3)?
        .with_dropout(0.3, 0.0)?;
    let layer = MultiHeadAttention::new(&config, store.var_builder())?;
    shake(&store)?;
    let x = Var::from_tensor(&randn(9, (7, D_MODEL))?)?;
    let table = Var::from_tensor(&randn(8, (2, 3))?)?;
    let features = Var::from_tensor(&randn(7, (n_edges, 3))?)?;
    let hooks = Hooks {
        by_kind: Some(EdgeBias {
            table: table.as_tensor().clone(),
            buckets: (0..n_edges as u32).map(|e| e % 3).collect(),
        }),
        features: Some(features.as_tensor().clone()),
        ..Hooks::default()
    };
    let context = Context {
        position: &hooks,
        pass: Pass::train(1, 2),
        ..Context::eval(&mask)
    };
    let vars = store.named_vars();
    assert!(param(&store, "we.weight").is_some());
    let mut inputs = vec![("x", &x), ("table", &table), ("features", &features)];
    inputs.extend(vars.iter().map(|(name, var)| (name.as_str(), var)));
    gradcheck_all(&inputs, || layer.forward(&x, context))?;
    let loss = layer.forward(&x, context)?.sqr()?.sum_all()?;
    reach(&loss, vars.iter().cloned())?;
    Ok(())
}

#[test]
fn hooks_that_disagree_are_errors_with_a_reason() -> Result {
    let mask = graph()?;
    let n_edges = mask.edges().ok_or("no edges")?.n_edges();
    let x = randn(9, (7, D_MODEL))?;
    let plain = AttentionConfig::new(D_MODEL, 2)?;
    let error = |config: AttentionConfig, mask: &Mask, hooks: &Hooks| -> Result<String> {
        let layer = MultiHeadAttention::new(&config, store().var_builder())?;
        let context = Context {
            position: hooks,
            ..Context::eval(mask)
        };
        let error = layer.forward(&x, context).err().ok_or("no error")?;
        Ok(error.to_string())
    };
    let features = Hooks {
        features: Some(randn(7, (n_edges, 3))?),
        ..Hooks::default()
    };
    let unmapped = error(plain, &mask, &features)?;
    assert!(unmapped.contains("no map `we`"), "{unmapped}");
    let mapped = plain.with_edge_features(3)?;
    let none = error(mapped, &mask, &Hooks::default())?;
    assert!(none.contains("no edge has any"), "{none}");
    let full = error(mapped, &Mask::single(Pattern::Full, 7)?, &features)?;
    assert!(full.contains("no edges"), "{full}");
    let both = Hooks {
        by_kind: Some(EdgeBias {
            table: randn(1, (2, 1))?,
            buckets: vec![0; n_edges].into(),
        }),
        by_distance: Some(RelativeBias {
            table: randn(1, (2, 1))?,
            offset: 0,
            query_positions: mask.positions(),
            key_positions: mask.positions(),
        }),
        ..Hooks::default()
    };
    let both = error(plain, &mask, &both)?;
    assert!(both.contains("at once"), "{both}");
    assert!(plain.with_edge_features(0).is_err());
    Ok(())
}

#[test]
fn masks_of_the_same_edges_share_one_transpose() -> Result {
    let Pattern::Edges(edges) = graph()?.pattern().clone() else {
        return Err("no edges".into());
    };
    let masks = [
        Mask::new(Pattern::Edges(edges.clone()), [0, 4, 7])?,
        Mask::new(Pattern::Edges(edges), [0, 7])?,
    ];
    let [a, b] = [masks[0].edges(), masks[1].edges()];
    assert!(Arc::ptr_eq(a.ok_or("no edges")?, b.ok_or("no edges")?));
    assert!(mask(Pattern::Full).edges().is_none());
    Ok(())
}

#[test]
fn rows_that_are_not_read_change_nothing() -> Result {
    let mask = graph()?;
    let store = store();
    let layer = MultiHeadAttention::new(&AttentionConfig::new(D_MODEL, 2)?, store.var_builder())?;
    shake(&store)?;
    let x = randn(9, (7, D_MODEL))?;
    let before = layer.forward(&x, Context::eval(&mask))?;
    for changed in 0..7 {
        let row = x.get(changed)?.affine(0.0, 3.0)?.unsqueeze(0)?;
        let other = x.slice_assign(&[changed..changed + 1, 0..D_MODEL], &row)?;
        let after = layer.forward(&other, Context::eval(&mask))?;
        for i in (0..7).filter(|&i| i != changed) {
            let same = bits(&before.get(i)?)? == bits(&after.get(i)?)?;
            assert_eq!(same, !mask.allows(i, changed), "row {i}, changed {changed}");
        }
    }
    Ok(())
}
