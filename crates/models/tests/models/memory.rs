//! Blocks that are computed again in the backward pass: no model changes by a bit.

use attn_core::{Mask, ParamStore, Pass, Targets};
use candle_core::{DType, Device};
use kernels::FlatGrads;
use models::{BlockMemory, Input, LossOptions, Model, ModelConfig};

use crate::made::{Batch, Outcome};
use crate::{graphs, images, made, speech};

/// `config` with `memory`, and dropout everywhere.
fn with(config: &ModelConfig, memory: &str) -> Outcome<ModelConfig> {
    let mut table = toml::Table::try_from(config)?;
    for key in ["dropout", "attention_dropout"] {
        table.insert(key.to_owned(), 0.2.into());
    }
    table.insert("memory".to_owned(), memory.into());
    Ok(table.try_into()?)
}

/// Loss and gradients of a step, by Candle's walk and in slots.
fn step(
    config: &ModelConfig,
    input: &Input,
    walls: &[u32],
    targets: &Targets,
) -> Outcome<[Vec<f32>; 2]> {
    let store = ParamStore::new(7, DType::F32, &Device::Cpu);
    let model = Model::build(config, store.var_builder())?;
    let mask = Mask::new(model.pattern().clone(), walls.to_vec())?;
    let pass = Pass::train(1, 2);
    let loss = || model.loss(input, &mask, targets, LossOptions::default(), pass);
    let value: f32 = loss()?.to_scalar()?;
    let store_of_candle = loss()?.backward()?;
    let mut by_candle = vec![value];
    for var in store.vars() {
        let grad = store_of_candle.get(&var).ok_or("no gradient")?;
        by_candle.extend(grad.flatten_all()?.to_vec1::<f32>()?);
    }
    let mut flat = FlatGrads::new(&store.vars())?;
    flat.backward(loss()?)?;
    Ok([by_candle, [&[value], &flat.values()?[..]].concat()])
}

fn check(config: &ModelConfig, input: &Input, walls: &[u32], targets: &Targets) -> Outcome {
    let of = |memory| step(&with(config, memory)?, input, walls, targets);
    let (kept, again) = (of("keep")?, of("recompute")?);
    for (way, (kept, again)) in ["Candle's walk", "slots"]
        .iter()
        .zip(kept.iter().zip(&again))
    {
        let same = kept
            .iter()
            .map(|x| x.to_bits())
            .eq(again.iter().map(|x| x.to_bits()));
        assert!(same, "{way}: {config:?}");
    }
    Ok(())
}

#[test]
fn models_of_text_learn_the_same() -> Outcome {
    for config in made::all() {
        let batch = Batch::of(&config);
        check(&config, &batch.input(), &batch.walls, &batch.targets())?;
    }
    Ok(())
}

#[test]
fn models_of_sound_learn_the_same() -> Outcome {
    let input = speech::input(speech::frames(1, 14)?)?;
    for config in speech::every_kind_and_front()? {
        let store = ParamStore::new(7, DType::F32, &Device::Cpu);
        let targets = speech::targets(&Model::build(&config, store.var_builder())?);
        check(&config, &input, &speech::WALLS, &targets)?;
    }
    Ok(())
}

#[test]
fn models_of_images_learn_the_same() -> Outcome {
    let input = Input::Images(images::images()?);
    for config in images::all()? {
        check(&config, &input, &images::walls(), &vec![2, 0].into())?;
    }
    Ok(())
}

#[test]
fn models_of_graphs_learn_the_same() -> Outcome {
    let input = Input::Graphs(graphs::union()?);
    for config in graphs::all() {
        let targets = graphs::targets(&config);
        check(&config, &input, &graphs::WALLS, &targets)?;
    }
    Ok(())
}

#[test]
fn a_backbone_without_blocks_keeps_what_it_reads() -> Outcome {
    let kept =
        |config: &ModelConfig| -> Outcome<BlockMemory> { Ok(with(config, "recompute")?.memory()) };
    assert_eq!(kept(&made::lm(""))?, BlockMemory::Recompute);
    assert_eq!(kept(&made::lm("backbone = 'gru'"))?, BlockMemory::Keep);
    for config in graphs::all() {
        let blocks = config.backbone() == models::Backbone::Transformer;
        assert_eq!(kept(&config)? == BlockMemory::Recompute, blocks);
    }
    Ok(())
}
