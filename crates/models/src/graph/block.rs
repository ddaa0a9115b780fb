//! A block that attends along edges and everywhere at once.

use attn_core::{Context, Mask, Mlp, MultiHeadAttention, Norm, NormOrder, StackConfig};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

/// `x + local(norm x) + global(norm x)`, then the feed-forward layer: a block of Rampášek
/// et al. 2022, §3.1 <https://arxiv.org/abs/2205.12454>, with attention for its local part.
///
/// Parameters, under the prefix of the builder: those of [`attn_core::Block`], whose
/// `attn` runs along edges, and `global`, which does not.
#[derive(Debug, Clone)]
pub(super) struct Both {
    attn_norm: Norm,
    local: MultiHeadAttention,
    global: MultiHeadAttention,
    mlp_norm: Norm,
    mlp: Mlp,
    order: NormOrder,
}

impl Both {
    /// `global` is the attention that reads no edges.
    pub(super) fn new(config: &StackConfig, global: &StackConfig, vb: VarBuilder) -> Result<Self> {
        let block = config.block();
        let norm = |name: &str| Norm::new(block.norm(), config.d_model(), vb.pp(name));
        Ok(Self {
            attn_norm: norm("attn_norm")?,
            local: MultiHeadAttention::new(block.attention(), vb.pp("attn"))?,
            global: MultiHeadAttention::new(global.block().attention(), vb.pp("global"))?,
            mlp_norm: norm("mlp_norm")?,
            mlp: Mlp::new(block.mlp(), vb.pp("mlp"))?,
            order: block.order(),
        })
    }

    /// # Shapes
    ///
    /// - `x`: `[n, d_model]`
    /// - `along`: edges; `walls`: the graphs they are in
    /// - returns: `[n, d_model]`
    pub(super) fn forward(&self, x: &Tensor, along: Context<'_>, walls: &Mask) -> Result<Tensor> {
        let everywhere = Context {
            mask: walls,
            position: &attn_core::NoPosition,
            pass: along.pass,
        };
        let read = |x: &Tensor| {
            let (local, global) = (
                self.local.forward(x, along)?,
                self.global.forward(x, everywhere)?,
            );
            kernels::add(&local, &global)
        };
        match self.order {
            NormOrder::Pre => {
                let y = read(&self.attn_norm.forward_with(x, None)?)?;
                let x = kernels::add(x, &y)?;
                let y = self.mlp_norm.forward_with(&x, None)?;
                self.mlp.forward_with(&y, Some(&x), along.pass)
            }
            NormOrder::Post => {
                let x = self.attn_norm.forward_with(&read(x)?, Some(x))?;
                let y = self.mlp.forward_with(&x, Some(&x), along.pass)?;
                self.mlp_norm.forward_with(&y, None)
            }
        }
    }
}
