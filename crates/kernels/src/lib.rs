//! Differentiable fused operations on Candle tensors, with gradients of their own.
//!
//! Candle's tape stays the autograd engine; what is recorded on it are few, fat
//! nodes. Every operation takes `f32`, for speed, and `f64`, in which its
//! gradient is checked against central differences.
//!
//! The bits of every result are the same for any number of threads.

mod activate;
mod activation;
mod add;
mod attention;
mod checkpoint;
mod concat;
mod cross_entropy;
mod ctc;
#[cfg(feature = "cuda")]
mod cuda;
mod dropout;
mod edge_attention;
mod edge_sum;
mod edges;
mod embedding;
mod gemm;
mod grads;
mod linear;
mod memory;
mod norm;
pub mod optim;
mod parallel;
mod precision;
mod prepend;
pub mod profile;
mod recurrent;
pub mod rng;
mod scale;
mod scaled;
mod segment_pool;
mod segments;
mod simd;
mod spans;
mod storage;
mod tape;
mod view;
mod windows;

pub use activate::{activate, swiglu};
pub use activation::Activation;
pub use add::add;
pub use attention::{
    Attention, RelativeBias, Rotary, attention, attention_packed, attention_weights,
};
pub use checkpoint::checkpoint;
pub use concat::concat_columns;
pub use cross_entropy::{
    CrossEntropy, Score, argmax_rows, cross_entropy, linear_cross_entropy,
    linear_cross_entropy_eval,
};
pub use ctc::{Ctc, LabelSequences, ctc_loss, ctc_losses, ctc_min_frames};
#[cfg(feature = "cuda")]
pub use cuda::{n_gpus, open_gpu};
pub use dropout::dropout;
pub use edge_attention::{
    EdgeAttention, EdgeBias, GatAttention, edge_attention, edge_attention_packed,
    edge_attention_weights, gat_attention,
};
pub use edge_sum::edge_sum;
pub use edges::Edges;
pub use embedding::embedding;
pub use grads::FlatGrads;
pub use linear::{linear, linear_concat};
pub use norm::{layer_norm, rms_norm, rms_norm_groups};
pub use precision::Precision;
pub use prepend::prepend_rows;
pub use recurrent::{Direction, gru, lstm};
pub use scale::scale;
pub use segment_pool::{Pool, segment_pool};
pub use simd::{Real, instruction_set};
pub use spans::Spans;
pub use tape::{backward, backward_is_own};
pub use windows::{Grid, Window, WindowPool, Windows, unfold, window_pool};

#[cfg(test)]
mod tests;
