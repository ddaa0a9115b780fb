//! Models are made of nodes of our own, so that no gradient takes Candle's slower way.

use attn_core::{Mask, ParamStore, Pass, Targets};
use candle_core::{DType, Device};
use kernels::backward_is_own;
use models::{Backbone, Input, Kind, LossOptions, Model, ModelConfig};

use crate::made::{Batch, Outcome};
use crate::{graphs, images, made, speech};

fn is_own(
    config: &ModelConfig,
    input: &Input,
    walls: &[u32],
    targets: impl FnOnce(&Model) -> Targets,
) -> Outcome<bool> {
    let store = ParamStore::new(7, DType::F32, &Device::Cpu);
    let model = Model::build(config, store.var_builder())?;
    let mask = Mask::new(model.pattern().clone(), walls.to_vec())?;
    let targets = targets(&model);
    let options = LossOptions::default();
    let loss = model.loss(input, &mask, &targets, options, Pass::train(1, 2))?;
    Ok(backward_is_own(&loss))
}

#[test]
fn models_of_text_sound_and_images() -> Outcome {
    for config in made::all() {
        let batch = Batch::of(&config);
        let own = is_own(&config, &batch.input(), &batch.walls, |_| batch.targets())?;
        assert!(own, "{config:?}");
    }
    let frames = speech::input(speech::frames(1, 14)?)?;
    for config in speech::every_kind_and_front()? {
        let own = is_own(&config, &frames, &speech::WALLS, speech::targets)?;
        assert!(own, "{config:?}");
    }
    let images = Input::Images(images::images()?);
    for config in images::all()? {
        let own = is_own(&config, &images, &images::walls(), |_| vec![2, 0].into())?;
        assert!(own, "{config:?}");
    }
    Ok(())
}

/// Candle still adds the biases of GAT and GCN, and makes losses of numbers and scores of
/// pairs.
#[test]
fn attention_over_graphs_whose_nodes_or_wholes_are_classified() -> Outcome {
    let input = Input::Graphs(graphs::union()?);
    let classified = [Kind::GraphNodes, Kind::GraphClassifier];
    let attention = graphs::all().filter(|config| {
        config.backbone() == Backbone::Transformer && classified.contains(&config.kind())
    });
    let mut models = 0;
    for config in attention {
        let targets = graphs::targets(&config);
        assert!(
            is_own(&config, &input, &graphs::WALLS, |_| targets)?,
            "{config:?}"
        );
        models += 1;
    }
    assert_eq!(models, 18);
    Ok(())
}
