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
//! | `"learnt_2d"` | `embed`: adds a vector a row and one a column | yes | the grid |
//! | `"sinusoidal_2d"` | `embed`: adds sines along both sides | no | the grid |
//! | `"rotary_2d"` | `rotate`: turns by row and column | no | the grid |
//!
//! Rotary angles may be scaled for sequences longer than those of the training
//! ([`RotaryScaling`]): `{ rotary = { scaling = { kind = "linear", factor = 4.0 } } }`.
//!
//! [`resample`] fits learnt positions to other lengths and grids.
//!
//! The last three are for patches of images, which stand on a [`Grid`].
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
mod grid;
mod grown;
mod learnt;
mod learnt_2d;
pub mod resample;
mod rotary;
mod rotary_2d;
mod scaling;
mod sinusoidal;
mod sinusoidal_2d;

pub use alibi::Alibi;
pub use config::{EncodingConfig, Sizes};
pub use error::EncodingError;
pub use grid::Grid;
pub use learnt::Learnt;
pub use learnt_2d::Learnt2d;
pub use rotary::{Rotary, RotaryConfig};
pub use rotary_2d::{Rotary2d, Rotary2dConfig};
pub use scaling::RotaryScaling;
pub use sinusoidal::{Sinusoidal, SinusoidalConfig};
pub use sinusoidal_2d::Sinusoidal2d;
