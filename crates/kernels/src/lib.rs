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
mod cross_entropy;
mod dropout;
mod embedding;
mod gemm;
mod grads;
mod linear;
mod norm;
pub mod optim;
mod parallel;
pub mod rng;
mod segment_pool;
mod simd;
mod spans;
mod storage;
mod tape;

pub use activate::{activate, swiglu};
pub use activation::Activation;
pub use add::add;
pub use attention::{
    Attention, RelativeBias, Rotary, attention, attention_packed, attention_weights,
};
pub use cross_entropy::{
    CrossEntropy, Score, argmax_rows, cross_entropy, linear_cross_entropy,
    linear_cross_entropy_eval,
};
pub use dropout::dropout;
pub use embedding::embedding;
pub use grads::FlatGrads;
pub use linear::{linear, linear_concat};
pub use norm::{layer_norm, rms_norm, rms_norm_groups};
pub use segment_pool::{Pool, segment_pool};
pub use simd::{Real, instruction_set};
pub use spans::Spans;
pub use tape::backward;

#[cfg(test)]
mod tests;
