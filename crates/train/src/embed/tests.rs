use super::*;
use crate::predict::tests::{CLASSIFIER, LM, loaded};

fn options() -> Options {
    Options {
        pooling: None,
        normalize: false,
        batch_size: NonZeroUsize::new(3).unwrap(),
    }
}

fn embeddings(loaded: &LoadedModel, texts: &[&str], options: Options) -> Vec<Embedding> {
    let mut all = Vec::new();
    let mut emit = |embedding| {
        all.push(embedding);
        Ok(())
    };
    let mut embedder = Embedder::new(loaded, options).unwrap();
    for text in texts {
        embedder.push(text, &mut emit).unwrap();
    }
    embedder.flush(&mut emit).unwrap();
    all
}

fn length(vector: &[f32]) -> f64 {
    vector
        .iter()
        .map(|&x| f64::from(x).powi(2))
        .sum::<f64>()
        .sqrt()
}

#[track_caller]
fn assert_close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= 1e-5 * y.abs().max(1.0), "{x} and {y}");
    }
}

#[test]
fn order_is_kept_and_the_batch_changes_nothing() {
    for kind in [CLASSIFIER, "kind = 'text-encoder'"] {
        assert_batch_changes_nothing(&loaded(kind));
    }
}

fn assert_batch_changes_nothing(loaded: &LoadedModel) {
    // More than one stretch that is sorted, and one that is not full.
    let texts: Vec<String> = (0..250)
        .map(|i| "abcdeedcba"[i % 7..i % 7 + 1 + i % 4].to_owned())
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let all = embeddings(loaded, &texts, options());
    let one = NonZeroUsize::MIN;
    let alone = embeddings(
        loaded,
        &texts,
        Options {
            batch_size: one,
            ..options()
        },
    );
    assert_eq!(all.len(), texts.len());
    for ((a, b), text) in all.iter().zip(&alone).zip(texts) {
        assert_eq!((a.input.as_str(), a.index), (text, None));
        assert_close(&a.vector, &b.vector);
    }
}

#[test]
fn the_head_makes_of_a_vector_what_the_model_makes_of_its_text() {
    let loaded = loaded(CLASSIFIER);
    let weight = loaded.tensors["head.weight"].to_vec2::<f32>().unwrap();
    let bias = loaded.tensors["head.bias"].to_vec1::<f32>().unwrap();
    let tokenizer = loaded.description.tokenizer.as_ref().unwrap();
    for embedding in embeddings(&loaded, &["a", "bcd", "eeee"], options()) {
        let ids = tokenizer.encode_sequence(&embedding.input, 100).unwrap();
        let mask = Mask::single(loaded.model.pattern().clone(), ids.len()).unwrap();
        let input = Input::Tokens(ids.into());
        let pass = attn_core::Pass::eval();
        let want = loaded.model.logits(&input, &mask, pass).unwrap();
        let made: Vec<f32> = weight
            .iter()
            .zip(&bias)
            .map(|(row, bias)| {
                let products = row.iter().zip(&embedding.vector);
                let sum: f64 = products.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                (sum + f64::from(*bias)) as f32
            })
            .collect();
        assert_close(&made, &want.to_vec2::<f32>().unwrap()[0]);
    }
}

#[test]
fn a_normalised_vector_has_length_one_and_the_same_direction() {
    let loaded = loaded(CLASSIFIER);
    let long = embeddings(&loaded, &["abc", "de"], options());
    let unit = embeddings(
        &loaded,
        &["abc", "de"],
        Options {
            normalize: true,
            ..options()
        },
    );
    for (long, unit) in long.iter().zip(unit) {
        let n = length(&long.vector);
        assert!((n - 1.0).abs() > 0.1, "a length of one proves nothing");
        assert!((length(&unit.vector) - 1.0).abs() < 1e-6);
        let scaled: Vec<f32> = unit
            .vector
            .iter()
            .map(|x| (f64::from(*x) * n) as f32)
            .collect();
        assert_close(&scaled, &long.vector);
    }
    let mut zeros = [0.0, 0.0];
    normalize(&mut zeros);
    assert_eq!(zeros, [0.0, 0.0]);
    let mut large = [3e38, 4e-38];
    normalize(&mut large);
    assert_eq!(large, [1.0, 0.0]);
}

#[test]
fn another_pooling_reads_other_positions_with_the_same_weights() {
    let loaded = loaded(CLASSIFIER);
    let texts = ["a", "abcd"];
    let of = |pooling| {
        embeddings(
            &loaded,
            &texts,
            Options {
                pooling,
                ..options()
            },
        )
    };
    let own = of(None);
    assert_eq!(of(Some(Pooling::Mean)), own);
    let (first, last) = (of(Some(Pooling::First)), of(Some(Pooling::Last)));
    assert_close(&first[0].vector, &own[0].vector);
    assert_close(&last[0].vector, &own[0].vector);
    let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(x, y)| (x - y).abs() > 1e-3);
    assert!(differ(&first[1].vector, &own[1].vector));
    assert!(differ(&first[1].vector, &last[1].vector));
}

#[test]
fn what_has_no_vector_is_refused() {
    let error = Embedder::new(&loaded(LM), options()).expect_err("a language model");
    let want = "a text-lm makes no vector of a sample; use a classifier or an encoder of samples";
    assert_eq!((error.to_string().as_str(), error.exit().code()), (want, 2));
    let classifier = loaded(CLASSIFIER);
    let mut embedder = Embedder::new(&classifier, options()).unwrap();
    let error = embedder.push("", |_| Ok(())).expect_err("no tokens");
    assert!(error.to_string().contains("has no tokens"), "{error}");
}
