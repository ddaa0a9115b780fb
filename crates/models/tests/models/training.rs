//! Tiny models learn tiny tasks.

use attn_core::{Mask, ParamStore, Pass};
use candle_core::{DType, Device};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use models::{Input, LossOptions, Model, ModelConfig};

use crate::made::{LONGEST, Outcome, classifier, lm};

/// The loss after `steps` of Candle's own optimiser on one batch, again and again.
fn fitted(
    config: &ModelConfig,
    tokens: Vec<u32>,
    targets: Vec<u32>,
    steps: u32,
) -> Outcome<(Model, ParamStore, f32)> {
    let store = ParamStore::new(5, DType::F32, &Device::Cpu);
    let model = Model::build(config, store.var_builder())?;
    let walls: Vec<u32> = (0..=tokens.len() as u32).step_by(LONGEST).collect();
    let mask = Mask::new(model.pattern().clone(), walls)?;
    let input = Input::Tokens(tokens.into());
    let targets: attn_core::Targets = targets.into();
    let params = ParamsAdamW {
        lr: 1e-2,
        weight_decay: 0.0,
        ..Default::default()
    };
    let mut optimizer = AdamW::new(store.vars(), params)?;
    let loss = |pass| model.loss(&input, &mask, &targets, LossOptions::default(), pass);
    for step in 0..steps {
        optimizer.backward_step(&loss(Pass::train(0, step))?)?;
    }
    let last = loss(Pass::eval())?.to_scalar()?;
    Ok((model, store, last))
}

/// `0 1 2 3 4 0 1 …`: after one token everything is known.
#[test]
fn a_language_model_learns_a_repeating_sequence() -> Outcome {
    for keys in [
        "",
        "norm_placement = 'post'",
        "position = 'rotary'\nactivation = 'swiglu'\nnorm = 'rms'",
        "backbone = 'gru'",
        "backbone = 'lstm'",
    ] {
        let text: Vec<u32> = (0..4 * LONGEST as u32 + 1).map(|i| i % 5).collect();
        let n = text.len() - 1;
        let (_, _, loss) = fitted(&lm(keys), text[..n].to_vec(), text[1..].to_vec(), 60)?;
        assert!(loss < 0.05, "{keys}: loss {loss}");
    }
    Ok(())
}

/// The class is whether there are more 0s or more 1s, and everywhere the same amount of 2.
#[test]
fn a_classifier_learns_to_count() -> Outcome {
    for keys in [
        "",
        "pooling = 'last'",
        "pooling = 'first'\nposition = 'alibi'",
        "backbone = 'gru'",
        "backbone = 'lstm'\nmask = 'causal'\npooling = 'last'",
    ] {
        let texts: [[u32; LONGEST]; 4] = [
            [0, 0, 1, 2, 2, 0, 0, 1],
            [1, 2, 1, 1, 0, 0, 2, 1],
            [2, 1, 0, 0, 0, 2, 1, 0],
            [1, 0, 2, 1, 1, 2, 1, 0],
        ];
        let (model, _, loss) = fitted(&classifier(keys), texts.concat(), vec![0, 1, 0, 1], 40)?;
        assert!(loss < 0.05, "{keys}: loss {loss}");
        let mask = Mask::new(model.pattern().clone(), [0, 8, 16, 24, 32])?;
        let input = Input::Tokens(texts.concat().into());
        let evaluation = model.evaluate(&input, &mask, &[0, 1, 0, 1].into())?;
        assert_eq!(evaluation.accuracy(), Some(1.0));
    }
    Ok(())
}
