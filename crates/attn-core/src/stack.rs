//! Blocks, one after the other.

use candle_core::{Tensor, bail};
use candle_nn::{Module, VarBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, depth};
use crate::{Block, BlockConfig, BlockMemory, Context, KvCache, Norm, NormOrder, WeightInit};

/// A stack of equal blocks.
///
/// Valid by construction: there is at least one block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawStackConfig")]
pub struct StackConfig {
    block: BlockConfig,
    n_layers: usize,
    memory: BlockMemory,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawStackConfig {
    /// Each of the blocks.
    block: BlockConfig,
    /// How many blocks.
    n_layers: usize,
    /// What is kept of each block for the backward pass.
    #[serde(default)]
    memory: BlockMemory,
}

impl TryFrom<RawStackConfig> for StackConfig {
    type Error = ConfigError;

    fn try_from(raw: RawStackConfig) -> Result<Self, ConfigError> {
        let RawStackConfig {
            block,
            n_layers,
            memory,
        } = raw;
        Ok(Self {
            block,
            n_layers: depth("n_layers", n_layers)?,
            memory,
        })
    }
}

impl StackConfig {
    /// `n_layers` blocks, whose weights start as in a GPT-2 of that depth.
    ///
    /// # Errors
    ///
    /// If `n_layers` is 0 or beyond reason.
    pub fn new(block: BlockConfig, n_layers: usize) -> Result<Self, ConfigError> {
        let block = block.with_init(WeightInit::default().for_depth(n_layers));
        RawStackConfig {
            block,
            n_layers,
            memory: BlockMemory::Keep,
        }
        .try_into()
    }

    /// The same stack with other first values; see [`WeightInit::for_depth`].
    #[must_use]
    pub fn with_init(self, init: WeightInit) -> Self {
        Self {
            block: self.block.with_init(init),
            ..self
        }
    }

    /// The same stack with something else kept for the backward pass.
    #[must_use]
    pub fn with_memory(self, memory: BlockMemory) -> Self {
        Self { memory, ..self }
    }

    /// Each of the blocks.
    pub fn block(&self) -> &BlockConfig {
        &self.block
    }

    /// How many blocks there are.
    pub fn n_layers(&self) -> usize {
        self.n_layers
    }

    /// What is kept of each block for the backward pass.
    pub fn memory(&self) -> BlockMemory {
        self.memory
    }

    /// Width of the residual stream.
    pub fn d_model(&self) -> usize {
        self.block.attention().d_model()
    }
}

/// Blocks and, where these leave the stream unnormalised, a last norm.
///
/// Parameters, under the prefix of the builder: `blocks.0`, `blocks.1`, … and, in a
/// pre-norm stack, `norm`.
#[derive(Debug, Clone)]
pub struct Stack {
    blocks: Vec<Block>,
    norm: Option<Norm>,
    memory: BlockMemory,
}

impl Stack {
    /// Creates the stack, taking its parameters from `vb`.
    pub fn new(config: &StackConfig, vb: VarBuilder) -> candle_core::Result<Self> {
        let block = |i: usize| Block::new(&config.block, vb.pp("blocks").pp(i));
        let norm = match config.block.order() {
            NormOrder::Pre => Some(Norm::new(
                config.block.norm(),
                config.d_model(),
                vb.pp("norm"),
            )?),
            NormOrder::Post => None,
        };
        Ok(Self {
            blocks: (0..config.n_layers)
                .map(block)
                .collect::<candle_core::Result<_>>()?,
            norm,
            memory: config.memory,
        })
    }

    /// # Shapes
    ///
    /// - `x`: `[n, d_model]`
    /// - returns: `[n, d_model]`
    pub fn forward(&self, x: &Tensor, context: Context<'_>) -> candle_core::Result<Tensor> {
        let mut x = x.clone();
        for block in &self.blocks {
            x = self.memory.run(block, &x, context, Block::forward)?;
        }
        self.finish(x)
    }

    /// The rows `x` that follow those in `cache`: what [`Stack::forward`] would give
    /// for the last rows of each whole sequence. Adds them to the cache.
    ///
    /// The mask is that of [`KvCache::mask`]. If the step fails, the cache still holds
    /// what it held before.
    ///
    /// # Shapes
    ///
    /// - `x`: `[n_queries, d_model]`
    /// - returns: `[n_queries, d_model]`
    ///
    /// # Errors
    ///
    /// If the mask does not continue the cache, or the pass trains.
    pub fn decode(
        &self,
        x: &Tensor,
        context: Context<'_>,
        cache: &mut KvCache,
    ) -> candle_core::Result<Tensor> {
        cache.check(context.mask)?;
        if context.pass.is_training() {
            bail!("decoding with a cache is for evaluation");
        }
        if cache.layers.len() != self.blocks.len() {
            bail!(
                "a cache of {} layers, a stack of {}",
                cache.layers.len(),
                self.blocks.len()
            );
        }
        let mut x = x.clone();
        for (block, cache) in self.blocks.iter().zip(&mut cache.layers) {
            x = block.run(&x, context, Some(cache))?;
        }
        cache.advance(context.mask);
        self.finish(x)
    }

    /// An empty cache for this stack.
    pub fn cache(&self, n_sequences: usize) -> KvCache {
        KvCache::new(self.blocks.len(), n_sequences)
    }

    /// The blocks, to look at.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    fn finish(&self, x: Tensor) -> candle_core::Result<Tensor> {
        match &self.norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        }
    }
}
