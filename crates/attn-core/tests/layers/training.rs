//! Layers of both libraries in one model, trained by Candle's optimiser.

use std::sync::Arc;

use attn_core::{
    AttentionConfig, BlockConfig, Context, Embedding, Mask, MlpConfig, ParamStore, Pass, Pattern,
    Stack, StackConfig, WeightInit,
};
use candle_core::{DType, Device, Tensor};
use candle_nn::{AdamW, Module, Optimizer, ParamsAdamW};

use super::Result;

/// Says after each of 16 symbols which one came before it: needs attention.
#[test]
fn a_mixed_model_learns_to_look_back() -> Result {
    let (vocab_size, d_model, n) = (4, 16, 16);
    let store = ParamStore::new(3, DType::F32, &Device::Cpu);
    let vb = store.var_builder();
    let init = WeightInit::default().weight();
    let tokens = Embedding::new(vocab_size, d_model, init, vb.pp("tokens"))?;
    let places = candle_nn::embedding(n, d_model, vb.pp("places"))?;
    let attention = AttentionConfig::new(d_model, 2)?.with_dropout(0.0, 0.05)?;
    let block = BlockConfig::new(attention, MlpConfig::new(d_model, 32)?)?;
    let stack = Stack::new(&StackConfig::new(block, 1)?, vb.pp("stack"))?;
    let head = candle_nn::linear(d_model, vocab_size, vb.pp("head"))?;

    let ids: Arc<[u32]> = testkit::rand_ids(5, 2 * n, vocab_size as u32).into();
    let mask = Mask::new(Pattern::Causal, [0, n as u32, 2 * n as u32])?;
    let positions = Tensor::new(&*mask.positions(), &Device::Cpu)?;
    let targets: Vec<u32> = (0..2 * n)
        .map(|i| {
            if i.is_multiple_of(n) {
                ids[i]
            } else {
                ids[i - 1]
            }
        })
        .collect();
    let targets = Tensor::new(targets, &Device::Cpu)?;

    let mut optimizer = AdamW::new(
        store.vars(),
        ParamsAdamW {
            lr: 0.02,
            ..Default::default()
        },
    )?;
    let mut losses = Vec::new();
    for step in 0..60 {
        let context = Context {
            pass: Pass::train(1, step),
            ..Context::eval(&mask)
        };
        let x = (tokens.lookup(ids.clone())? + places.forward(&positions)?)?;
        let logits = head.forward(&stack.forward(&x, context)?)?;
        let loss = candle_nn::loss::cross_entropy(&logits, &targets)?;
        optimizer.backward_step(&loss)?;
        losses.push(loss.to_scalar::<f32>()?);
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(first > 1.2 && last < 0.3, "from {first} to {last}");
    Ok(())
}
