//! Inputs that a model cannot read are errors that say why.

use attn_core::{Mask, ParamStore, Pass};
use candle_core::{DType, Device};
use models::text::TextClassifier;
use models::{Input, LossOptions, Model, ModelConfig};

use crate::made::{LONGEST, VOCAB, classifier, lm, shaken};

#[track_caller]
fn refused<T>(outcome: candle_core::Result<T>, about: &str) {
    let message = outcome.err().expect("this must be refused").to_string();
    assert!(message.contains(about), "`{about}` is not in: {message}");
}

fn mask(model: &Model, n: usize) -> Mask {
    Mask::single(model.pattern().clone(), n).expect("a few rows")
}

#[test]
fn tokens_and_targets_that_are_not_there() -> candle_core::Result<()> {
    for config in [lm(""), lm("tied = false"), classifier("")] {
        let (_, model) = shaken(&config)?;
        let foreign = Input::Tokens([0, VOCAB as u32].into());
        refused(model.logits(&foreign, &mask(&model, 2), Pass::eval()), "11");

        let input = Input::Tokens([0, 1].into());
        let n = if config.pooling().is_some() { 1 } else { 2 };
        let targets = vec![VOCAB as u32; n];
        let options = LossOptions::default();
        let loss = model.loss(
            &input,
            &mask(&model, 2),
            &targets.clone().into(),
            options,
            Pass::eval(),
        );
        refused(loss, "11");
        refused(
            model.evaluate(&input, &mask(&model, 2), &targets.into()),
            "11",
        );
        refused(
            model.evaluate(&input, &mask(&model, 2), &[0; 5].into()),
            "5",
        );
    }
    Ok(())
}

#[test]
fn masks_over_other_rows_and_sequences_beyond_the_positions() -> candle_core::Result<()> {
    let (_, model) = shaken(&lm(""))?;
    let three = Input::Tokens([0, 1, 2].into());
    refused(
        model.logits(&three, &mask(&model, 2), Pass::eval()),
        "3 tokens, but the mask has 2 rows",
    );
    let long = Input::Tokens([0; LONGEST + 1].into());
    refused(
        model.logits(&long, &mask(&model, LONGEST + 1), Pass::eval()),
        "max_seq_len = 8",
    );
    let Model::CausalLm(model) = model else {
        panic!("a language model")
    };
    let mut cache = model.cache();
    refused(model.decode([].into(), &mut cache), "no tokens");
    Ok(())
}

#[test]
fn sizes_that_are_still_left_to_the_data() {
    let store = ParamStore::new(1, DType::F32, &Device::Cpu);
    let table = "d_model = 8\nn_heads = 2\nn_layers = 1\n";
    for (kind, known, missing) in [
        ("text-lm", "", "vocab_size"),
        ("text-lm", "vocab_size = 4", "max_seq_len"),
        (
            "text-classifier",
            "vocab_size = 4\nmax_seq_len = 4",
            "n_classes",
        ),
    ] {
        let config: ModelConfig =
            toml::from_str(&format!("kind = '{kind}'\n{table}{known}")).expect("a valid table");
        refused(Model::build(&config, store.var_builder()), missing);
    }
    refused(TextClassifier::new(&lm(""), store.var_builder()), "text-lm");
}
