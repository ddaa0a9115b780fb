//! What holds for any weights.

use attn_core::{Mask, Pass};
use candle_core::{Result, Tensor};
use models::text::CausalLm;
use models::{Input, LossOptions, Model, ModelConfig};
use testkit::{assert_close, max_error};

use crate::made::{Batch, LONGEST, Outcome, VOCAB, all, classifiers, lm, lms, shaken};

fn logits(model: &Model, tokens: &[u32], walls: &[u32]) -> Outcome<Tensor> {
    let mask = Mask::new(model.pattern().clone(), walls)?;
    Ok(model.logits(&Input::Tokens(tokens.into()), &mask, Pass::eval())?)
}

/// The language model inside.
fn shaken_lm(config: &ModelConfig) -> Result<CausalLm> {
    match shaken(config)?.1 {
        Model::CausalLm(model) => Ok(model),
        other => panic!("{other:?} is no language model"),
    }
}

#[test]
fn future_tokens_cannot_change_past_logits() -> Outcome {
    for config in lms() {
        let (_, model) = shaken(&config)?;
        let mut tokens = vec![1, 5, 2, 9, 3, 3, 0, 7];
        let before = logits(&model, &tokens, &[0, 8])?;
        for changed in (1..8).rev() {
            tokens[changed] = (tokens[changed] + 1) % VOCAB as u32;
            let after = logits(&model, &tokens, &[0, 8])?;
            let (past, now) = (before.narrow(0, 0, changed)?, after.narrow(0, 0, changed)?);
            // The same arithmetic on the same numbers: equal to the bit.
            assert_eq!(past.to_vec2::<f64>()?, now.to_vec2::<f64>()?, "{config:?}");
            let error = max_error(&after.get(changed)?, &before.get(changed)?)?;
            assert!(
                error > 1e-3,
                "token {changed} does not reach its own row: {config:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn sequences_of_a_batch_do_not_see_each_other() -> Outcome {
    for config in all() {
        let (_, model) = shaken(&config)?;
        let (a, b, c) = ([1, 5, 2, 9], [3], [3, 0, 7, 7, 10, 4]);
        let packed = logits(&model, &[&a[..], &b, &c].concat(), &[0, 4, 5, 11])?;
        let moved = logits(&model, &[&c[..], &a, &b].concat(), &[0, 6, 10, 11])?;
        let alone = [
            logits(&model, &a, &[0, 4])?,
            logits(&model, &b, &[0, 1])?,
            logits(&model, &c, &[0, 6])?,
        ];
        let [a, b, c] = &alone;
        assert_close(&packed, &Tensor::cat(&[a, b, c], 0)?, 1e-12)?;
        assert_close(&moved, &Tensor::cat(&[c, a, b], 0)?, 1e-12)?;
    }
    Ok(())
}

#[test]
fn decoding_with_a_cache_gives_the_last_row_of_the_whole() -> Outcome {
    let tokens = [1, 5, 2, 9, 3, 3, 0, 7];
    for config in lms() {
        let model = shaken_lm(&config)?;
        let whole = |n: usize| -> Outcome<Tensor> {
            let mask = Mask::single(model.pattern().clone(), n)?;
            Ok(model
                .logits(tokens[..n].into(), &mask, Pass::eval())?
                .get(n - 1)?)
        };
        for pieces in [&[1; LONGEST][..], &[8], &[5, 1, 2], &[1, 7]] {
            let mut cache = model.cache();
            let mut n = 0;
            for &piece in pieces {
                let last = model.decode(tokens[n..n + piece].into(), &mut cache)?;
                n += piece;
                assert_close(&last, &whole(n)?, 1e-12)?;
            }
        }
    }
    Ok(())
}

#[test]
fn the_loss_is_the_mean_of_what_evaluation_sums() -> Outcome {
    for config in all() {
        let (_, model) = shaken(&config)?;
        let mut batch = Batch::of(&config);
        batch.targets[1] = u32::MAX;
        let (input, mask) = (batch.input(), batch.mask(&model));
        let evaluation = model.evaluate(&input, &mask, &batch.targets())?;
        assert_eq!(evaluation.n_targets, batch.targets.len() - 1);

        let options = LossOptions::default();
        let loss = model.loss(&input, &mask, &batch.targets(), options, Pass::eval())?;
        let mean = evaluation.loss().expect("there are targets");
        assert!((loss.to_scalar::<f64>()? - mean).abs() < 1e-12);

        let logits = model.logits(&input, &mask, Pass::eval())?;
        let best = logits.argmax(1)?.to_vec1::<u32>()?;
        let n_correct = best
            .iter()
            .zip(&batch.targets)
            .filter(|(a, b)| a == b)
            .count();
        assert_eq!(evaluation.n_correct, n_correct);
        let want = testkit::oracle::cross_entropy(&logits, &batch.targets, u32::MAX, 0.0)?;
        assert!((want - mean).abs() < 1e-10, "{want} {mean}");
    }
    Ok(())
}

#[test]
fn sequences_evaluated_one_by_one_add_up() -> Outcome {
    for config in lms() {
        let model = shaken_lm(&config)?;
        let mut batch = Batch::of(&config);
        batch.targets[3] = u32::MAX;
        let mask = Mask::new(model.pattern().clone(), batch.walls.clone())?;
        let all = model.evaluate(batch.tokens.clone().into(), &mask, &batch.targets())?;
        let each = model.evaluate_each(batch.tokens.clone().into(), &mask, &batch.targets)?;
        assert_eq!(
            each.iter().map(|e| e.n_targets).collect::<Vec<_>>(),
            [4, 1, 7]
        );
        let mut sum = models::Evaluation::default();
        each.into_iter().for_each(|evaluation| sum += evaluation);
        assert!((sum.loss_sum - all.loss_sum).abs() < 1e-10);
        assert_eq!(
            (sum.n_targets, sum.n_correct),
            (all.n_targets, all.n_correct)
        );
    }
    Ok(())
}

#[test]
fn dropout_is_of_training_alone_and_a_function_of_the_pass() -> Outcome {
    for config in [
        lm("dropout = 0.3"),
        lm("attention_dropout = 0.5"),
        lm("dropout = 0.3\nnorm_placement = 'post'"),
        lm("dropout = 0.3\nembed_norm = true\ntoken_types = 2"),
    ] {
        let (_, model) = shaken(&config)?;
        let batch = Batch::of(&config);
        let run = |pass| -> Result<Vec<Vec<f64>>> {
            model
                .logits(&batch.input(), &batch.mask(&model), pass)?
                .to_vec2()
        };
        let train = run(Pass::train(1, 1))?;
        assert_eq!(train, run(Pass::train(1, 1))?);
        assert_ne!(train, run(Pass::train(1, 2))?);
        assert_ne!(train, run(Pass::train(2, 1))?);
        assert_ne!(train, run(Pass::eval())?);
        assert_eq!(run(Pass::eval())?, run(Pass::eval())?);
    }
    Ok(())
}

#[test]
fn pooling_chooses_what_the_head_reads() -> Outcome {
    let kinds: Vec<_> = classifiers()
        .into_iter()
        .map(|config| config.pooling())
        .collect();
    for pooling in [
        models::Pooling::Mean,
        models::Pooling::First,
        models::Pooling::Last,
    ] {
        assert!(kinds.contains(&Some(pooling)));
    }
    // Under a causal mask the first position knows nothing of the others.
    let config = crate::made::classifier("pooling = 'first'\nmask = 'causal'");
    let (_, model) = shaken(&config)?;
    let (short, long) = (
        logits(&model, &[4], &[0, 1])?,
        logits(&model, &[4, 2, 9], &[0, 3])?,
    );
    assert_close(&short, &long, 1e-12)?;
    Ok(())
}
