//! Trains one block, without any configuration file, to say which symbol came before.
//!
//! Row `i` of the target is symbol `i - 1` of the input: the block has to learn to look
//! one position back, which it can because a vector for each position is added to the
//! input. Prints the loss, then what each row reads.
//!
//! ```sh
//! cargo run --release -p attn-core --example train_a_block
//! ```

use std::error::Error;
use std::sync::Arc;

use attn_core::{
    AttentionConfig, Block, BlockConfig, Context, Embedding, Mask, MlpConfig, ParamStore, Pass,
    Pattern, WeightInit,
};
use candle_core::{DType, Device, Tensor};
use candle_nn::{AdamW, Module, Optimizer, ParamsAdamW};

const N_SYMBOLS: usize = 8;
const D_MODEL: usize = 32;
const SEQ_LEN: usize = 12;
const BATCH: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    // Every layer takes its parameters from a builder; the store keeps them by name.
    let store = ParamStore::new(1, DType::F32, &Device::Cpu);
    let vb = store.var_builder();
    let init = WeightInit::default().weight();
    let symbols = Embedding::new(N_SYMBOLS, D_MODEL, init, vb.pp("symbols"))?;
    let places = Embedding::new(SEQ_LEN, D_MODEL, init, vb.pp("places"))?;
    let attention = AttentionConfig::new(D_MODEL, 2)?;
    let config = BlockConfig::new(attention, MlpConfig::new(D_MODEL, 4 * D_MODEL)?)?;
    let block = Block::new(&config, vb.pp("block"))?;
    // A layer of Candle's fits between ours.
    let head = candle_nn::linear(D_MODEL, N_SYMBOLS, vb.pp("head"))?;
    println!(
        "{} parameters in {} tensors",
        store.n_params(),
        store.names().len()
    );

    // The batch is packed: all rows one after the other, with walls between sequences.
    let walls: Vec<u32> = (0..=BATCH).map(|i| (i * SEQ_LEN) as u32).collect();
    let mask = Mask::new(Pattern::Causal, walls)?;
    let mut optimizer = AdamW::new(
        store.vars(),
        ParamsAdamW {
            lr: 0.01,
            ..Default::default()
        },
    )?;

    let mut input = None;
    for step in 0..60 {
        let (ids, targets) = batch(u64::from(step))?;
        let x = kernels::add(&symbols.lookup(ids)?, &places.lookup(mask.positions())?)?;
        let context = Context {
            pass: Pass::train(1, step),
            ..Context::eval(&mask)
        };
        let logits = head.forward(&block.forward(&x, context)?)?;
        let loss = candle_nn::loss::cross_entropy(&logits, &targets)?;
        optimizer.backward_step(&loss)?;
        if step % 10 == 9 {
            println!("step {step:2}: loss {:.3}", loss.to_scalar::<f32>()?);
        }
        input = Some(x.detach());
    }

    let Some(x) = input else { return Ok(()) };
    println!("what the first head reads (rows: queries, columns: keys, in tenths):");
    let rows: Vec<usize> = (0..SEQ_LEN).collect();
    let weights = block.attention().weights(
        &block.attention_input(&x)?,
        Context::eval(&mask),
        &[0],
        &rows,
    )?;
    for row in weights.get(0)?.to_vec2::<f32>()? {
        let tenths = row[..SEQ_LEN]
            .iter()
            .map(|weight| format!("{:2.0}", weight * 10.0));
        println!("{}", tenths.collect::<Vec<_>>().join(" "));
    }
    Ok(())
}

/// Random symbols, and as targets the symbols before them (the first row: itself).
fn batch(seed: u64) -> candle_core::Result<(Arc<[u32]>, Tensor)> {
    // A linear congruential generator (Knuth 1998, §3.3.4) is random enough for a toy.
    let mut state = seed;
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % N_SYMBOLS as u64) as u32
    };
    let ids: Arc<[u32]> = (0..BATCH * SEQ_LEN).map(|_| draw()).collect();
    let before = |i: usize| {
        if i.is_multiple_of(SEQ_LEN) {
            ids[i]
        } else {
            ids[i - 1]
        }
    };
    let targets: Vec<u32> = (0..ids.len()).map(before).collect();
    Ok((ids.clone(), Tensor::new(targets, &Device::Cpu)?))
}
