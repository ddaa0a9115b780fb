//! The whole configuration of a run.

use std::marker::PhantomData;
use std::path::Path;

use data::audio::AudioDataConfig;
use data::graph::GraphDataConfig;
use data::image::ImageDataConfig;
use data::text::TextDataConfig;
use models::{Kind, Modality, ModelConfig};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{
    CheckpointTable, ConfigError, DataTable, Document, EvalTable, InitTable, RunTable, TrainTable,
    check::Invalid,
};

/// Most tokens of one batch: their places must fit 32 bits with room for every head.
const MAX_TOKENS: usize = 1 << 24;

/// Everything that decides what a run computes: seven tables, valid by themselves and
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
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(
    with = "RawRunConfig<DataTable>",
    description = "The configuration of a training run."
)]
#[non_exhaustive]
pub struct RunConfig {
    /// What the run is called and where it computes.
    pub run: RunTable,
    /// What it starts from; `None` for weights drawn from the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<InitTable>,
    /// Where the data comes from.
    pub data: DataTable,
    /// What is trained.
    pub model: ModelConfig,
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
        Self::of(&Document::read(path, overrides)?)
    }

    /// Checks `document`; `model.kind` decides which keys `[data]` has.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its place; see [`Document::to`].
    pub fn of(document: &Document) -> Result<Self, ConfigError> {
        fn read<D>(document: &Document) -> Result<RunConfig, ConfigError>
        where
            D: DeserializeOwned + Into<DataTable>,
        {
            Ok(document.to::<Checked<D>>()?.config)
        }
        match document
            .to::<KindOnly>()
            .map(|kind| kind.model.kind.modality())
        {
            Ok(Modality::Text) => read::<TextDataConfig>(document),
            Ok(Modality::Image) => read::<ImageDataConfig>(document),
            Ok(Modality::Speech) => read::<AudioDataConfig>(document),
            Ok(Modality::Graph) => read::<GraphDataConfig>(document),
            // What is wrong with the kind is said together with its place.
            Err(_) => read::<TextDataConfig>(document),
        }
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
        Self::of(&Document::parse(Path::new("configuration"), text, &[])?)
    }
}

/// The tables as they are written, with the `[data]` of one modality.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawRunConfig<D> {
    run: RunTable,
    #[serde(default)]
    init: Option<InitTable>,
    data: D,
    model: ModelConfig,
    train: TrainTable,
    #[serde(default)]
    eval: EvalTable,
    #[serde(default)]
    checkpoint: CheckpointTable,
}

/// The tables once they are known to fit each other.
#[derive(Deserialize)]
#[serde(
    try_from = "RawRunConfig<D>",
    bound = "D: DeserializeOwned + Into<DataTable>"
)]
struct Checked<D> {
    config: RunConfig,
    data: PhantomData<D>,
}

/// The one key that says what the others are.
#[derive(Deserialize)]
struct KindOnly {
    model: ModelKind,
}

#[derive(Deserialize)]
struct ModelKind {
    kind: Kind,
}

impl<D: Into<DataTable>> TryFrom<RawRunConfig<D>> for Checked<D> {
    type Error = Invalid;

    fn try_from(raw: RawRunConfig<D>) -> Result<Self, Invalid> {
        let RawRunConfig {
            run,
            init,
            data,
            model,
            train,
            eval,
            checkpoint,
        } = raw;
        let data = data.into();
        fits_in_memory(&train, &data)?;
        let kind = model.kind();
        if !eval.metric().applies_to(kind) {
            return Err(Invalid(format!(
                "eval.metric = \"{}\" is not measured of a {kind}; use \"loss\"",
                eval.metric()
            )));
        }
        let config = RunConfig {
            run,
            init,
            data,
            model,
            train,
            eval,
            checkpoint,
        };
        Ok(Self {
            config,
            data: PhantomData,
        })
    }
}

fn fits_in_memory(train: &TrainTable, data: &DataTable) -> Result<(), Invalid> {
    if train.batch_tokens().is_some() {
        return Ok(());
    }
    let (batch_size, Some(seq_len)) = (train.batch_size(), data.seq_len()) else {
        return Ok(());
    };
    if batch_size
        .checked_mul(seq_len)
        .is_none_or(|tokens| tokens > MAX_TOKENS)
    {
        return Err(Invalid(format!(
            "train.batch_size = {batch_size} times data.seq_len = {seq_len} is more than {MAX_TOKENS} tokens; \
             make one smaller and train.accumulate larger"
        )));
    }
    Ok(())
}
