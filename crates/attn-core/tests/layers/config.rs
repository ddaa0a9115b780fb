//! Configurations: what can be built, what cannot, and their way through a file.

use attn_core::{
    AttentionConfig, BlockConfig, ConfigError, MlpConfig, MlpKind, NormConfig, NormKind, NormOrder,
    StackConfig, WeightInit,
};
use serde::de::DeserializeOwned;

use super::Result;

fn message<T: DeserializeOwned>(json: &str) -> String {
    match serde_json::from_str::<T>(json) {
        Ok(_) => "valid".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_cannot_be_built_says_key_and_value() {
    let attention = message::<AttentionConfig>;
    for (json, want) in [
        (
            r#"{"d_model":130,"n_heads":8}"#,
            "d_model = 130 is not a multiple of n_heads = 8",
        ),
        (
            r#"{"d_model":8,"n_heads":0}"#,
            "n_heads = 0; it must be at least 1",
        ),
        (
            r#"{"d_model":8,"n_heads":4,"n_kv_heads":3}"#,
            "n_heads = 4 is not a multiple of n_kv_heads = 3",
        ),
        (
            r#"{"d_model":8,"n_heads":4,"dropout":1.0}"#,
            "dropout = 1 is not in [0, 1)",
        ),
        (
            r#"{"d_model":8,"n_heads":4,"weights_dropout":-0.5}"#,
            "weights_dropout = -0.5",
        ),
        (
            r#"{"d_model":9000000,"n_heads":4}"#,
            "d_model = 9000000 is more than 65536",
        ),
        (
            r#"{"d_model":8,"n_heads":4,"heads":4}"#,
            "unknown field `heads`",
        ),
    ] {
        assert!(
            attention(json).contains(want),
            "{json}: {}",
            attention(json)
        );
    }
    assert!(message::<MlpConfig>(r#"{"d_model":8,"d_ff":0}"#).contains("d_ff = 0"));
    assert!(message::<NormConfig>(r#"{"kind":"rms","eps":0}"#).contains("eps = 0"));
    assert!(message::<WeightInit>(r#"{"stdev":-1}"#).contains("stdev = -1"));
}

#[test]
fn widths_of_a_block_must_agree() -> Result {
    let error = BlockConfig::new(AttentionConfig::new(8, 2)?, MlpConfig::new(6, 8)?).unwrap_err();
    assert_eq!(
        error,
        ConfigError::WidthsDiffer {
            attention: 8,
            mlp: 6
        }
    );
    let block = BlockConfig::new(AttentionConfig::new(8, 2)?, MlpConfig::new(8, 8)?)?;
    assert_eq!(
        StackConfig::new(block, 0).unwrap_err(),
        ConfigError::Zero { key: "n_layers" }
    );
    Ok(())
}

#[test]
fn a_configuration_survives_the_way_through_a_file() -> Result {
    let attention = AttentionConfig::new(8, 4)?
        .with_kv_heads(2)?
        .with_dropout(0.25, 0.5)?;
    let mlp = MlpConfig::new(8, 32)?
        .with_kind(MlpKind::SwiGlu)
        .with_bias(true);
    let block = BlockConfig::new(attention.with_qk_norm(true), mlp)?
        .with_norm(NormConfig::new(NormKind::Rms))
        .with_order(NormOrder::Post);
    let stack = StackConfig::new(block, 3)?;
    let json = serde_json::to_string(&stack)?;
    assert!(json.contains(r#""kind":"swiglu""#), "{json}");
    assert_eq!(serde_json::from_str::<StackConfig>(&json)?, stack);
    Ok(())
}

#[test]
fn defaults_are_those_of_the_constructors() -> Result {
    let attention: AttentionConfig = serde_json::from_str(r#"{"d_model":8,"n_heads":2}"#)?;
    assert_eq!(attention, AttentionConfig::new(8, 2)?);
    assert_eq!((attention.n_kv_heads(), attention.head_dim()), (2, 4));
    let mlp: MlpConfig = serde_json::from_str(r#"{"d_model":8}"#)?;
    assert_eq!(mlp, MlpConfig::new(8, 32)?);
    Ok(())
}
