//! `train evaluate MODEL`

use std::path::PathBuf;

use data::text::Open;
use serde::Serialize;

use super::console;
use crate::config::{Document, RunConfig};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::metrics::Split;
use crate::{device, embedded, model_folder};

/// Measure a model on a part of the data, and print the result as JSON
#[derive(Debug, clap::Args)]
pub(super) struct EvaluateArgs {
    /// The model: a model folder, a run folder or a .safetensors file
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Part of the data
    #[arg(long, value_enum, default_value = "val")]
    split: Part,

    /// Change one key of the model's configuration, e.g. `data.test=more.csv`
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Part {
    Train,
    Val,
    Test,
}

impl From<Part> for Split {
    fn from(part: Part) -> Self {
        match part {
            Part::Train => Self::Train,
            Part::Val => Self::Val,
            Part::Test => Self::Test,
        }
    }
}

#[derive(Serialize)]
struct Report {
    split: Split,
    /// Mean, in nats a target.
    loss: f64,
    /// `e` to the loss, of a language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    perplexity: Option<f64>,
    /// Share of right answers, of a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    n_targets: usize,
}

pub(super) fn run(args: EvaluateArgs) -> Result<()> {
    let loaded = model_folder::load(&args.model)?;
    let description = &loaded.description;
    let document = Document::parse(&args.model, &description.config.to_toml(), &args.overrides)?;
    let config: RunConfig = document.to()?;
    let split = Split::from(args.split);
    let measured = device::pool(config.run.threads())?.install(|| {
        let open = Open {
            seed: config.run.seed(),
            embedded: Some(embedded::TEXT),
            tokenizer: Some(description.tokenizer.clone()),
            labels: (!description.labels.is_empty()).then(|| description.labels.clone()),
        };
        let dataset = Dataset::open(config.model.kind(), &config.data, &open)?;
        let samples = dataset.split(split)?.ok_or_else(|| missing(split))?;
        let batch_size = config
            .eval
            .batch_size()
            .unwrap_or(config.train.batch_size());
        let pattern = config.model.mask().into();
        evaluate(&loaded.model, &*samples, &pattern, batch_size, None)
    })?;
    let (Some(loss), Some(accuracy)) = (measured.loss(), measured.accuracy()) else {
        return Err(missing(split));
    };
    let classifies = !description.labels.is_empty();
    let report = Report {
        split,
        loss,
        perplexity: (!classifies).then(|| loss.exp()),
        accuracy: classifies.then_some(accuracy),
        n_targets: measured.n_targets,
    };
    let line = serde_json::to_string(&report).map_err(|error| Error::Stdout(error.into()))?;
    console::print(&format!("{line}\n"))
}

fn missing(split: Split) -> Error {
    let (name, remedy) = match split {
        Split::Test => ("test", "name test data with `--set data.test=PATH`"),
        Split::Val => (
            "val",
            "choose `--split train`, or name data with `--set data.val=PATH`",
        ),
        Split::Train => ("train", "name data with `--set data.path=PATH`"),
    };
    Error::Data(format!(
        "the data of the model have no {name} part; {remedy}"
    ))
}
