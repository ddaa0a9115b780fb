//! The number of threads does not change a bit.

use attn_core::{
    AttentionConfig, BlockConfig, Context, Mask, MlpConfig, ParamStore, Pass, Pattern, Stack,
    StackConfig,
};
use candle_core::{DType, Device};
use testkit::randn;

use super::{Result, bits};

fn step() -> Result<Vec<Vec<u64>>> {
    let (d_model, n) = (64, 300);
    let attention = AttentionConfig::new(d_model, 4)?
        .with_dropout(0.1, 0.1)?
        .with_bias(true);
    let block = BlockConfig::new(attention, MlpConfig::new(d_model, 256)?)?;
    let store = ParamStore::new(1, DType::F32, &Device::Cpu);
    let stack = Stack::new(&StackConfig::new(block, 2)?, store.var_builder())?;
    let mask = Mask::new(Pattern::Causal, [0, 130, n as u32])?;
    let context = Context {
        pass: Pass::train(1, 7),
        ..Context::eval(&mask)
    };
    let y = stack.forward(&randn(2, (n, d_model))?.to_dtype(DType::F32)?, context)?;
    let grads = y.sqr()?.sum_all()?.backward()?;
    let mut all = vec![bits(&y)?];
    for var in store.vars() {
        all.push(bits(grads.get(&var).ok_or("no gradient")?)?);
    }
    Ok(all)
}

#[test]
fn one_two_and_four_threads_compute_the_same_bits() -> Result {
    let run = |n| -> Result<Vec<Vec<u64>>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build()?;
        pool.install(|| step().map_err(|error| error.to_string()))
            .map_err(Into::into)
    };
    let one = run(1)?;
    assert!(one == run(2)? && one == run(4)?);
    Ok(())
}
