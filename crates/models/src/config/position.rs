//! `position`: how a model is told where in its sequence a token stands.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The value of `position`: a name, or a table with the constants of an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionConfig {
    /// Nothing: a bag of tokens, but for what the mask gives away.
    None,
    /// Sines and cosines added to the input: Vaswani et al. 2017, §3.5
    /// <https://arxiv.org/abs/1706.03762>.
    Sinusoidal,
    /// A learnt vector for every position, added to the input.
    #[default]
    Learnt,
    /// Queries and keys turned by angles that grow with the position: Su et al. 2021
    /// <https://arxiv.org/abs/2104.09864>.
    Rotary {
        /// Base of the angles; the slowest pair turns once in about `2π theta` positions.
        theta: f64,
    },
    /// Scores lowered in proportion to the distance: Press et al. 2021
    /// <https://arxiv.org/abs/2108.12409>.
    Alibi,
}

/// Base of the rotary angles in the paper, §3.2.2.
const THETA: f64 = 10_000.0;
const NAMES: [&str; 5] = ["none", "sinusoidal", "learnt", "rotary", "alibi"];

/// The encodings that have constants.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Table {
    /// Rotary encoding.
    Rotary(RotaryKeys),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RotaryKeys {
    /// Base of the angles.
    #[serde(default = "theta")]
    theta: f64,
}

fn theta() -> f64 {
    THETA
}

impl<'de> Deserialize<'de> for PositionConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

/// Reads either form itself: an untagged enum would lose what is wrong and where.
struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = PositionConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an encoding, or a table such as { rotary = { theta = 10000.0 } }")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<PositionConfig, E> {
        match name {
            "none" => Ok(PositionConfig::None),
            "sinusoidal" => Ok(PositionConfig::Sinusoidal),
            "learnt" => Ok(PositionConfig::Learnt),
            "rotary" => Ok(PositionConfig::Rotary { theta: THETA }),
            "alibi" => Ok(PositionConfig::Alibi),
            _ => Err(E::unknown_variant(name, &NAMES)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PositionConfig, A::Error> {
        let Table::Rotary(RotaryKeys { theta }) =
            Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(PositionConfig::Rotary { theta })
    }
}

impl JsonSchema for PositionConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PositionConfig".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let table = generator.subschema_for::<Table>();
        schemars::json_schema!({
            "description": "How the model is told where in its sequence a token stands.",
            "anyOf": [{ "type": "string", "enum": NAMES }, table],
        })
    }
}

/// As it is written in TOML.
impl fmt::Display for PositionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("\"none\""),
            Self::Sinusoidal => f.write_str("\"sinusoidal\""),
            Self::Learnt => f.write_str("\"learnt\""),
            Self::Rotary { theta } => write!(f, "{{ rotary = {{ theta = {theta:?} }} }}"),
            Self::Alibi => f.write_str("\"alibi\""),
        }
    }
}
