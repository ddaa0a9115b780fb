//! Masks, attention layers and the parameter store.
//!
//! The residual stream is packed: `[n, d_model]` holds the rows of all sequences of a
//! batch, one after the other, and a [`Mask`] says where each ends and who may attend
//! to whom.
//!
//! - [`mask`]: who may attend to whom, as a value; [`Mask::allows`] is the definition.
//! - [`Input`], [`Targets`]: what data and models agree on, whatever rows stand for.
//! - [`store`]: parameters by name, behind [`candle_nn::VarBuilder`].
//! - Layers: [`Linear`], [`Norm`], [`Embedding`], [`Dropout`], [`Mlp`],
//!   [`MultiHeadAttention`], [`Block`], [`Stack`]. Those that need no mask are a
//!   [`candle_nn::Module`], and mix with layers of `candle-nn`.
//! - [`attend`]: attention itself, for layers of your own.
//! - [`Position`]: the hooks that a position encoding fills; [`KvCache`]: keys and
//!   values of earlier rows, for generating.
//!
//! # Examples
//!
//! A model of two blocks, three steps of training with Candle's optimiser, and an
//! evaluation that records no graph:
//!
//! ```
//! use attn_core::{
//!     AttentionConfig, BlockConfig, Context, Mask, MlpConfig, ParamStore, Pass, Pattern, Stack,
//!     StackConfig,
//! };
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{AdamW, Module, Optimizer, ParamsAdamW};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let attention = AttentionConfig::new(16, 4)?.with_kv_heads(2)?.with_dropout(0.0, 0.1)?;
//! let block = BlockConfig::new(attention, MlpConfig::new(16, 64)?)?;
//! let config = StackConfig::new(block, 2)?;
//!
//! let store = ParamStore::new(42, DType::F32, &Device::Cpu);
//! let stack = Stack::new(&config, store.var_builder().pp("stack"))?;
//! let head = candle_nn::linear(16, 1, store.var_builder().pp("head"))?;
//!
//! // Two sequences, of three rows and of two.
//! let mask = Mask::new(Pattern::Causal, [0, 3, 5])?;
//! let x = Tensor::arange(0f32, 80.0, &Device::Cpu)?.reshape((5, 16))?;
//! let mut optimizer = AdamW::new(store.vars(), ParamsAdamW::default())?;
//! for step in 0..3 {
//!     let context = Context { pass: Pass::train(42, step), ..Context::eval(&mask) };
//!     let y = head.forward(&stack.forward(&x, context)?)?;
//!     optimizer.backward_step(&y.sqr()?.mean_all()?)?;
//! }
//!
//! let frozen = Stack::new(&config, store.detached().pp("stack"))?;
//! assert!(!frozen.forward(&x, Context::eval(&mask))?.track_op());
//! # Ok(())
//! # }
//! ```

mod attend;
mod attention;
mod block;
mod cache;
mod config;
mod context;
mod dropout;
mod embedding;
pub mod input;
mod linear;
pub mod lora;
pub mod mask;
mod memory;
mod mlp;
mod norm;
pub mod pass;
mod position;
mod projection;
mod stack;
pub mod store;
mod targets;
mod weight_init;

pub use attend::{attend, attention_weights};
pub use attention::{AttentionConfig, MultiHeadAttention};
pub use block::{Block, BlockConfig, NormOrder};
pub use cache::KvCache;
pub use config::ConfigError;
pub use context::Context;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use input::Input;
pub use kernels::{EdgeBias, RelativeBias, Rotary};
pub use linear::Linear;
pub use lora::Lora;
pub use mask::{Mask, MaskError, Pattern};
pub use memory::BlockMemory;
pub use mlp::{Mlp, MlpConfig, MlpKind};
pub use norm::{Norm, NormConfig, NormKind};
pub use pass::Pass;
pub use position::{NoPosition, Position};
pub use stack::{Stack, StackConfig};
pub use store::{LoadError, ParamStore};
pub use targets::{IGNORED, Targets};
pub use weight_init::WeightInit;
