//! `train evaluate MODEL`

use std::path::{Path, PathBuf};

use data::Open;
use models::Outcome;
use serde_json::json;

use super::console::{self, Console};
use crate::config::{Document, RunConfig};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::evaluate::{evaluate, table};
use crate::metrics::Split;
use crate::model_folder::{self, LoadedModel};
use crate::{device, embedded};

/// Measure a model on a part of its data, or on other data
///
/// A table goes to standard error, one JSON object with the same figures to standard output.
#[derive(Debug, clap::Args)]
pub(super) struct EvaluateArgs {
    /// The model: a model folder, a run folder or a .safetensors file
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Part of the data the model was trained with
    #[arg(long, value_enum, default_value_t = Part::Val)]
    split: Part,

    /// Measure on all of this file, folder or pattern instead
    #[arg(long, value_name = "PATH", conflicts_with = "split")]
    data: Option<PathBuf>,

    /// Change one key of the configuration, e.g. `eval.batch_size=64`; no value removes it
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Part {
    /// What was learnt from
    Train,
    /// What the best model was chosen by
    Val,
    /// What was set aside
    Test,
}

pub(super) fn run(args: EvaluateArgs, console: Console) -> Result<()> {
    let loaded = model_folder::load(&args.model)?;
    let config = config(&args, &loaded)?;
    let split = match args.split {
        Part::Train => Split::Train,
        Part::Val => Split::Val,
        Part::Test => Split::Test,
    };
    let labels = &loaded.description.labels;
    let open = Open {
        seed: config.run.seed(),
        embedded: Some(embedded::TEXT),
        tokenizer: loaded.description.tokenizer.clone(),
        labels: (!labels.is_empty()).then(|| labels.clone()),
        graphs: loaded.description.graphs.clone(),
        features: loaded.description.features.clone(),
    };
    let dataset = Dataset::open(config.model.kind(), &config.data, &open)?;
    let samples = dataset.split(split)?.ok_or_else(|| {
        Error::Usage(format!(
            "{}: its data has no {} part; use another `--split`, or `--data PATH`",
            args.model.display(),
            split.name()
        ))
    })?;
    let limit = config.eval.batch_limit(config.train.batch_size());
    let pattern = loaded.model.pattern();
    let result = device::pool(config.run.threads())?
        .install(|| evaluate(&loaded.model, &*samples, pattern, limit, None))?;
    // People read the table, programs the line.
    if !console.quiet() {
        console::note(&table(&result, labels));
    }
    let mut line = json!({
        "model": args.model.display().to_string(),
        "data": config.data.val().filter(|_| args.data.is_some()).unwrap_or(config.data.path()).display().to_string(),
        "split": args.data.is_none().then(|| split.name()),
        "loss": result.loss(),
        "n_targets": result.n_targets,
        "accuracy": result.accuracy(),
    });
    for (name, score) in result.scores().named() {
        if let Some(score) = score {
            line[name] = score.into();
        }
    }
    if let Outcome::Classes(confusion) = &result.outcome {
        let rows: Vec<&[u64]> = (0..confusion.n_classes())
            .map(|class| confusion.row(class))
            .collect();
        line["confusion"] = json!({ "labels": labels, "rows": rows });
    }
    console::print(&format!("{line}\n"))
}

/// The configuration that the model was trained with, changed as the arguments say; the
/// model itself stays what it is.
fn config(args: &EvaluateArgs, loaded: &LoadedModel) -> Result<RunConfig> {
    let trained = &loaded.description.config;
    let mut overrides = args.data.as_deref().map(only).unwrap_or_default();
    overrides.extend(args.overrides.iter().cloned());
    let document = Document::parse(&args.model, &trained.to_toml(), &overrides)?;
    let config = RunConfig::of(&document)?;
    let sizes = models::DataSizes {
        seq_len: config.data.seq_len(),
        ..Default::default()
    };
    let config = config
        .resolve(sizes)
        .map_err(|error| document.reject("model", &error.to_string()))?;
    match config.model == trained.model {
        true => Ok(config),
        false => Err(Error::Usage(
            "`--set` cannot change [model], which the weights decide; train another model".into(),
        )),
    }
}

/// The changes after which the validation part is all of `path`.
fn only(path: &Path) -> Vec<String> {
    let path = toml::Value::String(path.display().to_string());
    vec![format!("data.path={path}"), format!("data.val={path}")]
}
