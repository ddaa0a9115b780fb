//! The `position` key of a model.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use attn_core::{NoPosition, Position};
use candle_nn::VarBuilder;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::EncodingError;
use crate::{
    Alibi, Grid, Learnt, Learnt2d, Rotary, Rotary2d, Rotary2dConfig, RotaryConfig, Sinusoidal,
    Sinusoidal2d, SinusoidalConfig,
};

const NAMES: &[&str] = &[
    "none",
    "sinusoidal",
    "learnt",
    "rotary",
    "alibi",
    "learnt_2d",
    "sinusoidal_2d",
    "rotary_2d",
];

/// Which encoding a model has.
///
/// Written as a name, `"rotary"`, or as a table with its settings,
/// `{ rotary = { theta = 500000.0 } }`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum EncodingConfig {
    /// None: rows of a sequence are a set.
    #[default]
    None,
    /// Sines of many wavelengths are added to the input.
    Sinusoidal(SinusoidalConfig),
    /// A learnt vector is added to the input.
    Learnt,
    /// Queries and keys are turned.
    Rotary(RotaryConfig),
    /// Scores fall with the distance.
    Alibi,
    /// A learnt vector of the row and one of the column are added to the input.
    Learnt2d,
    /// Sines along both sides of a grid are added to the input.
    Sinusoidal2d(SinusoidalConfig),
    /// Queries and keys are turned by row and column.
    Rotary2d(Rotary2dConfig),
}

/// Sizes of the model that has the encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Width of the residual stream, a multiple of `n_heads`.
    pub d_model: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Length of the longest sequence, if that is fixed.
    pub max_seq_len: Option<usize>,
}

impl EncodingConfig {
    /// Checks that a model of these sizes can have the encoding.
    ///
    /// # Errors
    ///
    /// If a head has an odd number of channels to turn, or the length of a learnt table
    /// is not given.
    pub fn check(&self, sizes: &Sizes) -> Result<(), EncodingError> {
        let head_dim = sizes.d_model / sizes.n_heads.max(1);
        match self {
            Self::Rotary(_) if !head_dim.is_multiple_of(2) => {
                Err(EncodingError::OddHead { head_dim })
            }
            Self::Learnt if sizes.max_seq_len.is_none() => Err(EncodingError::NoLength),
            _ => Ok(()),
        }
    }

    /// Checks that a model of these sizes, whose rows stand on a grid, can have the
    /// encoding.
    ///
    /// # Errors
    ///
    /// As [`EncodingConfig::check`], and if there are too few channels to share between
    /// rows and columns.
    pub fn check_on_grid(&self, sizes: &Sizes) -> Result<(), EncodingError> {
        let name = self.name();
        let (channels, least) = match self {
            Self::Sinusoidal2d(_) => (sizes.d_model, 8),
            Self::Rotary2d(_) => (sizes.d_model / sizes.n_heads.max(1), 4),
            _ => return self.check(sizes),
        };
        match channels.is_multiple_of(4) && channels >= least {
            true => Ok(()),
            false => Err(EncodingError::Quarters {
                name,
                channels,
                least,
            }),
        }
    }

    /// Whether rows must stand on a grid.
    pub fn needs_grid(&self) -> bool {
        matches!(
            self,
            Self::Learnt2d | Self::Sinusoidal2d(_) | Self::Rotary2d(_)
        )
    }

    /// Creates the encoding, taking what it learns from `vb`.
    ///
    /// # Errors
    ///
    /// As [`EncodingConfig::check`], and those of the builder.
    pub fn build(&self, sizes: &Sizes, vb: VarBuilder) -> Result<Arc<dyn Position>, EncodingError> {
        self.check(sizes)?;
        let &Sizes {
            d_model,
            n_heads,
            max_seq_len,
        } = sizes;
        let (dtype, device) = (vb.dtype(), vb.device());
        Ok(match self {
            Self::None => Arc::new(NoPosition),
            Self::Sinusoidal(config) => Arc::new(Sinusoidal::new(config, d_model, dtype, device)),
            Self::Learnt => {
                let max_seq_len = max_seq_len.ok_or(EncodingError::NoLength)?;
                Arc::new(Learnt::new(max_seq_len, d_model, vb)?)
            }
            Self::Rotary(config) => Arc::new(Rotary::new(
                config,
                d_model / n_heads.max(1),
                dtype,
                device,
            )?),
            Self::Alibi => Arc::new(Alibi::new(n_heads, dtype, device)),
            Self::Learnt2d | Self::Sinusoidal2d(_) | Self::Rotary2d(_) => {
                return Err(EncodingError::NoGrid { name: self.name() });
            }
        })
    }

    /// Creates the encoding of rows that stand on `grid`, taking what it learns from `vb`.
    ///
    /// # Errors
    ///
    /// As [`EncodingConfig::check_on_grid`], and those of the builder.
    pub fn build_on_grid(
        &self,
        sizes: &Sizes,
        grid: Grid,
        vb: VarBuilder,
    ) -> Result<Arc<dyn Position>, EncodingError> {
        self.check_on_grid(sizes)?;
        let &Sizes {
            d_model, n_heads, ..
        } = sizes;
        let (dtype, device) = (vb.dtype(), vb.device());
        Ok(match self {
            Self::Learnt2d => Arc::new(Learnt2d::new(grid, d_model, vb)?),
            Self::Sinusoidal2d(config) => {
                Arc::new(Sinusoidal2d::new(config, grid, d_model, dtype, device)?)
            }
            Self::Rotary2d(config) => {
                let head_dim = d_model / n_heads.max(1);
                Arc::new(Rotary2d::new(config, grid, head_dim, dtype, device)?)
            }
            _ => return self.build(sizes, vb),
        })
    }

    /// The name of the encoding, as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sinusoidal(_) => "sinusoidal",
            Self::Learnt => "learnt",
            Self::Rotary(_) => "rotary",
            Self::Alibi => "alibi",
            Self::Learnt2d => "learnt_2d",
            Self::Sinusoidal2d(_) => "sinusoidal_2d",
            Self::Rotary2d(_) => "rotary_2d",
        }
    }

    fn with_defaults(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "sinusoidal" => Self::Sinusoidal(SinusoidalConfig::default()),
            "learnt" => Self::Learnt,
            "rotary" => Self::Rotary(RotaryConfig::default()),
            "alibi" => Self::Alibi,
            "learnt_2d" => Self::Learnt2d,
            "sinusoidal_2d" => Self::Sinusoidal2d(SinusoidalConfig::default()),
            "rotary_2d" => Self::Rotary2d(Rotary2dConfig::default()),
            _ => return None,
        })
    }
}

impl Serialize for EncodingConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sinusoidal(config) => tagged(serializer, self.name(), config),
            Self::Sinusoidal2d(config) => tagged(serializer, self.name(), config),
            Self::Rotary(config) => tagged(serializer, self.name(), config),
            Self::Rotary2d(config) => tagged(serializer, self.name(), config),
            Self::None | Self::Learnt | Self::Alibi | Self::Learnt2d => {
                serializer.serialize_str(self.name())
            }
        }
    }
}

fn tagged<S: Serializer>(
    serializer: S,
    name: &str,
    settings: &impl Serialize,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, settings)?;
    map.end()
}

impl<'de> Deserialize<'de> for EncodingConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

struct NameOrTable;

/// Settings of an encoding that has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

impl<'de> Visitor<'de> for NameOrTable {
    type Value = EncodingConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the name of an encoding or a table `{{ name = {{ settings }} }}`"
        )
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<EncodingConfig, E> {
        EncodingConfig::with_defaults(name).ok_or_else(|| E::unknown_variant(name, NAMES))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EncodingConfig, A::Error> {
        let Some(name) = map.next_key::<String>()? else {
            return Err(A::Error::custom("the table names no encoding"));
        };
        let config = match EncodingConfig::with_defaults(&name) {
            None => return Err(A::Error::unknown_variant(&name, NAMES)),
            Some(EncodingConfig::Sinusoidal(_)) => EncodingConfig::Sinusoidal(map.next_value()?),
            Some(EncodingConfig::Rotary(_)) => EncodingConfig::Rotary(map.next_value()?),
            Some(EncodingConfig::Sinusoidal2d(_)) => {
                EncodingConfig::Sinusoidal2d(map.next_value()?)
            }
            Some(EncodingConfig::Rotary2d(_)) => EncodingConfig::Rotary2d(map.next_value()?),
            Some(plain) => map.next_value::<NoSettings>().map(|NoSettings {}| plain)?,
        };
        match map.next_key::<String>()? {
            None => Ok(config),
            Some(second) => Err(A::Error::custom(format!(
                "a model has one encoding, not `{name}` and `{second}`"
            ))),
        }
    }
}

impl JsonSchema for EncodingConfig {
    fn schema_name() -> Cow<'static, str> {
        "EncodingConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (sinusoidal, rotary, rotary_2d) = (
            SinusoidalConfig::json_schema(generator),
            RotaryConfig::json_schema(generator),
            Rotary2dConfig::json_schema(generator),
        );
        let table = |name: &str, settings: Schema| {
            json_schema!({
                "type": "object",
                "properties": { name: settings },
                "required": [name],
                "additionalProperties": false
            })
        };
        let none = || json_schema!({ "type": "object", "additionalProperties": false });
        json_schema!({
            "description": "How position is told: the name of an encoding, or a table with its settings.",
            "oneOf": [
                { "type": "string", "enum": NAMES },
                table("none", none()),
                table("sinusoidal", sinusoidal.clone()),
                table("learnt", none()),
                table("rotary", rotary),
                table("alibi", none()),
                table("learnt_2d", none()),
                table("sinusoidal_2d", sinusoidal),
                table("rotary_2d", rotary_2d)
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Model {
        position: EncodingConfig,
    }

    fn read(position: &str) -> Result<EncodingConfig, String> {
        let text = format!("position = {position}");
        let model: Result<Model, _> = toml::from_str(&text);
        model
            .map(|model| model.position)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_name_is_the_table_without_settings() {
        for name in NAMES {
            let named = read(&format!("\"{name}\"")).expect("a name");
            assert_eq!(named.name(), *name);
            assert_eq!(read(&format!("{{ {name} = {{}} }}")), Ok(named));
        }
        let slow = read("{ rotary = { theta = 500000.0 } }").expect("a table");
        assert_ne!(slow, EncodingConfig::Rotary(RotaryConfig::default()));
    }

    #[test]
    fn mistakes_are_told_in_their_place() {
        for (text, want) in [
            (
                "\"rotery\"",
                "unknown variant `rotery`, expected one of `none`",
            ),
            ("{ rotery = {} }", "unknown variant `rotery`"),
            ("{ rotary = { tetha = 1.0 } }", "unknown field `tetha`"),
            (
                "{ rotary = { theta = -1.0 } }",
                "theta = -1 is not a positive number",
            ),
            (
                "{ sinusoidal = { base = inf } }",
                "base = inf is not a positive number",
            ),
            ("{ alibi = { slope = 1 } }", "unknown field `slope`"),
            ("{ alibi = {}, rotary = {} }", "not `alibi` and `rotary`"),
            ("{}", "the table names no encoding"),
            ("3", "expected the name of an encoding"),
        ] {
            let message = read(text).expect_err(text);
            assert!(message.contains(want), "{text}: {message}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() -> Result<(), Box<dyn std::error::Error>> {
        let scaled = [
            "{ kind = 'linear', factor = 2.0 }",
            "{ kind = 'ntk', factor = 2.5 }",
            "{ kind = 'yarn', factor = 4.0, original_max_seq_len = 64 }",
            "{ kind = 'yarn', factor = 4.0, original_max_seq_len = 64, attention_factor = 1.2 }",
            "{ kind = 'llama3', factor = 8.0, low_freq_factor = 1.0, high_freq_factor = 4.0, \
             original_max_seq_len = 64 }",
        ]
        .map(|scaling| read(&format!("{{ rotary = {{ scaling = {scaling} }} }}")));
        let scaled = scaled.into_iter().collect::<Result<Vec<_>, _>>()?;
        for position in NAMES
            .iter()
            .filter_map(|name| EncodingConfig::with_defaults(name))
            .chain(scaled)
        {
            let model = Model { position };
            assert_eq!(toml::from_str::<Model>(&toml::to_string(&model)?)?, model);
            let json = serde_json::to_string(&model)?;
            assert_eq!(serde_json::from_str::<Model>(&json)?, model);
        }
        Ok(())
    }

    #[test]
    fn the_schema_knows_names_and_settings() {
        let schema = schemars::schema_for!(EncodingConfig).to_value().to_string();
        let settings = ["theta", "base", "scaling", "llama3", "beta_fast"];
        for word in NAMES.iter().chain(&settings) {
            assert!(schema.contains(&format!("\"{word}\"")), "{word}: {schema}");
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        let sizes = Sizes {
            d_model: 9,
            n_heads: 3,
            max_seq_len: None,
        };
        let message = |config: EncodingConfig| {
            config
                .check(&sizes)
                .map_err(|error| error.to_string())
                .expect_err("does not fit")
        };
        let rotary = message(EncodingConfig::Rotary(RotaryConfig::default()));
        assert_eq!(
            rotary,
            "position = \"rotary\" turns pairs of channels, but a head has 3"
        );
        assert_eq!(
            message(EncodingConfig::Learnt),
            "position = \"learnt\" needs max_seq_len"
        );
    }
}
