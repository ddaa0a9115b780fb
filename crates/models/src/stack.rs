//! From the flat `[model]` table to the layers it describes.

use attn_core::{
    AttentionConfig, BlockConfig, MlpConfig, MlpKind, NormConfig, StackConfig, WeightInit,
};
use candle_core::Error;

use crate::{Activation, MaskConfig, ModelConfig};

/// The stack of `config`.
///
/// # Errors
///
/// None that a [`ModelConfig`] can bring about: its limits are no wider than the layers'.
pub(crate) fn stack_config(config: &ModelConfig) -> candle_core::Result<StackConfig> {
    try_stack_config(config).map_err(Error::wrap)
}

fn try_stack_config(config: &ModelConfig) -> Result<StackConfig, attn_core::ConfigError> {
    let dropout = config.dropout() as f32;
    let d_edge = match (config.mask(), config.graph()) {
        (MaskConfig::Edges, Some(graph)) => graph.n_edge_features().unwrap_or(0),
        _ => 0,
    };
    let attention = AttentionConfig::new(config.d_model(), config.n_heads())?
        .with_kv_heads(config.n_kv_heads())?
        .with_bias(config.bias())
        .with_qk_norm(config.qk_norm())
        .with_dropout(config.attention_dropout() as f32, dropout)?;
    let attention = match d_edge {
        0 => attention,
        d_edge => attention.with_edge_features(d_edge)?,
    };
    let mlp = MlpConfig::new(config.d_model(), config.d_ff())?
        .with_kind(mlp_kind(config.activation()))
        .with_bias(config.bias())
        .with_dropout(dropout)?;
    let block = BlockConfig::new(attention, mlp)?
        .with_norm(try_norm_config(config)?)
        .with_order(config.norm_placement());
    let init = WeightInit::new(config.init_std())?.for_depth(config.n_layers());
    Ok(StackConfig::new(block, config.n_layers())?
        .with_init(init)
        .with_memory(config.memory()))
}

/// Any norm of a model of `config`.
///
/// # Errors
///
/// As [`stack_config`].
pub(crate) fn norm_config(config: &ModelConfig) -> candle_core::Result<NormConfig> {
    try_norm_config(config).map_err(Error::wrap)
}

fn try_norm_config(config: &ModelConfig) -> Result<NormConfig, attn_core::ConfigError> {
    Ok(NormConfig::new(config.norm())
        .with_eps(config.norm_eps())?
        .with_bias(config.bias()))
}

fn mlp_kind(activation: Activation) -> MlpKind {
    match activation {
        Activation::Gelu => MlpKind::Gelu,
        Activation::GeluErf => MlpKind::GeluErf,
        Activation::Silu => MlpKind::Silu,
        Activation::Relu => MlpKind::Relu,
        Activation::Swiglu => MlpKind::SwiGlu,
    }
}
