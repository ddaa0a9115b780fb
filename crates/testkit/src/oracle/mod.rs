//! Each operation as plain loops in `f64`: the definitions that faster code is
//! tested against, written to be read, not to be fast.
//!
//! Tensors in and out serve as storage only; every number is computed here, and
//! inputs of any floating type are read as `f64`. A wrong shape panics, as it
//! should in a test.

mod activation;
mod attention;
mod convolution;
mod ctc;
mod linear;
mod loss;
mod norm;
mod optim;
mod position;
mod recurrent;
mod rows;
mod segment;

pub use activation::{erf, gelu_erf, gelu_tanh, map, relu, silu, swiglu, tanh};
pub use attention::{Attention, Rotary, attention, attention_weights};
pub use convolution::{Slide, max_pool_images, mean_pool_images, unfold_images, unfold_segments};
pub use ctc::{ctc, ctc_by_enumeration, ctc_collapse};
pub use linear::{embedding, linear};
pub use loss::{cross_entropy, cross_entropy_rows, log_softmax, softmax};
pub use norm::{layer_norm, rms_norm};
pub use optim::{Adam, AdamW, Lion, Sgd, clip_global_norm, global_norm};
pub use position::{alibi_slopes, rope, rope_tables, sinusoidal};
pub use recurrent::{From, gru, lstm};
pub use segment::{segment_first, segment_last, segment_mean, segment_sum};
