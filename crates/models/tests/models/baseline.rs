//! Backbones that are not attention: against plain definitions, differences, and what
//! they promise.

use std::sync::Arc;

use attn_core::{ParamStore, Pass};
use candle_core::{DType, Device, Result, Tensor, Var};
use models::baseline::{Cell, Cnn1d, Cnn1dConfig, Cnn2d, Cnn2dConfig, Grid, Reach, Rnn, RnnConfig};
use testkit::oracle::{self, Slide};
use testkit::{assert_close, gradcheck_all, randn, reach};

use crate::made::Outcome;

const REACHES: [Reach; 2] = [Reach::Past, Reach::Whole];
const WALLS: [u32; 5] = [0, 4, 5, 5, 9];

fn store() -> ParamStore {
    ParamStore::new(3, DType::F64, &Device::Cpu)
}

/// Moves every parameter off its first value, zeros and ones above all.
fn shake(store: &ParamStore) -> Result<()> {
    for (i, var) in store.vars().iter().enumerate() {
        let noise = (randn(100 + i as u64, var.shape())? * 0.2)?;
        var.set(&(var.as_tensor() + noise)?)?;
    }
    Ok(())
}

fn rnns() -> Outcome<Vec<RnnConfig>> {
    let mut configs = Vec::new();
    for cell in [Cell::Gru, Cell::Lstm] {
        for reach in REACHES {
            for bias in [true, false] {
                configs.push(RnnConfig::new(cell, 6, 2, reach)?.with_bias(bias));
            }
        }
    }
    Ok(configs)
}

fn cnns() -> Outcome<Vec<Cnn1dConfig>> {
    let mut configs = Vec::new();
    for reach in REACHES {
        for bias in [true, false] {
            configs.push(Cnn1dConfig::new(6, 2, 3, reach)?.with_bias(bias));
        }
    }
    Ok(configs)
}

fn images() -> Outcome<Vec<Cnn2dConfig>> {
    let config = Cnn2dConfig::new(2, 5, 3, 3)?;
    Ok(vec![config, config.with_bias(false)])
}

const GRID: Grid = Grid {
    height: 5,
    width: 4,
};

/// A backbone over rows: what maps them, its store, and how many parameters it counts.
type Backbone = Box<dyn Fn(&Tensor, Pass) -> Result<Tensor>>;

fn over_sequences(walls: &[u32]) -> Outcome<Vec<(String, Backbone, ParamStore, u64)>> {
    let walls: Arc<[u32]> = walls.into();
    let mut all: Vec<(String, Backbone, ParamStore, u64)> = Vec::new();
    for config in rnns()? {
        let (store, walls) = (store(), walls.clone());
        let rnn = Rnn::new(&config, store.var_builder())?;
        let forward: Backbone = Box::new(move |x, pass| rnn.forward(x, &walls, pass));
        all.push((format!("{config:?}"), forward, store, config.n_params()));
    }
    for config in cnns()? {
        let (store, walls) = (store(), walls.clone());
        let cnn = Cnn1d::new(&config, store.var_builder())?;
        let forward: Backbone = Box::new(move |x, pass| cnn.forward(x, &walls, pass));
        all.push((format!("{config:?}"), forward, store, config.n_params()));
    }
    Ok(all)
}

fn over_images() -> Outcome<Vec<(String, Backbone, ParamStore, u64)>> {
    let mut all: Vec<(String, Backbone, ParamStore, u64)> = Vec::new();
    for config in images()? {
        let store = store();
        let cnn = Cnn2d::new(&config, store.var_builder())?;
        let forward: Backbone = Box::new(move |x, pass| Ok(cnn.forward(x, 2, GRID, pass)?.rows));
        all.push((format!("{config:?}"), forward, store, config.n_params()));
    }
    Ok(all)
}

fn named(store: &ParamStore, name: &str) -> Option<Tensor> {
    store.get(name).map(|var| var.as_tensor().clone())
}

fn weight(store: &ParamStore, name: &str) -> Tensor {
    named(store, name).unwrap_or_else(|| panic!("no parameter `{name}` in {:?}", store.names()))
}

#[test]
fn oracle_recurrent_layers_in_both_directions() -> Outcome {
    let x = randn(1, (9, 6))?;
    for config in rnns()? {
        let text = format!("{config:?}");
        let store = store();
        let rnn = Rnn::new(&config, store.var_builder())?;
        shake(&store)?;
        let norm = |x: &Tensor, at: &str| {
            let bias = named(&store, &format!("{at}.bias"));
            let w = weight(&store, &format!("{at}.weight"));
            oracle::layer_norm(x, &w, bias.as_ref(), 1e-5)
        };
        let mut want = x.clone();
        for i in 0..2 {
            want = norm(&want, &format!("blocks.{i}.norm"))?;
            let mut parts = Vec::new();
            for (name, from) in [
                ("forward", oracle::From::First),
                ("backward", oracle::From::Last),
            ] {
                let at = |part: &str| format!("blocks.{i}.{name}.{part}");
                let Some(w) = named(&store, &at("input.weight")) else {
                    continue;
                };
                let bias = named(&store, &at("input.bias"));
                let projected = oracle::linear(&want, &w, bias.as_ref())?;
                let (w, bias) = (
                    weight(&store, &at("state.weight")),
                    named(&store, &at("state.bias")),
                );
                let definition = match text.contains("Gru") {
                    true => oracle::gru,
                    false => oracle::lstm,
                };
                parts.push(definition(&projected, &w, bias.as_ref(), &WALLS, from)?);
            }
            want = Tensor::cat(&parts, 1)?;
        }
        let want = norm(&want, "norm")?;
        let got = rnn.forward(&x, &WALLS.into(), Pass::eval())?;
        assert_close(&got, &want, 1e-12)?;
    }
    Ok(())
}

#[test]
fn oracle_convolutions_over_sequences() -> Outcome {
    let x = randn(1, (9, 6))?;
    for (config, reach) in cnns()?
        .iter()
        .zip([REACHES[0], REACHES[0], REACHES[1], REACHES[1]])
    {
        let store = store();
        let cnn = Cnn1d::new(config, store.var_builder())?;
        shake(&store)?;
        let (before, after) = match reach {
            Reach::Past => (2, 0),
            Reach::Whole => (1, 1),
        };
        let slide = Slide {
            width: 3,
            stride: 1,
            before,
            after,
        };
        let norm = |x: &Tensor, at: &str| {
            let bias = named(&store, &format!("{at}.bias"));
            oracle::layer_norm(
                x,
                &weight(&store, &format!("{at}.weight")),
                bias.as_ref(),
                1e-5,
            )
        };
        let mut want = x.clone();
        for i in 0..2 {
            let rows = norm(&want, &format!("blocks.{i}.norm"))?;
            let rows = oracle::unfold_segments(&rows, &WALLS, slide)?;
            let w = weight(&store, &format!("blocks.{i}.conv.weight"));
            let bias = named(&store, &format!("blocks.{i}.conv.bias"));
            let y = oracle::linear(&rows, &w, bias.as_ref())?;
            want = (want + y.relu()?)?;
        }
        let want = norm(&want, "norm")?;
        let got = cnn.forward(&x, &WALLS.into(), Pass::eval())?;
        assert_close(&got, &want, 1e-12)?;
    }
    Ok(())
}

#[test]
fn oracle_convolutions_over_images() -> Outcome {
    let x = randn(1, (2 * GRID.len(), 2))?;
    for config in images()? {
        let store = store();
        let cnn = Cnn2d::new(&config, store.var_builder())?;
        shake(&store)?;
        let around = Slide {
            width: 3,
            stride: 1,
            before: 1,
            after: 1,
        };
        let pairs = Slide {
            width: 2,
            stride: 2,
            before: 0,
            after: 0,
        };
        let (mut want, mut size) = (x.clone(), (GRID.height, GRID.width));
        for i in 0..3 {
            let at = |part: &str| format!("blocks.{i}.{part}");
            let rows = oracle::unfold_images(&want, size, around, around)?;
            let bias = named(&store, &at("conv.bias"));
            let y = oracle::linear(&rows, &weight(&store, &at("conv.weight")), bias.as_ref())?;
            let bias = named(&store, &at("norm.bias"));
            let norm = weight(&store, &at("norm.weight"));
            want = oracle::layer_norm(&y, &norm, bias.as_ref(), 1e-5)?.relu()?;
            if i < 2 {
                want = oracle::max_pool_images(&want, size, pairs, pairs)?;
                size = (size.0 / 2, size.1 / 2);
            }
        }
        let maps = cnn.forward(&x, 2, GRID, Pass::eval())?;
        assert_close(&maps.rows, &want, 1e-12)?;
        assert_eq!((maps.grid.height, maps.grid.width), size);
        assert_eq!(maps.cu_seqlens[..], [0, 1, 2]);
    }
    Ok(())
}

#[test]
fn parameters_are_counted_before_they_are_made_and_all_are_reached() -> Outcome {
    let sequences = over_sequences(&WALLS)?.into_iter().map(|all| (all, 9, 6));
    let images = over_images()?
        .into_iter()
        .map(|all| (all, 2 * GRID.len(), 2));
    for ((name, forward, store, n_params), n, d) in sequences.chain(images) {
        assert_eq!(store.n_params() as u64, n_params, "{name}");
        shake(&store)?;
        let loss = forward(&randn(1, (n, d))?, Pass::eval())?
            .sqr()?
            .sum_all()?;
        reach(&loss, store.named_vars())?;
    }
    Ok(())
}

#[test]
fn gradients_match_differences_by_every_parameter_and_the_input() -> Outcome {
    let sequences = over_sequences(&[0, 3, 4])?
        .into_iter()
        .map(|all| (all, 4, 6));
    let images = over_images()?
        .into_iter()
        .map(|all| (all, 2 * GRID.len(), 2));
    for ((name, forward, store, _), n, d) in sequences.chain(images) {
        shake(&store)?;
        let x = Var::from_tensor(&randn(7, (n, d))?)?;
        let params = store.named_vars();
        let mut inputs: Vec<(&str, &Var)> = params
            .iter()
            .map(|(name, var)| (name.as_str(), var))
            .collect();
        inputs.push(("x", &x));
        gradcheck_all(&inputs, || forward(&x, Pass::eval()))
            .map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

#[test]
fn what_reaches_only_the_past_does_not_see_the_future_and_no_sequence_sees_another() -> Outcome {
    let x = randn(1, (9, 6))?;
    // The second and third sequence, and the end of the first, are others.
    let other = Tensor::cat(&[&x.narrow(0, 0, 2)?, &randn(2, (7, 6))?], 0)?;
    let whole = Tensor::cat(&[&x.narrow(0, 0, 4)?, &randn(3, (5, 6))?], 0)?;
    for (name, forward, store, _) in over_sequences(&WALLS)? {
        shake(&store)?;
        let rows = |x: &Tensor| forward(x, Pass::eval())?.to_vec2::<f64>();
        let (first, second) = (rows(&x)?, rows(&other)?);
        assert_eq!(first[..2] == second[..2], name.contains("Past"), "{name}");
        assert_eq!(first[..4], rows(&whole)?[..4], "{name}");
    }
    Ok(())
}

#[test]
fn dropout_draws_from_the_pass_alone() -> Outcome {
    let x = randn(1, (9, 6))?.to_dtype(DType::F32)?;
    let store = ParamStore::new(3, DType::F32, &Device::Cpu);
    let config = Cnn1dConfig::new(6, 2, 3, Reach::Whole)?.with_dropout(0.5)?;
    let cnn = Cnn1d::new(&config, store.var_builder().pp("cnn"))?;
    let config = RnnConfig::new(Cell::Gru, 6, 2, Reach::Whole)?.with_dropout(0.5)?;
    let rnn = Rnn::new(&config, store.var_builder().pp("rnn"))?;
    let walls: Arc<[u32]> = WALLS.into();
    for forward in [
        &(|pass| cnn.forward(&x, &walls, pass)) as &dyn Fn(Pass) -> Result<Tensor>,
        &|pass| rnn.forward(&x, &walls, pass),
    ] {
        let rows = |pass| forward(pass)?.to_vec2::<f32>();
        assert_eq!(rows(Pass::train(1, 2))?, rows(Pass::train(1, 2))?);
        assert_ne!(rows(Pass::train(1, 2))?, rows(Pass::train(1, 3))?);
        assert_ne!(rows(Pass::train(1, 2))?, rows(Pass::eval())?);
    }
    Ok(())
}

#[test]
fn sizes_that_make_no_layers_are_refused() -> Outcome {
    let past = Reach::Past;
    assert!(RnnConfig::new(Cell::Gru, 0, 1, past).is_err());
    assert!(RnnConfig::new(Cell::Gru, 6, 0, past).is_err());
    let odd = RnnConfig::new(Cell::Gru, 5, 1, Reach::Whole).unwrap_err();
    assert!(odd.to_string().starts_with("d_model = 5 is odd"), "{odd}");
    assert!(
        RnnConfig::new(Cell::Gru, 5, 1, past)?
            .with_dropout(1.0)
            .is_err()
    );
    assert!(Cnn1dConfig::new(6, 1, 0, past).is_err());
    assert!(Cnn2dConfig::new(0, 6, 1, 3).is_err());
    assert!(Cnn2dConfig::new(1, 6, 1, 3)?.with_dropout(-0.1).is_err());
    Ok(())
}
