//! Transformer models: what a `[model]` table describes.
//!
//! [`ModelConfig`] is that table, valid by construction. [`cost`] counts what a model
//! of it needs before one is made.

mod config;
pub mod cost;

pub use config::{
    Activation, ConfigError, DataSizes, Kind, MaskConfig, ModelConfig, NormKind, NormPlacement,
    Pooling, PositionConfig,
};
