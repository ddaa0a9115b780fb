//! What a block keeps for its backward pass, and what it computes again.

use candle_core::{Result, Tensor};
use kernels::{EdgeBias, RelativeBias, Rotary, checkpoint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Mask, Pass, Position};

/// What is kept of a block between its forward and its backward pass. Results, gradients
/// included, are the same to the bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BlockMemory {
    /// Everything that the backward pass reads.
    #[default]
    Keep,
    /// Only the input; the backward pass runs the block again. A step takes about a third
    /// longer, and what it holds grows with the depth by the residual stream alone.
    Recompute,
}

impl BlockMemory {
    /// `forward(block, x, context)`
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, d_model]`
    /// - returns: `[n, d_model]`
    pub fn run<B: Clone + Send + Sync + 'static>(
        self,
        block: &B,
        x: &Tensor,
        context: Context<'_>,
        forward: impl Fn(&B, &Tensor, Context<'_>) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        if self == Self::Keep {
            return forward(block, x, context);
        }
        let (block, input, told) = (block.clone(), x.clone(), Told::of(context)?);
        let mut inputs = vec![x];
        let hooks = told.hooks.clone();
        inputs.extend(hooks.tensors());
        checkpoint(&inputs, move || forward(&block, &input, told.context()))
    }
}

/// What a [`Context`] says, in its own memory.
#[derive(Debug)]
struct Told {
    mask: Mask,
    hooks: Answers,
    pass: Pass,
}

impl Told {
    fn of(context: Context<'_>) -> Result<Self> {
        let Context {
            mask,
            position,
            pass,
        } = context;
        Ok(Self {
            mask: mask.clone(),
            hooks: Answers::of(position, mask)?,
            pass,
        })
    }

    fn context(&self) -> Context<'_> {
        Context {
            mask: &self.mask,
            position: &self.hooks,
            pass: self.pass,
        }
    }
}

/// What the hooks of a [`Position`] answered for one mask.
#[derive(Debug, Clone)]
struct Answers {
    rotary: Option<Rotary>,
    bias: Option<RelativeBias>,
    edge_bias: Option<EdgeBias>,
    edge_features: Option<Tensor>,
}

impl Answers {
    fn of(position: &dyn Position, mask: &Mask) -> Result<Self> {
        let along = mask.edges().is_some();
        Ok(Self {
            rotary: position.rotate(mask)?,
            bias: position.bias(mask)?,
            edge_bias: along
                .then(|| position.edge_bias(mask))
                .transpose()?
                .flatten(),
            edge_features: along
                .then(|| position.edge_features(mask))
                .transpose()?
                .flatten(),
        })
    }

    /// Those that may be on the tape.
    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let tables = [
            self.bias.as_ref().map(|bias| &bias.table),
            self.edge_bias.as_ref().map(|bias| &bias.table),
        ];
        tables.into_iter().flatten().chain(&self.edge_features)
    }
}

impl Position for Answers {
    fn rotate(&self, _: &Mask) -> Result<Option<Rotary>> {
        Ok(self.rotary.clone())
    }

    fn bias(&self, _: &Mask) -> Result<Option<RelativeBias>> {
        Ok(self.bias.clone())
    }

    fn edge_bias(&self, _: &Mask) -> Result<Option<EdgeBias>> {
        Ok(self.edge_bias.clone())
    }

    fn edge_features(&self, _: &Mask) -> Result<Option<Tensor>> {
        Ok(self.edge_features.clone())
    }
}
