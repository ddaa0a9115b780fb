//! Decoding with a cache against the whole sequence.

use attn_core::{
    AttentionConfig, BlockConfig, Context, Mask, MlpConfig, Pass, Pattern, Stack, StackConfig,
};
use candle_core::Tensor;
use testkit::{assert_close, randn};

use super::{ROUNDING, Result, shake, store};

const D_MODEL: usize = 8;

fn stack(qk_norm: bool) -> Result<Stack> {
    let attention = AttentionConfig::new(D_MODEL, 4)?
        .with_kv_heads(2)?
        .with_qk_norm(qk_norm);
    let block = BlockConfig::new(attention, MlpConfig::new(D_MODEL, 16)?)?;
    let (store, config) = (store(), StackConfig::new(block, 2)?);
    Stack::new(&config, store.var_builder())?;
    shake(&store)?;
    Ok(Stack::new(&config, store.detached())?)
}

/// Patterns in which no row reads a later one.
fn patterns() -> [Pattern; 2] {
    [Pattern::Causal, Pattern::Band { left: 2, right: 0 }]
}

#[test]
fn decoding_in_any_portions_equals_the_whole_sequence() -> Result {
    for qk_norm in [false, true] {
        let stack = stack(qk_norm)?;
        let x = randn(1, (9, D_MODEL))?;
        for pattern in patterns() {
            let whole = Mask::single(pattern.clone(), 9)?;
            let whole = stack.forward(&x, Context::eval(&whole))?;
            for portions in [&[9][..], &[1; 9], &[4, 1, 1, 3]] {
                let mut cache = stack.cache(1);
                let (mut parts, mut at) = (Vec::new(), 0);
                for &n in portions {
                    let mask = cache.mask(pattern.clone(), &[n as u32])?;
                    let x = x.narrow(0, at, n)?;
                    parts.push(stack.decode(&x, Context::eval(&mask), &mut cache)?);
                    at += n;
                }
                assert_eq!(cache.lens(), [9]);
                assert_close(&Tensor::cat(&parts, 0)?, &whole, ROUNDING)?;
            }
        }
    }
    Ok(())
}

#[test]
fn several_sequences_decode_side_by_side() -> Result {
    let stack = stack(false)?;
    let (a, b) = (randn(1, (5, D_MODEL))?, randn(2, (4, D_MODEL))?);
    let whole = |x: &Tensor, n| -> Result<Tensor> {
        Ok(stack.forward(x, Context::eval(&Mask::single(Pattern::Causal, n)?))?)
    };
    let (want_a, want_b) = (whole(&a, 5)?, whole(&b, 4)?);
    let mut cache = stack.cache(2);
    let (mut at_a, mut at_b) = (0, 0);
    for (n_a, n_b) in [(2, 3), (3, 0), (0, 1)] {
        let mask = cache.mask(Pattern::Causal, &[n_a as u32, n_b as u32])?;
        let x = Tensor::cat(&[a.narrow(0, at_a, n_a)?, b.narrow(0, at_b, n_b)?], 0)?;
        let y = stack.decode(&x, Context::eval(&mask), &mut cache)?;
        assert_close(
            &y.narrow(0, 0, n_a)?,
            &want_a.narrow(0, at_a, n_a)?,
            ROUNDING,
        )?;
        assert_close(
            &y.narrow(0, n_a, n_b)?,
            &want_b.narrow(0, at_b, n_b)?,
            ROUNDING,
        )?;
        (at_a, at_b) = (at_a + n_a, at_b + n_b);
    }
    assert_eq!(cache.lens(), [5, 4]);
    Ok(())
}

#[test]
fn a_cleared_cache_starts_again_and_a_wrong_mask_is_refused() -> Result {
    let stack = stack(false)?;
    let x = randn(1, (3, D_MODEL))?;
    let mut cache = stack.cache(1);
    let mask = cache.mask(Pattern::Causal, &[3])?;
    let first = stack.decode(&x, Context::eval(&mask), &mut cache)?;
    let error = stack
        .decode(&x, Context::eval(&mask), &mut cache)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("does not continue the [3] cached rows"),
        "{error}"
    );
    cache.clear();
    let again = stack.decode(&x, Context::eval(&mask), &mut cache)?;
    assert_eq!(super::bits(&first)?, super::bits(&again)?);

    cache.clear();
    let training = Context {
        pass: Pass::train(0, 0),
        ..Context::eval(&mask)
    };
    assert!(stack.decode(&x, training, &mut cache).is_err());
    Ok(())
}
