//! Blocks and stacks.

use attn_core::{
    AttentionConfig, Block, BlockConfig, Context, MlpConfig, MlpKind, NormConfig, NormKind,
    NormOrder, ParamStore, Pass, Pattern, Stack, StackConfig,
};
use candle_core::{Tensor, Var};
use testkit::{assert_close, gradcheck_all, oracle, randn, reach};

use super::attention::definition as attention;
use super::{ROUNDING, Result, mask, param, pick, shake, store};

const D_MODEL: usize = 4;

pub(super) fn config(order: NormOrder, norm: NormKind, kind: MlpKind) -> Result<BlockConfig> {
    let attention = AttentionConfig::new(D_MODEL, 2)?;
    let mlp = MlpConfig::new(D_MODEL, 6)?.with_kind(kind);
    Ok(BlockConfig::new(attention, mlp)?
        .with_norm(NormConfig::new(norm))
        .with_order(order))
}

fn configs() -> Result<[BlockConfig; 3]> {
    Ok([
        config(NormOrder::Pre, NormKind::Layer, MlpKind::Gelu)?,
        config(NormOrder::Pre, NormKind::Rms, MlpKind::SwiGlu)?,
        config(NormOrder::Post, NormKind::Layer, MlpKind::GeluErf)?,
    ])
}

fn definition(
    config: &BlockConfig,
    store: &ParamStore,
    x: &Tensor,
    mask: &attn_core::Mask,
) -> Result<Tensor> {
    let get = |name: &str| param(store, name).ok_or(format!("no {name}"));
    let norm = |name: &str, x: &Tensor| -> Result<Tensor> {
        let (gamma, eps) = (get(&format!("{name}.weight"))?, config.norm().eps());
        Ok(match config.norm().kind() {
            NormKind::Layer => oracle::layer_norm(
                x,
                &gamma,
                param(store, &format!("{name}.bias")).as_ref(),
                eps,
            )?,
            NormKind::Rms => oracle::rms_norm(x, &gamma, eps)?,
        })
    };
    let attend = |x: &Tensor| attention(config.attention(), store, "attn.", x, mask);
    let mlp = |x: &Tensor| -> Result<Tensor> {
        let up = oracle::linear(x, &get("mlp.up.weight")?, None)?;
        let inner = match config.mlp().kind() {
            MlpKind::SwiGlu => {
                oracle::swiglu(&oracle::linear(x, &get("mlp.gate.weight")?, None)?, &up)?
            }
            MlpKind::GeluErf => oracle::map(&up, oracle::gelu_erf)?,
            _ => oracle::map(&up, oracle::gelu_tanh)?,
        };
        Ok(oracle::linear(&inner, &get("mlp.down.weight")?, None)?)
    };
    match config.order() {
        NormOrder::Pre => {
            let x = (x + attend(&norm("attn_norm", x)?)?)?;
            Ok((&x + mlp(&norm("mlp_norm", &x)?)?)?)
        }
        NormOrder::Post => {
            let x = norm("attn_norm", &(x + attend(x)?)?)?;
            norm("mlp_norm", &(&x + mlp(&x)?)?)
        }
    }
}

#[test]
fn a_block_is_its_definition_and_its_gradient_is_right() -> Result {
    for (config, pattern) in
        configs()?
            .iter()
            .zip([Pattern::Causal, Pattern::Full, Pattern::Causal])
    {
        let store = store();
        let block = Block::new(config, store.var_builder())?;
        shake(&store)?;
        let x = Var::from_tensor(&randn(3, (7, D_MODEL))?)?;
        let mask = mask(pattern);
        let y = block.forward(&x, Context::eval(&mask))?;
        assert_close(&y, &definition(config, &store, &x, &mask)?, ROUNDING)?;

        let vars = store.named_vars();
        let mut inputs = vec![("x", &x)];
        inputs.extend(vars.iter().map(|(name, var)| (name.as_str(), var)));
        gradcheck_all(&inputs, || block.forward(&x, Context::eval(&mask)))?;
    }
    Ok(())
}

#[test]
fn the_gradient_reaches_every_parameter_of_a_stack_when_it_trains() -> Result {
    for block in configs()? {
        let attention = block.attention().with_dropout(0.2, 0.2)?;
        let mlp = block.mlp().with_dropout(0.2)?;
        let block = BlockConfig::new(attention, mlp)?
            .with_norm(*block.norm())
            .with_order(block.order());
        let store = store();
        let stack = Stack::new(&StackConfig::new(block, 2)?, store.var_builder())?;
        shake(&store)?;
        let mask = mask(Pattern::Causal);
        let context = Context {
            pass: Pass::train(1, 0),
            ..Context::eval(&mask)
        };
        let y = stack.forward(&randn(3, (7, D_MODEL))?, context)?;
        reach(
            &(y * randn(4, (7, D_MODEL))?)?.sum_all()?,
            store.named_vars(),
        )?;
    }
    Ok(())
}

#[test]
fn a_stack_is_its_blocks_in_turn_and_names_them() -> Result {
    let config = StackConfig::new(configs()?[0], 2)?;
    let store = store();
    let stack = Stack::new(&config, store.var_builder().pp("model"))?;
    shake(&store)?;
    let names = store.names();
    assert!(
        names.contains(&"model.blocks.0.attn.wq.weight".to_owned()),
        "{names:?}"
    );
    assert!(
        names.contains(&"model.blocks.1.mlp.down.weight".to_owned()),
        "{names:?}"
    );
    assert!(names.contains(&"model.norm.weight".to_owned()), "{names:?}");
    let mask = mask(Pattern::Causal);
    let x = randn(3, (7, D_MODEL))?;
    let mut y = x.clone();
    for block in stack.blocks() {
        y = block.forward(&y, Context::eval(&mask))?;
    }
    let gamma = param(&store, "model.norm.weight").ok_or("no norm")?;
    let beta = param(&store, "model.norm.bias");
    let want = oracle::layer_norm(&y, &gamma, beta.as_ref(), 1e-5)?;
    assert_close(&stack.forward(&x, Context::eval(&mask))?, &want, ROUNDING)?;
    Ok(())
}

#[test]
fn without_position_rows_of_a_sequence_may_come_in_any_order() -> Result {
    let store = store();
    let stack = Stack::new(&StackConfig::new(configs()?[0], 2)?, store.var_builder())?;
    shake(&store)?;
    let (x, mask) = (randn(3, (7, D_MODEL))?, mask(Pattern::Full));
    let rows = [3, 1, 0, 2, 6, 5, 4];
    let y = stack.forward(&x, Context::eval(&mask))?;
    let z = stack.forward(&pick(&x, &rows)?, Context::eval(&mask))?;
    assert_close(&z, &pick(&y, &rows)?, ROUNDING)?;
    Ok(())
}

#[test]
fn a_detached_stack_computes_the_same_and_records_nothing() -> Result {
    let config = StackConfig::new(configs()?[0], 1)?;
    let store = store();
    let tracked = Stack::new(&config, store.var_builder())?;
    shake(&store)?;
    let detached = Stack::new(&config, store.detached())?;
    let (x, mask) = (randn(3, (7, D_MODEL))?, mask(Pattern::Causal));
    let a = tracked.forward(&x, Context::eval(&mask))?;
    let b = detached.forward(&x, Context::eval(&mask))?;
    assert_eq!(super::bits(&a)?, super::bits(&b)?);
    assert!(a.track_op() && !b.track_op());
    Ok(())
}
