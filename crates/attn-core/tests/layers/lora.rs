//! Low-rank adapters: what they compute, what they train, and what they leave alone.

use attn_core::{
    Block, BlockConfig, BlockMemory, Context, Lora, MlpKind, NormKind, NormOrder, ParamStore, Pass,
    Pattern, Stack, StackConfig, lora,
};
use candle_core::{Tensor, Var};
use candle_nn::Init;
use testkit::{assert_close, gradcheck_all, randn, reach};

use super::block::config;
use super::{ROUNDING, Result, bits, mask, shake, store};

const D_MODEL: usize = 4;

/// Every projection of a block with its outputs and inputs.
const PROJECTIONS: [(&str, usize, usize); 7] = [
    ("attn.wq", 4, 4),
    ("attn.wk", 4, 4),
    ("attn.wv", 4, 4),
    ("attn.wo", 4, 4),
    ("mlp.up", 6, 4),
    ("mlp.gate", 6, 4),
    ("mlp.down", 4, 6),
];

fn configs() -> Result<[BlockConfig; 2]> {
    Ok([
        config(NormOrder::Pre, NormKind::Rms, MlpKind::SwiGlu)?,
        config(NormOrder::Post, NormKind::Layer, MlpKind::GeluErf)?,
    ])
}

fn gated(config: &BlockConfig) -> bool {
    config.mlp().kind() == MlpKind::SwiGlu
}

/// The projections of a block of `config`.
fn projections(config: &BlockConfig) -> impl Iterator<Item = (&'static str, usize, usize)> {
    let gated = gated(config);
    PROJECTIONS
        .into_iter()
        .filter(move |(name, ..)| gated || *name != "mlp.gate")
}

/// A store in which every projection of a block of `config` has an adapter.
fn adapted(config: &BlockConfig, lora: &Lora) -> Result<ParamStore> {
    let store = store();
    for (module, d_out, d_in) in projections(config) {
        store.adapt(module, d_in, d_out, lora)?;
    }
    Ok(store)
}

#[test]
fn an_adapter_does_what_the_merged_weight_does() -> Result {
    let lora = Lora::new(3, 5.0, 0.0)?;
    for config in configs()? {
        let with = adapted(&config, &lora)?;
        let block = Block::new(&config, with.var_builder())?;
        shake(&with)?;

        let merged = store();
        Block::new(&config, merged.var_builder())?;
        for (name, var) in merged.named_vars() {
            let weight = with.get(&name).ok_or("no such weight")?;
            let module = name.strip_suffix(".weight");
            let part = |part: &str| with.get(&format!("{}.{part}", module?));
            let weight = match (part(lora::A), part(lora::B)) {
                (Some(a), Some(b)) => lora.merge(&weight, &a, &b)?,
                _ => weight.as_detached_tensor(),
            };
            var.set(&weight)?;
        }
        let plain = Block::new(&config, merged.detached())?;

        let x = randn(3, (7, D_MODEL))?;
        for pattern in super::patterns() {
            let mask = mask(pattern);
            let context = Context::eval(&mask);
            let want = plain.forward(&x, context)?;
            assert_close(&block.forward(&x, context)?, &want, ROUNDING)?;
        }
    }
    Ok(())
}

#[test]
fn a_new_adapter_changes_nothing() -> Result {
    let lora = Lora::new(2, 4.0, 0.5)?;
    for config in configs()? {
        let (with, without) = (adapted(&config, &lora)?, store());
        let (block, plain) = (
            Block::new(&config, with.var_builder())?,
            Block::new(&config, without.var_builder())?,
        );
        let mask = mask(Pattern::Causal);
        let x = randn(3, (7, D_MODEL))?;
        let context = Context::eval(&mask);
        assert_close(
            &block.forward(&x, context)?,
            &plain.forward(&x, context)?,
            ROUNDING,
        )?;
    }
    Ok(())
}

#[test]
fn what_is_trained_has_the_right_gradient_and_what_is_frozen_has_none() -> Result {
    for config in configs()? {
        let with = adapted(&config, &Lora::new(2, 3.0, 0.0)?)?;
        let frozen: Vec<String> = projections(&config)
            .map(|(module, ..)| format!("{module}.weight"))
            .collect();
        with.freeze(frozen.iter().cloned());
        let block = Block::new(&config, with.var_builder())?;
        shake(&with)?;
        let x = Var::from_tensor(&randn(3, (7, D_MODEL))?)?;
        let mask = mask(Pattern::Causal);
        let trained = with.trainable();
        assert_eq!(trained.len() + frozen.len(), with.names().len());
        let mut inputs = vec![("x", &x)];
        inputs.extend(trained.iter().map(|(name, var)| (name.as_str(), var)));
        gradcheck_all(&inputs, || block.forward(&x, Context::eval(&mask)))?;

        let loss = block.forward(&x, Context::eval(&mask))?.sum_all()?;
        let grads = kernels::backward(loss)?;
        for name in frozen {
            let var = with.get(&name).ok_or("no such weight")?;
            assert!(grads.get(&var).is_none(), "{name} has a gradient");
        }
    }
    Ok(())
}

#[test]
fn in_training_every_adapter_is_reached_and_draws_what_it_drops() -> Result {
    for config in configs()? {
        let with = adapted(&config, &Lora::new(2, 3.0, 0.4)?)?;
        let block = Block::new(&config, with.var_builder())?;
        shake(&with)?;
        let mask = mask(Pattern::Full);
        let x = randn(3, (7, D_MODEL))?;
        let at = |step| Context {
            pass: Pass::train(1, step),
            ..Context::eval(&mask)
        };
        let y = block.forward(&x, at(0))?;
        assert_eq!(bits(&y)?, bits(&block.forward(&x, at(0))?)?);
        assert_ne!(bits(&y)?, bits(&block.forward(&x, at(1))?)?);
        reach(
            &(y * randn(4, (7, D_MODEL))?)?.sum_all()?,
            with.named_vars(),
        )?;
    }
    Ok(())
}

/// Adapters of the second of two blocks, everything else frozen.
fn half_frozen(memory: BlockMemory) -> Result<(ParamStore, Stack)> {
    let [config, _] = configs()?;
    let store = store();
    let lora = Lora::new(2, 3.0, 0.3)?;
    for (module, d_out, d_in) in projections(&config) {
        store.adapt(&format!("blocks.1.{module}"), d_in, d_out, &lora)?;
    }
    let adapters = store.names();
    let config = StackConfig::new(config, 2)?.with_memory(memory);
    Stack::new(&config, store.var_builder())?;
    let others = store.names().into_iter();
    store.freeze(others.filter(|name| !adapters.contains(name)));
    shake(&store)?;
    let stack = Stack::new(&config, store.var_builder())?;
    Ok((store, stack))
}

#[test]
fn gradients_do_not_depend_on_what_is_kept_of_a_block() -> Result {
    let mask = mask(Pattern::Causal);
    let x = randn(3, (7, D_MODEL))?;
    let mut found: Vec<Vec<Vec<u64>>> = Vec::new();
    for memory in [BlockMemory::Keep, BlockMemory::Recompute] {
        let (store, stack) = half_frozen(memory)?;
        let context = Context {
            pass: Pass::train(1, 0),
            ..Context::eval(&mask)
        };
        let y = stack.forward(&x, context)?;
        let grads = kernels::backward((y * randn(4, (7, D_MODEL))?)?.sum_all()?)?;
        let trained = store.trainable();
        assert_eq!(trained.len(), 2 * projections(&configs()?[0]).count());
        let of = |(name, var): &(String, Var)| -> Result<Vec<u64>> {
            bits(grads.get(var).ok_or_else(|| format!("none for {name}"))?)
        };
        found.push(trained.iter().map(of).collect::<Result<_>>()?);
    }
    assert_eq!(found[0], found[1]);
    Ok(())
}

#[test]
fn a_store_starts_with_what_is_put_into_it() -> Result {
    let store = store();
    let values = randn(9, (2, 3))?;
    store.insert("w", &values)?;
    assert!(store.insert("w", &values).is_err());
    let w = store
        .var_builder()
        .get_with_hints((2, 3), "w", Init::Const(0.0))?;
    assert_eq!(bits(&w)?, bits(&values)?);
    assert!(store.var_builder().get((3, 2), "w").is_err());
    store.freeze(["w"]);
    let frozen: Tensor = store.var_builder().get((2, 3), "w")?;
    assert!(w.track_op() && !frozen.track_op());
    assert!(store.trainable().is_empty());
    // An adapter of another shape than what was put there.
    store.insert("p.lora_a.weight", &values)?;
    assert!(store.adapt("p", 3, 2, &Lora::new(1, 1.0, 0.0)?).is_err());
    Ok(())
}
