//! Layers that treat every row alone.

use std::sync::Arc;

use attn_core::{
    Dropout, Embedding, Linear, Mlp, MlpConfig, MlpKind, Norm, NormConfig, NormKind, Pass,
    WeightInit,
};
use candle_core::{Device, Tensor, Var};
use candle_nn::{Init, Module};
use testkit::{assert_close, gradcheck_all, oracle, randn, reach};

use super::{ROUNDING, Result, bits, param, shake, store};

const NORMAL: Init = Init::Randn {
    mean: 0.0,
    stdev: 0.3,
};

#[test]
fn linear_is_its_definition_and_its_gradient_is_right() -> Result {
    for bias in [false, true] {
        let store = store();
        let layer = Linear::new(3, 4, bias, NORMAL, store.var_builder().pp("w"))?;
        shake(&store)?;
        let (x, residual) = (Var::from_tensor(&randn(1, (5, 3))?)?, randn(2, (5, 4))?);
        let y = layer.forward_with(&x, None, Some(&residual))?;
        let weight = param(&store, "w.weight").ok_or("no weight")?;
        let want = oracle::linear(&x, &weight, param(&store, "w.bias").as_ref())?;
        assert_close(&y, &(want + &residual)?, ROUNDING)?;

        let vars = store.named_vars();
        let mut inputs = vec![("x", &x)];
        inputs.extend(vars.iter().map(|(name, var)| (name.as_str(), var)));
        gradcheck_all(&inputs, || layer.forward(&x))?;
        reach(&y.sqr()?.sum_all()?, vars.clone())?;
    }
    Ok(())
}

#[test]
fn norms_are_their_definitions_and_their_gradients_are_right() -> Result {
    for (config, bias) in [
        (NormConfig::new(NormKind::Layer), true),
        (NormConfig::new(NormKind::Layer).with_bias(false), false),
        (NormConfig::new(NormKind::Rms).with_eps(1e-3)?, false),
    ] {
        let store = store();
        let norm = Norm::new(&config, 6, store.var_builder().pp("norm"))?;
        assert_eq!(store.get("norm.bias").is_some(), bias);
        shake(&store)?;
        let (x, residual) = (Var::from_tensor(&randn(1, (4, 6))?)?, randn(2, (4, 6))?);
        let gamma = param(&store, "norm.weight").ok_or("no weight")?;
        let beta = param(&store, "norm.bias");
        let definition = |x: &Tensor| match config.kind() {
            NormKind::Layer => oracle::layer_norm(x, &gamma, beta.as_ref(), config.eps()),
            NormKind::Rms => oracle::rms_norm(x, &gamma, config.eps()),
        };
        assert_close(&norm.forward(&x)?, &definition(&x)?, ROUNDING)?;
        let y = norm.forward_with(&x, Some(&residual))?;
        assert_close(&y, &definition(&(x.as_tensor() + &residual)?)?, ROUNDING)?;

        let vars = store.named_vars();
        let mut inputs = vec![("x", &x)];
        inputs.extend(vars.iter().map(|(name, var)| (name.as_str(), var)));
        gradcheck_all(&inputs, || norm.forward_with(&x, Some(&residual)))?;
        reach(&(y * randn(3, (4, 6))?)?.sum_all()?, vars.clone())?;
    }
    Ok(())
}

#[test]
fn embedding_looks_up_rows_and_its_gradient_is_right() -> Result {
    let store = store();
    let layer = Embedding::new(4, 3, NORMAL, store.var_builder())?;
    let ids: Arc<[u32]> = [2, 0, 2, 3].into();
    let table = store.get("weight").ok_or("no table")?;
    let y = layer.lookup(ids.clone())?;
    assert_close(&y, &oracle::embedding(&ids, &table)?, 0.0)?;
    gradcheck_all(&[("table", &table)], || layer.lookup(ids.clone()))?;
    reach(&y.sum_all()?, [("table", &table)])?;

    let square = Tensor::new(&[[2u32, 0], [2, 3]], &Device::Cpu)?;
    assert_eq!(layer.forward(&square)?.dims(), [2, 2, 3]);
    assert_eq!(bits(&layer.forward(&square)?)?, bits(&y)?);
    assert!(layer.lookup([4].into()).is_err());
    Ok(())
}

#[test]
fn mlp_is_its_definition_and_its_gradient_is_right() -> Result {
    for (kind, bend) in [
        (MlpKind::Gelu, Some(oracle::gelu_tanh as fn(f64) -> f64)),
        (MlpKind::GeluErf, Some(oracle::gelu_erf)),
        (MlpKind::Relu, Some(oracle::relu)),
        (MlpKind::Silu, Some(oracle::silu)),
        (MlpKind::SwiGlu, None),
    ] {
        let store = store();
        let config = MlpConfig::new(3, 5)?
            .with_kind(kind)
            .with_bias(kind == MlpKind::Gelu);
        let mlp = Mlp::new(&config, store.var_builder())?;
        shake(&store)?;
        let (x, residual) = (Var::from_tensor(&randn(1, (4, 3))?)?, randn(2, (4, 3))?);
        let map = |name: &str, x: &Tensor| {
            let weight = param(&store, &format!("{name}.weight")).expect("a weight");
            oracle::linear(x, &weight, param(&store, &format!("{name}.bias")).as_ref())
        };
        let up = map("up", &x)?;
        let inner = match bend {
            Some(bend) => oracle::map(&up, bend)?,
            None => oracle::swiglu(&map("gate", &x)?, &up)?,
        };
        let want = (map("down", &inner)? + &residual)?;
        let y = mlp.forward_with(&x, Some(&residual), Pass::eval())?;
        assert_close(&y, &want, ROUNDING)?;
        assert_close(&mlp.forward(&x)?, &(want - &residual)?, ROUNDING)?;

        let vars = store.named_vars();
        let mut inputs = vec![("x", &x)];
        inputs.extend(vars.iter().map(|(name, var)| (name.as_str(), var)));
        gradcheck_all(&inputs, || mlp.forward(&x))?;
        reach(&y.sqr()?.sum_all()?, vars.clone())?;
    }
    Ok(())
}

#[test]
fn rectangles_are_rows() -> Result {
    let store = store();
    let linear = Linear::new(3, 4, true, NORMAL, store.var_builder().pp("linear"))?;
    let norm = Norm::new(
        &NormConfig::new(NormKind::Layer),
        3,
        store.var_builder().pp("norm"),
    )?;
    let mlp = Mlp::new(&MlpConfig::new(3, 6)?, store.var_builder().pp("mlp"))?;
    let layers: [&dyn Module; 3] = [&linear, &norm, &mlp];
    let x = randn(1, (2, 5, 3))?;
    for layer in layers {
        let rectangle = layer.forward(&x)?;
        assert_eq!(&rectangle.dims()[..2], [2, 5]);
        assert_eq!(bits(&rectangle)?, bits(&layer.forward(&x.flatten_to(1)?)?)?);
        let one = layer.forward(&x.flatten_to(1)?.get(3)?)?;
        assert_close(&one, &layer.forward(&x.flatten_to(1)?)?.get(3)?, ROUNDING)?;
    }
    Ok(())
}

#[test]
fn dropout_keeps_the_mean_and_depends_on_pass_and_place() -> Result {
    let (vb, p) = (store().var_builder(), 0.25);
    let here = Dropout::new(p, &vb.pp("a"));
    let x = Tensor::ones((100, 100), candle_core::DType::F64, &Device::Cpu)?;
    let y = here.forward(&x, None, Pass::train(1, 2))?;
    let values = y.flatten_all()?.to_vec1::<f64>()?;
    let kept = values.iter().filter(|&&value| value != 0.0).count() as f64 / 10_000.0;
    // Five standard errors of 10,000 draws.
    assert!(
        (kept - 0.75).abs() < 5.0 * (0.25f64 * 0.75 / 10_000.0).sqrt(),
        "kept {kept}"
    );
    assert!(
        values
            .iter()
            .all(|&value| value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6)
    );

    let again = here.forward(&x, None, Pass::train(1, 2))?;
    assert_eq!(bits(&again)?, bits(&y)?);
    for other in [
        here.forward(&x, None, Pass::train(2, 2))?,
        here.forward(&x, None, Pass::train(1, 3))?,
        Dropout::new(p, &vb.pp("b")).forward(&x, None, Pass::train(1, 2))?,
    ] {
        assert_ne!(bits(&other)?, bits(&y)?);
    }
    assert_eq!(bits(&here.forward(&x, None, Pass::eval())?)?, bits(&x)?);
    Ok(())
}

#[test]
fn dropout_adds_the_residual_and_its_gradient_is_right() -> Result {
    let layer = Dropout::new(0.5, &store().var_builder());
    let x = Var::from_tensor(&randn(1, (4, 3))?)?;
    let residual = Var::from_tensor(&randn(2, (4, 3))?)?;
    let inputs = [("x", &x), ("residual", &residual)];
    for pass in [Pass::train(3, 4), Pass::eval()] {
        let sum = layer.forward(&x, Some(&residual), pass)?;
        let apart = (layer.forward(&x, None, pass)? + residual.as_tensor())?;
        assert_close(&sum, &apart, ROUNDING)?;
        gradcheck_all(&inputs, || layer.forward(&x, Some(&residual), pass))?;
        reach(&sum.sum_all()?, inputs)?;
    }
    Ok(())
}

#[test]
fn weights_that_write_to_the_stream_start_smaller() -> Result {
    let store = store();
    let config = MlpConfig::new(64, 64)?.with_init(WeightInit::default().for_depth(8));
    Mlp::new(&config, store.var_builder())?;
    let spread = |name: &str| -> Result<f64> {
        let weight = param(&store, name).ok_or("no weight")?;
        Ok(weight.sqr()?.mean_all()?.to_scalar::<f64>()?.sqrt())
    };
    // 4,096 draws: five standard errors are 5.5 %.
    assert!((spread("up.weight")? / 0.02 - 1.0).abs() < 0.055);
    assert!((spread("down.weight")? / (0.02 / 16f64.sqrt()) - 1.0).abs() < 0.055);
    Ok(())
}
