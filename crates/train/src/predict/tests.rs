use std::collections::BTreeMap;

use attn_core::ParamStore;
use candle_core::Device;
use data::text::Tokenizer;
use data::text::tokenizer::Unknown;
use testkit::randn;

use attn_core::{Mask, Pass};
use candle_core::DType;
use models::Model;

use super::*;
use crate::model_folder::Description;
use crate::model_folder::LoadedModel;

/// A tiny model with strong opinions.
pub(crate) fn loaded(kind: &str) -> LoadedModel {
    let config = format!(
        "[run]\nname = 'tiny'\n[data]\npath = 'x.txt'\nseq_len = 4\n\
         [model]\nd_model = 8\nn_heads = 2\nn_layers = 1\nvocab_size = 6\nmax_seq_len = 4\n{kind}\n\
         [train]\nsteps = 1\nbatch_size = 1\nlr = 1e-3\n"
    );
    let config: crate::config::RunConfig = config.parse().unwrap();
    let store = ParamStore::new(1, DType::F32, &Device::Cpu);
    Model::build(&config.model, store.var_builder()).unwrap();
    for (seed, (_, var)) in (0..).zip(store.named_vars()) {
        var.set(
            &randn(seed, var.shape())
                .unwrap()
                .to_dtype(DType::F32)
                .unwrap(),
        )
        .unwrap();
    }
    LoadedModel {
        model: Model::build(&config.model, store.detached()).unwrap(),
        tensors: store.tensors(),
        description: Description {
            config,
            tokenizer: Some(Tokenizer::chars("abcde".chars(), Unknown::Token)),
            labels: ["no", "yes"].map(str::to_owned).into(),
            graphs: None,
            features: None,
            results: BTreeMap::new(),
            base: None,
        },
    }
}

pub(crate) const CLASSIFIER: &str = "kind = 'text-classifier'\nn_classes = 2";
const ENCODER: &str = "kind = 'text-encoder'\npooler = true\nembed_norm = true\ntoken_types = 2";
pub(crate) const LM: &str = "kind = 'text-lm'";

/// The predictions of `texts`, all in one batch, or each in its own.
fn predictions(loaded: &LoadedModel, texts: &[&str], together: bool) -> Vec<Prediction> {
    let mut all = Vec::new();
    let mut emit = |prediction| {
        all.push(prediction);
        Ok(())
    };
    let mut predictor = Predictor::new(loaded);
    for text in texts {
        predictor.push(text, &mut emit).unwrap();
        if !together {
            predictor.flush(&mut emit).unwrap();
        }
    }
    predictor.flush(&mut emit).unwrap();
    all
}

#[test]
fn classes_have_probabilities_that_add_up_to_one() {
    let loaded = loaded(CLASSIFIER);
    for prediction in predictions(&loaded, &["abc", "edcba", "a", "zzz"], true) {
        let Prediction::Class {
            label,
            probabilities,
            ..
        } = prediction
        else {
            panic!("a class was asked for");
        };
        assert_eq!(probabilities.keys().collect::<Vec<_>>(), ["no", "yes"]);
        let p = |label: &str| probabilities[label].as_f64().unwrap();
        assert!((p("no") + p("yes") - 1.0).abs() < 1e-12);
        assert!(p(&label) >= 0.5);
    }
}

#[test]
fn order_is_kept_and_the_batch_changes_nothing() {
    for kind in [CLASSIFIER, ENCODER, LM] {
        let loaded = loaded(kind);
        let texts: Vec<String> = (0..50)
            .map(|i| "abcde".repeat(1 + i % 7)[i % 5..].to_owned())
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (together, alone) = (
            predictions(&loaded, &texts, true),
            predictions(&loaded, &texts, false),
        );
        assert_eq!(together.len(), texts.len());
        for ((a, b), text) in together.iter().zip(&alone).zip(texts) {
            match (a, b) {
                (
                    Prediction::Class {
                        text: of,
                        probabilities: a,
                        ..
                    },
                    Prediction::Class {
                        probabilities: b, ..
                    },
                ) => {
                    assert_eq!(of, text);
                    assert!((a["no"].as_f64().unwrap() - b["no"].as_f64().unwrap()).abs() < 1e-6);
                }
                (
                    Prediction::Score {
                        text: of, loss: a, ..
                    },
                    Prediction::Score { loss: b, .. },
                ) => {
                    assert_eq!(of, text);
                    assert_eq!(a.is_some(), b.is_some());
                    assert!((a.unwrap_or(0.0) - b.unwrap_or(0.0)).abs() < 1e-6);
                }
                (
                    Prediction::Vector {
                        text: of,
                        vector: a,
                    },
                    Prediction::Vector { vector: b, .. },
                ) => {
                    assert_eq!(of, text);
                    assert_eq!(a.len(), 8);
                    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_score_is_the_mean_over_windows_of_what_the_model_foresees() {
    let loaded = loaded(LM);
    let text = "abcdeabcd";
    let Model::CausalLm(model) = &loaded.model else {
        panic!("a language model")
    };
    let ids = loaded
        .description
        .tokenizer
        .as_ref()
        .unwrap()
        .encode(text)
        .unwrap();
    let mut sum = 0.0;
    // Eight are read, in windows of four.
    for start in [0, 4] {
        let mask = Mask::single(model.pattern().clone(), 4).unwrap();
        let logits = model
            .logits(ids[start..start + 4].into(), &mask, Pass::eval())
            .unwrap();
        let targets = &ids[start + 1..start + 5];
        sum += testkit::oracle::cross_entropy(&logits, targets, u32::MAX, 0.0).unwrap() * 4.0;
    }
    let want = sum / 8.0;
    match &predictions(&loaded, &[text], true)[0] {
        Prediction::Score {
            n_tokens: 8,
            loss: Some(loss),
            perplexity: Some(perplexity),
            ..
        } => {
            assert!((loss - want).abs() < 1e-5, "{loss} {want}");
            assert!((perplexity - want.exp()).abs() < 1e-3);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_text_in_which_nothing_is_to_be_foreseen_has_no_loss() {
    let loaded = loaded(LM);
    for prediction in predictions(&loaded, &["", "a"], true) {
        let json = serde_json::to_value(&prediction).unwrap();
        assert_eq!(json["n_tokens"], 0);
        assert!(json["loss"].is_null() && json["perplexity"].is_null());
    }
}

#[test]
fn a_text_without_tokens_has_no_class_and_no_vector() {
    for kind in [CLASSIFIER, ENCODER] {
        let loaded = loaded(kind);
        let error = Predictor::new(&loaded).push("", |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{error}");
    }
}

#[test]
fn weights_that_are_not_numbers_are_told() {
    for kind in [LM, ENCODER] {
        damaged_weights_are_told(loaded(kind));
    }
}

#[track_caller]
fn damaged_weights_are_told(mut loaded: LoadedModel) {
    let damaged: BTreeMap<_, _> = loaded
        .tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), (tensor * f64::NAN).unwrap()))
        .collect();
    let vb = candle_nn::VarBuilder::from_tensors(
        damaged.into_iter().collect(),
        DType::F32,
        &Device::Cpu,
    );
    loaded.model = Model::build(&loaded.description.config.model, vb).unwrap();
    let mut predictor = Predictor::new(&loaded);
    predictor.push("abc", |_| Ok(())).unwrap();
    assert!(matches!(predictor.flush(|_| Ok(())), Err(Error::Data(_))));
}
