//! Masks, attention layers and the parameter store.
//!
//! The residual stream is packed: `[n, d_model]` holds the rows of all sequences of a
//! batch, one after the other, and a [`Mask`] says where each ends and who may attend
//! to whom.

mod attend;
mod attention;
mod block;
mod cache;
mod config;
mod context;
mod dropout;
mod embedding;
mod interim;
mod linear;
pub mod mask;
mod mlp;
mod norm;
pub mod pass;
mod position;
mod stack;
pub mod store;
mod weight_init;

pub use attend::{attend, attention_weights};
pub use attention::{AttentionConfig, MultiHeadAttention};
pub use block::{Block, BlockConfig, NormOrder};
pub use cache::KvCache;
pub use config::ConfigError;
pub use context::Context;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use interim::{RelativeBias, Rotary};
pub use linear::Linear;
pub use mask::{Mask, MaskError, Pattern};
pub use mlp::{Mlp, MlpConfig, MlpKind};
pub use norm::{Norm, NormConfig, NormKind};
pub use pass::Pass;
pub use position::{NoPosition, Position};
pub use stack::{Stack, StackConfig};
pub use store::{LoadError, ParamStore};
pub use weight_init::WeightInit;
