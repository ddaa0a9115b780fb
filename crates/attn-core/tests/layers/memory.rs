//! Blocks that are computed again: neither results nor gradients change by a bit.

use std::sync::Arc;

use attn_core::{
    AttentionConfig, BlockConfig, BlockMemory, Context, EdgeBias, Mask, MlpConfig, MlpKind,
    NormOrder, ParamStore, Pass, Position, RelativeBias, Rotary, Stack, StackConfig,
};
use candle_core::{DType, Device, Tensor, Var};
use kernels::{CrossEntropy, FlatGrads, linear_cross_entropy};
use testkit::{gradcheck_all, randn, reach};

use super::edges::graph;
use super::{Result, bits, mask, patterns, shake};

const D_MODEL: usize = 8;
const N: usize = 7;
const WAYS: [&str; 3] = ["Candle's walk", "our walk", "slots"];

/// Every hook at once, with what can be learnt made anew for each layer.
#[derive(Debug)]
struct Hooks {
    distances: Var,
    kinds: Var,
    features: Var,
}

impl Hooks {
    fn new(dtype: DType, n_edges: usize) -> Result<Self> {
        let var = |seed, rows, columns| -> Result<Var> {
            let values = randn(seed, (rows, columns))?.to_dtype(dtype)?;
            Ok(Var::from_tensor(&values)?)
        };
        Ok(Self {
            distances: var(20, 2, 5)?,
            kinds: var(21, 2, 3)?,
            features: var(22, n_edges, 3)?,
        })
    }
}

impl Position for Hooks {
    fn rotate(&self, mask: &Mask) -> candle_core::Result<Option<Rotary>> {
        let angles = randn(23, (N, 2))?;
        Ok(Some(Rotary {
            cos: angles.cos()?.to_dtype(self.kinds.dtype())?,
            sin: angles.sin()?.to_dtype(self.kinds.dtype())?,
            query_positions: mask.positions(),
            key_positions: mask.key_positions(),
        }))
    }

    fn bias(&self, mask: &Mask) -> candle_core::Result<Option<RelativeBias>> {
        if mask.edges().is_some() {
            return Ok(None);
        }
        Ok(Some(RelativeBias {
            table: kernels::add(&self.distances, &self.distances)?,
            offset: 2,
            query_positions: mask.positions(),
            key_positions: mask.key_positions(),
        }))
    }

    fn edge_bias(&self, mask: &Mask) -> candle_core::Result<Option<EdgeBias>> {
        let n_edges = mask.edges().map_or(0, |edges| edges.n_edges()) as u32;
        Ok(Some(EdgeBias {
            table: self.kinds.as_tensor().clone(),
            buckets: (0..n_edges).map(|edge| edge % 3).collect(),
        }))
    }

    fn edge_features(&self, _: &Mask) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(kernels::activate(
            &self.features,
            kernels::Activation::Silu,
        )?))
    }
}

/// Stacks that differ in the kind of block, with dropout wherever there may be some.
fn configs(along: bool) -> Result<[StackConfig; 3]> {
    let plain = AttentionConfig::new(D_MODEL, 2)?.with_dropout(0.2, 0.2)?;
    let plain = match along {
        true => plain.with_edge_features(3)?,
        false => plain,
    };
    let grouped = plain.with_kv_heads(1)?.with_qk_norm(true).with_bias(true);
    let mlp = MlpConfig::new(D_MODEL, 12)?.with_dropout(0.2)?;
    let gated = mlp.with_kind(MlpKind::SwiGlu);
    let stack = |attention, mlp, order| -> Result<StackConfig> {
        let block = BlockConfig::new(attention, mlp)?.with_order(order);
        Ok(StackConfig::new(block, 3)?)
    };
    Ok([
        stack(plain, mlp, NormOrder::Pre)?,
        stack(grouped, gated, NormOrder::Pre)?,
        stack(grouped, mlp.with_bias(true), NormOrder::Post)?,
    ])
}

/// A stack of one kind with everything it learns from, and its input.
struct Case {
    stack: Stack,
    store: ParamStore,
    hooks: Hooks,
    x: Var,
}

impl Case {
    fn new(config: StackConfig, memory: BlockMemory, mask: &Mask, dtype: DType) -> Result<Self> {
        let store = ParamStore::new(1, dtype, &Device::Cpu);
        let stack = Stack::new(&config.with_memory(memory), store.var_builder())?;
        if dtype == DType::F64 {
            shake(&store)?;
        }
        let n_edges = mask.edges().map_or(1, |edges| edges.n_edges());
        Ok(Self {
            stack,
            store,
            hooks: Hooks::new(dtype, n_edges)?,
            x: Var::from_tensor(&randn(9, (N, D_MODEL))?.to_dtype(dtype)?)?,
        })
    }

    fn forward(&self, mask: &Mask) -> candle_core::Result<Tensor> {
        let context = Context {
            mask,
            position: &self.hooks,
            pass: Pass::train(1, 2),
        };
        self.stack.forward(&self.x, context)
    }

    /// Everything that `mask` lets learn, by name.
    fn variables(&self, mask: &Mask) -> Vec<(String, Var)> {
        let mut all = self.store.named_vars();
        all.push(("x".to_owned(), self.x.clone()));
        all.extend(match mask.edges() {
            None => vec![("distances".to_owned(), self.hooks.distances.clone())],
            Some(_) => vec![
                ("kinds".to_owned(), self.hooks.kinds.clone()),
                ("features".to_owned(), self.hooks.features.clone()),
            ],
        });
        all
    }

    fn loss(&self, mask: &Mask) -> Result<Tensor> {
        let y = self.forward(mask)?;
        let head = randn(4, (5, D_MODEL))?.to_dtype(y.dtype())?;
        let ids: Arc<[u32]> = testkit::rand_ids(2, N, 5).into();
        let objective = CrossEntropy::default();
        Ok(linear_cross_entropy(&y, &head, None, ids, &objective)?)
    }

    /// The loss and all gradients, by each of the ways back.
    fn steps(&self, mask: &Mask) -> Result<Vec<Vec<Vec<u64>>>> {
        let vars: Vec<Var> = self.variables(mask).into_iter().map(|(_, v)| v).collect();
        let loss = bits(&self.loss(mask)?)?;
        let stored = |grads: candle_core::backprop::GradStore| -> Result<Vec<Vec<u64>>> {
            let of = |var: &Var| bits(grads.get(var).ok_or("no gradient")?);
            std::iter::once(Ok(loss.clone()))
                .chain(vars.iter().map(of))
                .collect()
        };
        let mut flat = FlatGrads::new(&vars)?;
        flat.backward(self.loss(mask)?)?;
        let slot = |var: &Var| -> Result<Vec<u64>> {
            let grad = flat.of(var)?.ok_or("no slot")?;
            Ok(grad.iter().map(|&g| f64::from(g).to_bits()).collect())
        };
        let slots = std::iter::once(Ok(loss.clone())).chain(vars.iter().map(slot));
        Ok(vec![
            stored(self.loss(mask)?.backward()?)?,
            stored(kernels::backward(self.loss(mask)?)?)?,
            slots.collect::<Result<_>>()?,
        ])
    }
}

fn masks() -> Result<Vec<Mask>> {
    Ok(patterns().map(mask).into_iter().chain([graph()?]).collect())
}

#[test]
fn every_mask_and_block_gives_the_same_bits_by_every_way_back() -> Result {
    for mask in masks()? {
        for (kind, config) in configs(mask.edges().is_some())?.into_iter().enumerate() {
            let steps = |memory| Case::new(config, memory, &mask, DType::F32)?.steps(&mask);
            let (kept, again) = (steps(BlockMemory::Keep)?, steps(BlockMemory::Recompute)?);
            for (way, (kept, again)) in WAYS.iter().zip(kept.iter().zip(&again)) {
                assert!(kept == again, "{}, block {kind}, {way}", mask.pattern());
            }
        }
    }
    Ok(())
}

#[test]
fn gradients_match_differences_and_reach_everything() -> Result {
    for mask in [masks()?.remove(1), graph()?] {
        let config = configs(mask.edges().is_some())?[1];
        let case = Case::new(config, BlockMemory::Recompute, &mask, DType::F64)?;
        let vars = case.variables(&mask);
        let inputs: Vec<_> = vars
            .iter()
            .map(|(name, var)| (name.as_str(), var))
            .collect();
        gradcheck_all(&inputs, || case.forward(&mask))?;
        let y = case.forward(&mask)?;
        reach(&(&y * randn(4, (N, D_MODEL))?)?.sum_all()?, vars)?;
    }
    Ok(())
}

#[test]
fn one_two_and_four_threads_compute_the_same_bits() -> Result {
    let config = configs(false)?[0];
    let mask = masks()?.remove(1);
    let run = |memory, n| -> Result<Vec<Vec<Vec<u64>>>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build()?;
        let steps = || Case::new(config, memory, &mask, DType::F32)?.steps(&mask);
        pool.install(|| steps().map_err(|error| error.to_string()))
            .map_err(Into::into)
    };
    let kept = run(BlockMemory::Keep, 1)?;
    for n in [1, 2, 4] {
        assert!(run(BlockMemory::Recompute, n)? == kept, "{n} threads");
    }
    Ok(())
}
