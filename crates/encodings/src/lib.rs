//! Positional encodings behind the [`Position`](attn_core::Position) trait.
//!
//! Self-attention reads a set: without an encoding it cannot tell the first row from
//! the last. Each encoding fills one hook of the trait.
//!
//! | `position =` | hook | learns | longest sequence |
//! | --- | --- | --- | --- |
//! | `"none"` | | | any |
//! | `"sinusoidal"` | `embed`: adds a vector of sines | no | any |
//! | `"learnt"` | `embed`: adds a vector it learns | yes | `max_seq_len` |
//! | `"rotary"` | `rotate`: turns queries and keys | no | any |
//! | `"alibi"` | `bias`: lowers the scores of far keys | no | any |
//!
//! ```
//! use attn_core::{Mask, ParamStore, Pattern};
//! use candle_core::{DType, Device, Tensor};
//! use encodings::{EncodingConfig, Sizes};
//!
//! let config = EncodingConfig::Sinusoidal(Default::default());
//! let sizes = Sizes { d_model: 4, n_heads: 1, max_seq_len: None };
//! let store = ParamStore::new(0, DType::F32, &Device::Cpu);
//! let position = config.build(&sizes, store.var_builder().pp("position"))?;
//!
//! let mask = Mask::new(Pattern::Full, [0, 1, 3])?;
//! let x = position.embed(&Tensor::zeros((3, 4), DType::F32, &Device::Cpu)?, &mask)?;
//! // Rows 0 and 1 both open a sequence.
//! assert_eq!(x.get(0)?.to_vec1::<f32>()?, [0.0, 1.0, 0.0, 1.0]);
//! assert_eq!(x.get(1)?.to_vec1::<f32>()?, [0.0, 1.0, 0.0, 1.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alibi;
mod config;
mod error;
mod grown;
mod learnt;
mod rotary;
mod sinusoidal;

pub use alibi::Alibi;
pub use config::{EncodingConfig, Sizes};
pub use error::EncodingError;
pub use learnt::Learnt;
pub use rotary::{Rotary, RotaryConfig};
pub use sinusoidal::{Sinusoidal, SinusoidalConfig};
