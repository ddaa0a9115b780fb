//! The whole configuration of a run.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CheckpointTable, ConfigError, Document, EvalTable, Metric, RunTable, TrainTable, check::Invalid,
};

/// Most tokens of one batch: their places must fit 32 bits with room for every head.
const MAX_TOKENS: usize = 1 << 24;

/// Everything that decides what a run computes: six tables, valid by themselves and
/// together.
///
/// ```
/// let config: train::config::RunConfig = r#"
///     [run]
///     name = "tiny"
///     [data]
///     path = "embedded"
///     seq_len = 32
///     [model]
///     kind = "text-lm"
///     d_model = 32
///     n_heads = 4
///     n_layers = 2
///     [train]
///     steps = 100
///     batch_size = 8
///     lr = 1e-3
/// "#.parse()?;
/// assert_eq!(config.train.batch_size(), 8);
/// assert_eq!(config.to_toml().parse::<train::config::RunConfig>()?, config);
/// # Ok::<(), train::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawRunConfig")]
#[schemars(description = "The configuration of a training run.")]
#[non_exhaustive]
pub struct RunConfig {
    /// What the run is called and where it computes.
    pub run: RunTable,
    /// Where the data comes from.
    pub data: data::text::TextDataConfig,
    /// What is trained.
    pub model: models::ModelConfig,
    /// How long, with what, and how fast to learn.
    pub train: TrainTable,
    /// When to look at data that is not trained on.
    pub eval: EvalTable,
    /// How often the run is saved.
    pub checkpoint: CheckpointTable,
}

impl RunConfig {
    /// Reads the file at `path`, changed by `overrides`, each `table.key=value`.
    ///
    /// # Errors
    ///
    /// One line that names the place and a remedy; see [`Document`].
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        Document::read(path, overrides)?.to()
    }

    /// The same configuration with the sizes that were left to the data.
    ///
    /// # Errors
    ///
    /// A size that is neither written nor in `data`, or that does not hold the data. Its
    /// message is one for [`Document::reject`].
    pub fn resolve(&self, data: models::DataSizes) -> Result<Self, models::ConfigError> {
        Ok(Self {
            model: self.model.resolve(data)?,
            ..self.clone()
        })
    }

    /// The configuration as TOML, every default written out: enough to repeat the run.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("every table is made of what TOML can hold")
    }
}

impl std::str::FromStr for RunConfig {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Document::parse(Path::new("configuration"), text, &[])?.to()
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawRunConfig {
    run: RunTable,
    data: data::text::TextDataConfig,
    model: models::ModelConfig,
    train: TrainTable,
    #[serde(default)]
    eval: EvalTable,
    #[serde(default)]
    checkpoint: CheckpointTable,
}

impl TryFrom<RawRunConfig> for RunConfig {
    type Error = Invalid;

    fn try_from(raw: RawRunConfig) -> Result<Self, Invalid> {
        let RawRunConfig {
            run,
            data,
            model,
            train,
            eval,
            checkpoint,
        } = raw;
        let (batch_size, seq_len) = (train.batch_size(), data.seq_len());
        if batch_size
            .checked_mul(seq_len)
            .is_none_or(|tokens| tokens > MAX_TOKENS)
        {
            return Err(Invalid(format!(
                "train.batch_size = {batch_size} times data.seq_len = {seq_len} is more than {MAX_TOKENS} tokens; \
                 make one smaller and train.accumulate larger"
            )));
        }
        if eval.metric() == Metric::Accuracy && model.kind() == models::Kind::TextLm {
            return Err(Invalid(
                r#"eval.metric = "accuracy" needs classes; use "loss""#.into(),
            ));
        }
        Ok(Self {
            run,
            data,
            model,
            train,
            eval,
            checkpoint,
        })
    }
}
