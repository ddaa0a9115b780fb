//! One vector of every sample: what the head reads.

use attn_core::{Mask, Pass};
use candle_core::{Result, Tensor};
use models::{Input, LossOptions, Model, ModelConfig};
use testkit::{assert_close, oracle};

use crate::made::{self, Batch, Outcome, encoder, shaken};
use crate::{graphs, images, speech};

/// The head of a model over its vectors is what the model answers, or it makes none.
#[track_caller]
fn check(config: &ModelConfig, input: &Input, walls: &[u32]) -> Outcome {
    let (store, model) = shaken(config)?;
    let mask = Mask::new(model.pattern().clone(), walls)?;
    let vectors = model.vectors(input, &mask);
    if config.pooling().is_none() {
        let said = vectors.expect_err("it does not pool").to_string();
        assert!(said.contains("makes no vector"), "{said}");
        return Ok(());
    }
    let vectors = vectors?;
    assert_eq!(vectors.dims(), [walls.len() - 1, config.d_model()]);
    let of = |name: &str| store.get(name).map(|var| var.as_detached_tensor());
    // The norm before the map belongs to the head.
    let vectors = match of("head.norm.weight") {
        Some(weight) => {
            let bias = of("head.norm.bias");
            oracle::layer_norm(&vectors, &weight, bias.as_ref(), config.norm_eps())?
        }
        None => vectors,
    };
    let weight = of("head.weight").expect("a head");
    let answers = oracle::linear(&vectors, &weight, of("head.bias").as_ref())?;
    let answers = match config.graph().filter(|_| !config.kind().has_classes()) {
        // Numbers of graphs come back in the unit of the data.
        Some(_) => answers.affine(4.0, 10.0)?,
        None => answers,
    };
    assert_close(&model.logits(input, &mask, Pass::eval())?, &answers, 1e-10)?;
    Ok(())
}

#[test]
fn the_head_of_a_text_reads_its_vector() -> Outcome {
    for config in made::all() {
        let batch = Batch::of(&config);
        check(&config, &batch.input(), &batch.walls)?;
    }
    Ok(())
}

#[test]
fn the_head_of_a_recording_reads_its_vector() -> Outcome {
    let input = speech::input(speech::frames(1, 14)?)?;
    for config in speech::every_kind_and_front()? {
        check(&config, &input, &speech::WALLS)?;
    }
    Ok(())
}

#[test]
fn the_head_of_an_image_reads_its_vector() -> Outcome {
    let input = Input::Images(images::images()?);
    for config in images::all()? {
        check(&config, &input, &images::walls())?;
    }
    Ok(())
}

#[test]
fn the_head_of_a_graph_reads_its_vector() -> Outcome {
    let input = Input::Graphs(graphs::union()?);
    for config in graphs::all() {
        check(&config, &input, &graphs::WALLS)?;
    }
    Ok(())
}

/// A classifier and an encoder of the same weights make the same vectors.
#[test]
fn an_encoder_is_a_classifier_without_its_head() -> Outcome {
    for keys in [
        "",
        "pooling = 'first'\npooler = true\nembed_norm = true\ntoken_types = 2\ndropout = 0.3",
        "backbone = 'lstm'\npooler = true\nbias = false",
    ] {
        let (store, classifier) = shaken(&made::classifier(keys))?;
        let encoder = Model::build(&encoder(keys), store.detached())?;
        let batch = Batch::of(&made::classifier(keys));
        let (input, mask) = (batch.input(), batch.mask(&encoder));
        let rows =
            |model: &Model| -> Result<Vec<Vec<f64>>> { model.vectors(&input, &mask)?.to_vec2() };
        assert_eq!(rows(&encoder)?, rows(&classifier)?, "{keys}");
    }
    Ok(())
}

#[test]
fn texts_of_a_batch_do_not_change_each_others_vectors() -> Outcome {
    let (_, model) = shaken(&encoder(
        "pooler = true\nembed_norm = true\ntoken_types = 1",
    ))?;
    let vectors = |tokens: &[u32], walls: &[u32]| -> Outcome<Tensor> {
        let mask = Mask::new(model.pattern().clone(), walls)?;
        Ok(model.vectors(&Input::Tokens(tokens.into()), &mask)?)
    };
    let (a, b) = (vectors(&[1, 5, 2, 9], &[0, 4])?, vectors(&[3, 0], &[0, 2])?);
    let packed = vectors(&[3, 0, 1, 5, 2, 9], &[0, 2, 6])?;
    assert_close(&packed, &Tensor::cat(&[b, a], 0)?, 1e-12)?;
    Ok(())
}

#[test]
fn an_encoder_has_nothing_to_train_or_to_ask() -> Outcome {
    let (_, model) = shaken(&encoder(""))?;
    let batch = Batch::of(&encoder(""));
    let (input, mask, targets) = (batch.input(), batch.mask(&model), batch.targets());
    let options = LossOptions::default();
    let said = [
        model.logits(&input, &mask, Pass::eval()).map(|_| ()),
        (model.loss(&input, &mask, &targets, options, Pass::eval())).map(|_| ()),
        model.evaluate(&input, &mask, &targets).map(|_| ()),
    ];
    for said in said {
        let said = said.expect_err("there is no head").to_string();
        assert!(said.contains("use kind = \"text-classifier\""), "{said}");
    }
    Ok(())
}
