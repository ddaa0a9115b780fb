use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor, Var};
use testkit::{gradcheck_all, randn, reach};

use super::checkpoint;
use crate::rng::{Domain, Key};
use crate::{
    Activation, Attention, FlatGrads, Precision, RelativeBias, Spans, activate, add,
    attention_packed, backward, dropout, layer_norm, linear, linear_concat,
};

const N: usize = 6;
const D: usize = 4;
const N_LAYERS: usize = 3;

/// Whether the layers are checkpointed; in `Twice`, all of them are once more.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Keep,
    Once,
    Twice,
}

/// Weights of one layer, and a table that all share.
#[derive(Debug, Clone)]
struct Layer {
    weights: Vec<Tensor>,
    table: Tensor,
    site: u32,
}

impl Layer {
    /// Attention with a learnt bias, dropout, and a feed-forward layer.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [gamma, beta, q, k, v, wo, up, down] = &self.weights[..] else {
            unreachable!("eight weights")
        };
        let rows = 0..N as u32;
        let spans = Spans::new(vec![(rows.clone(), rows)], |i, _| 0..i + 1)?;
        let mut attention = Attention::new(1, D, Arc::new(spans));
        attention.bias = Some(RelativeBias {
            table: self.table.clone(),
            offset: 0,
            query_positions: (0..N as u32).collect(),
            key_positions: (0..N as u32).collect(),
        });
        let key = Key {
            seed: 1,
            domain: Domain::Dropout,
            step: 0,
            site: self.site,
        };
        let normed = layer_norm(x, None, gamma, Some(beta), 1e-5)?;
        let qkv = linear_concat(&normed, &[(q, None), (k, Some(beta)), (v, None)])?;
        let y = linear(&attention_packed(&qkv, &attention)?, wo, None, None, None)?;
        let x = dropout(&y, Some(x), 0.3, key)?;
        let inner = linear(&x, up, None, Some(Activation::GeluTanh), None)?;
        linear(&inner, down, None, None, Some(&x))
    }
}

/// The input, the table, then the weights of the layers.
fn variables(dtype: DType) -> Result<Vec<Var>> {
    let layer: [&[usize]; 8] = [
        &[D],
        &[D],
        &[D, D],
        &[D, D],
        &[D, D],
        &[D, D],
        &[2 * D, D],
        &[D, 2 * D],
    ];
    let mut shapes: Vec<&[usize]> = vec![&[N, D], &[1, N]];
    (0..N_LAYERS).for_each(|_| shapes.extend(layer));
    let var = |(seed, shape): (usize, &&[usize])| {
        Var::from_tensor(&randn(seed as u64, *shape)?.to_dtype(dtype)?)
    };
    shapes.iter().enumerate().map(var).collect()
}

fn layers(vars: &[Var]) -> Vec<Layer> {
    let layer = |(site, weights): (usize, &[Var])| Layer {
        weights: weights.iter().map(|var| var.as_tensor().clone()).collect(),
        table: vars[1].as_tensor().clone(),
        site: site as u32,
    };
    vars[2..].chunks(8).enumerate().map(layer).collect()
}

/// All layers, in turn.
fn layers_on(x: &Tensor, layers: &[Layer], again: bool) -> Result<Tensor> {
    layers.iter().try_fold(x.clone(), |x, layer| {
        let (layer, input) = (layer.clone(), x.clone());
        match again {
            false => layer.forward(&x),
            true => checkpoint(&[&x], move || layer.forward(&input)),
        }
    })
}

/// `[N, D]`
fn stack(mode: Mode, vars: &[Var]) -> Result<Tensor> {
    let x = activate(&vars[0], Activation::Silu)?;
    let layers = layers(vars);
    match mode {
        Mode::Keep => layers_on(&x, &layers, false),
        Mode::Once => layers_on(&x, &layers, true),
        Mode::Twice => {
            let input = x.clone();
            checkpoint(&[&x], move || layers_on(&input, &layers, true))
        }
    }
}

fn loss(mode: Mode, vars: &[Var]) -> Result<Tensor> {
    let y = stack(mode, vars)?;
    let w = randn(99, (1, D))?.to_dtype(y.dtype())?;
    // Not a sum of Candle's, which our walk would leave to Candle's.
    let column = linear(&y, &w, None, None, None)?;
    crate::segment_pool(&column, [0, N as u32].into(), crate::Pool::Mean)
}

fn bits(tensor: &Tensor) -> Result<Vec<u64>> {
    let values = tensor.flatten_all()?.to_dtype(DType::F64)?;
    Ok(values
        .to_vec1::<f64>()?
        .iter()
        .map(|x| x.to_bits())
        .collect())
}

/// Result and gradients by Candle's walk, by ours, and in slots.
fn ways(mode: Mode, vars: &[Var]) -> Result<[Vec<Vec<u64>>; 3]> {
    let result = bits(&stack(mode, vars)?)?;
    let stored = |store: &GradStore| -> Result<Vec<Vec<u64>>> {
        let grads = vars
            .iter()
            .map(|var| bits(store.get(var).expect("reached")));
        std::iter::once(Ok(result.clone())).chain(grads).collect()
    };
    let by_candle = stored(&loss(mode, vars)?.backward()?)?;
    let by_walk = stored(&backward(loss(mode, vars)?)?)?;
    let mut flat = FlatGrads::new(vars)?;
    flat.backward(loss(mode, vars)?)?;
    let mut in_slots = vec![result.clone()];
    for var in vars {
        let slot = flat.of(var)?.expect("a slot");
        in_slots.push(slot.iter().map(|&g| f64::from(g).to_bits()).collect());
    }
    Ok([by_candle, by_walk, in_slots])
}

#[test]
fn result_and_gradients_are_those_of_a_kept_pass_to_the_bit() -> Result<()> {
    let vars = variables(DType::F32)?;
    let kept = ways(Mode::Keep, &vars)?;
    assert!(kept[0] == kept[1] && kept[0] == kept[2]);
    for mode in [Mode::Once, Mode::Twice] {
        for (way, again) in ways(mode, &vars)?.into_iter().enumerate() {
            assert!(again == kept[0], "{mode:?}, way {way}");
        }
    }
    Ok(())
}

#[test]
fn the_second_call_rounds_as_the_first_did() -> Result<()> {
    let vars = variables(DType::F32)?;
    let forward = |mode| Precision::Bf16.during(|| loss(mode, &vars));
    let grads = |store: GradStore| -> Result<Vec<Vec<u64>>> {
        let of = |var| store.get(var).map(bits).transpose();
        let grads = vars.iter().map(|var| of(var.as_tensor()));
        grads.map(|grad| Ok(grad?.unwrap_or_default())).collect()
    };
    // The way back is walked outside of `during`.
    let kept = grads(backward(forward(Mode::Keep)?)?)?;
    assert!(kept.iter().all(|grad| !grad.is_empty()));
    assert_eq!(grads(backward(forward(Mode::Once)?)?)?, kept);
    Ok(())
}

#[test]
fn gradients_match_differences() -> Result<()> {
    let vars = variables(DType::F64)?;
    let names: Vec<String> = (0..vars.len()).map(|i| i.to_string()).collect();
    let named: Vec<_> = names.iter().map(String::as_str).zip(&vars).collect();
    gradcheck_all(&named, || stack(Mode::Once, &vars))?;
    reach(&loss(Mode::Once, &vars)?, named)
}

#[test]
fn slots_add_up_over_passes() -> Result<()> {
    let vars = variables(DType::F32)?;
    let twice = |mode| -> Result<Vec<f32>> {
        let mut flat = FlatGrads::new(&vars)?;
        flat.backward(loss(mode, &vars)?)?;
        flat.backward(loss(mode, &vars)?)?;
        Ok(flat.values()?.to_vec())
    };
    assert_eq!(twice(Mode::Keep)?, twice(Mode::Once)?);
    Ok(())
}

/// Both read a tensor that is made outside, as layers read what a network makes of edges.
#[test]
fn a_tensor_that_two_calls_share_gets_the_gradients_of_both() -> Result<()> {
    let var = |seed| Var::from_tensor(&randn(seed, (3, 4))?);
    let (x, y) = (var(1)?, var(2)?);
    let graph = |again: bool| -> Result<Tensor> {
        let shared = activate(&y, Activation::GeluErf)?;
        (0..2).try_fold(x.as_tensor().clone(), |x, _| {
            let (input, beside) = (x.clone(), shared.clone());
            let f = move || crate::swiglu(&input, &beside);
            match again {
                true => checkpoint(&[&x, &shared], f),
                false => f(),
            }
        })
    };
    let (kept, again) = (graph(false)?.backward()?, graph(true)?.backward()?);
    let walked = backward(graph(true)?)?;
    for var in [&x, &y] {
        let want = bits(kept.get(var).expect("reached"))?;
        assert_eq!(bits(again.get(var).expect("reached"))?, want);
        assert_eq!(bits(walked.get(var).expect("reached"))?, want);
    }
    Ok(())
}

#[test]
fn a_function_without_operations_or_variables_is_left_alone() -> Result<()> {
    let x = Var::from_tensor(&randn(1, (2, 3))?)?;
    let same = |x: &Tensor| {
        let input = x.clone();
        checkpoint(&[x], move || Ok(input.clone()))
    };
    assert_eq!(same(&x)?.id(), x.id());
    let constant = x.as_detached_tensor();
    let input = constant.clone();
    let y = checkpoint(&[&constant], move || activate(&input, Activation::Relu))?;
    assert!(!y.track_op());
    Ok(())
}

#[test]
fn what_the_walk_does_not_know_is_refused() -> Result<()> {
    let x = Var::from_tensor(&randn(1, (2, 3))?)?;
    let inner = activate(&x, Activation::Silu)?;
    let input = x.as_tensor().clone();
    let foreign = checkpoint(&[&x], move || activate(&(&input * 2.0)?, Activation::Silu));
    let forgotten = checkpoint(&[], move || activate(&inner, Activation::Silu));
    for refused in [foreign, forgotten] {
        let message = refused.expect_err("refused").to_string();
        assert!(
            message.contains("neither an input nor a variable"),
            "{message}"
        );
    }
    Ok(())
}

#[test]
fn a_function_that_reads_other_tensors_the_second_time_is_refused() -> Result<()> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let var = |seed| Var::from_tensor(&randn(seed, (2, 3))?);
    let vars = [var(1)?, var(2)?];
    let calls = AtomicUsize::new(0);
    let read = vars.clone();
    let y = checkpoint(&[], move || {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        add(&read[call], &read[call])
    })?;
    let message = backward(y).expect_err("another graph").to_string();
    assert!(message.contains("read other tensors"), "{message}");
    Ok(())
}
