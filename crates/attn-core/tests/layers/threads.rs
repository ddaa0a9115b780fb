//! Neither the number of threads nor the way back changes a bit.

use std::sync::Arc;

use attn_core::{
    AttentionConfig, Block, BlockConfig, Context, Embedding, Mask, MlpConfig, MlpKind, NormOrder,
    ParamStore, Pass, Pattern, Stack, StackConfig, WeightInit,
};
use candle_core::{DType, Device};
use kernels::{CrossEntropy, FlatGrads, linear_cross_entropy};

use super::{Result, bits};

/// How the gradients are computed.
#[derive(Debug, Clone, Copy)]
enum Way {
    Candle,
    Own,
    Flat,
}

/// The loss and all gradients of one step.
fn step(way: Way) -> Result<Vec<Vec<u64>>> {
    let (d_model, n) = (64, 300);
    let attention = AttentionConfig::new(d_model, 4)?
        .with_kv_heads(2)?
        .with_dropout(0.1, 0.1)?
        .with_bias(true);
    let mlp = MlpConfig::new(d_model, 256)?.with_dropout(0.1)?;
    let plain = BlockConfig::new(attention, mlp)?;
    let gated = BlockConfig::new(attention.with_qk_norm(true), mlp.with_kind(MlpKind::SwiGlu))?;
    let store = ParamStore::new(1, DType::F32, &Device::Cpu);
    let vb = store.var_builder();
    let a = Block::new(&plain.with_order(NormOrder::Post), vb.pp("a"))?;
    let b = Stack::new(&StackConfig::new(gated, 2)?, vb.pp("b"))?;
    let head = Embedding::new(10, d_model, WeightInit::default().weight(), vb.pp("head"))?;
    let mask = Mask::new(Pattern::Causal, [0, 130, n as u32])?;
    let context = Context {
        pass: Pass::train(1, 7),
        ..Context::eval(&mask)
    };

    let ids: Arc<[u32]> = testkit::rand_ids(2, n, 10).into();
    let y = b.forward(&a.forward(&head.lookup(ids.clone())?, context)?, context)?;
    let loss = linear_cross_entropy(&y, head.weight(), None, ids, &CrossEntropy::default())?;
    let mut all = vec![bits(&loss)?];
    match way {
        Way::Candle | Way::Own => {
            let grads = match way {
                Way::Candle => loss.backward()?,
                _ => kernels::backward(loss)?,
            };
            for var in store.vars() {
                all.push(bits(grads.get(&var).ok_or("no gradient")?)?);
            }
        }
        Way::Flat => {
            let mut flat = FlatGrads::new(&store.vars())?;
            flat.backward(loss)?;
            for var in store.vars() {
                let grad = flat.of(&var)?.ok_or("no slot")?;
                all.push(grad.iter().map(|&g| f64::from(g).to_bits()).collect());
            }
        }
    }
    Ok(all)
}

#[test]
fn every_way_back_computes_the_same_bits() -> Result {
    let candle = step(Way::Candle)?;
    for way in [Way::Own, Way::Flat] {
        assert!(step(way)? == candle, "{way:?}");
    }
    Ok(())
}

#[test]
fn one_two_and_four_threads_compute_the_same_bits() -> Result {
    let run = |n| -> Result<Vec<Vec<u64>>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build()?;
        pool.install(|| step(Way::Flat).map_err(|error| error.to_string()))
            .map_err(Into::into)
    };
    let one = run(1)?;
    assert!(one == run(2)? && one == run(4)?);
    Ok(())
}
