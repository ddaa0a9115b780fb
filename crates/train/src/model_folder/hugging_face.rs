//! Folders in Hugging Face's form: `config.json`, `model.safetensors` or its shards, and
//! `tokenizer.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use data::text::Tokenizer;
use interop::Checkpoint;
use models::Modality;

use super::foreign::Foreign;
use super::sound;
use super::stored::{Stored, Values};
use super::{CONFIG, Description, TOKENIZER};
use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::model_file::{Weights, open_regular};

/// How images and sound become what the model reads.
pub(super) const PREPROCESSOR: &str = "preprocessor_config.json";

/// Longest configuration that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// Whether `folder` is in Hugging Face's form: its configuration names a type of model, or
/// is none that can be read, beside weights that do not carry one of ours.
pub(super) fn is_one(folder: &Path) -> bool {
    let path = folder.join(CONFIG);
    let text = read_text(&path);
    let json = text.ok().and_then(|text| serde_json::from_str(&text).ok());
    let is_named = json.is_some_and(|json: serde_json::Value| {
        json.get("model_type").is_some() || json.get("architectures").is_some()
    });
    let carries_none = || {
        let weights = Weights::open(folder);
        weights.is_ok_and(|weights| !weights.metadata().contains_key(super::key::CONFIG))
    };
    is_named || (path.is_file() && carries_none())
}

/// Opens the model in `folder`; reads no weights.
///
/// # Errors
///
/// A configuration that makes no sense or that our layers cannot express, weights that are
/// missing or not those of the configuration, a tokenizer that does not fit.
pub(super) fn open(folder: &Path) -> Result<Stored> {
    let at = |path: &Path, what: String| Error::Data(format!("{}: {what}", path.display()));
    let config_path = folder.join(CONFIG);
    let config_json = read_text(&config_path)?;
    let preprocessor = folder.join(PREPROCESSOR);
    let preprocessor_json = match preprocessor.exists() {
        true => Some(read_text(&preprocessor)?),
        false => None,
    };
    let checkpoint = Checkpoint::read(&config_json, preprocessor_json.as_deref())
        .map_err(|error| at(&config_path, error.to_string()))?;

    let weights = Weights::open(folder)?;
    let names: BTreeSet<String> = weights.tensors().map(|(name, _)| name.to_owned()).collect();
    let map = checkpoint
        .map(&names)
        .map_err(|error| at(weights.path(), error.to_string()))?;
    if !map.dropped.is_empty() {
        let dropped = map.dropped.join(", ");
        tracing::info!("{}: not read: {dropped}", weights.path().display());
    }
    for entry in &map.entries {
        let found = weights.info(&entry.theirs).map(|info| &info.shape);
        if found != Some(&entry.their_shape) {
            let (name, want) = (&entry.theirs, &entry.their_shape);
            let found = found.map_or("missing".into(), |shape| format!("of shape {shape:?}"));
            return Err(at(
                weights.path(),
                format!(
                    "`{name}` is {found}, but {CONFIG} asks for {want:?}; the two do not belong \
                     together"
                ),
            ));
        }
        weights.check(&entry.theirs)?;
    }

    let model = checkpoint.model();
    let unresolved = |error: models::ConfigError| at(&config_path, error.to_string());
    let tokenizer = match model.kind().modality() {
        Modality::Text => {
            let path = folder.join(TOKENIZER);
            if !path.exists() {
                let what = "is not there; write it with `AutoTokenizer.from_pretrained(…)\
                            .save_pretrained(…)` of transformers";
                return Err(at(&path, what.into()));
            }
            let tokenizer = Tokenizer::from_file(&path)?;
            let vocab_size = model.vocab_size().map_err(unresolved)?;
            let (tokens, rows) = (tokenizer.vocab_size(), vocab_size);
            if tokens > rows {
                return Err(at(
                    &path,
                    format!(
                        "has {tokens} tokens, the embedding {rows} rows; they do not belong together"
                    ),
                ));
            }
            Some(tokenizer)
        }
        _ => None,
    };
    let config =
        run_config(folder, &checkpoint).map_err(|error| at(&config_path, error.to_string()))?;
    let description = Description {
        config,
        tokenizer,
        labels: checkpoint.labels().to_vec(),
        graphs: None,
        features: None,
        results: BTreeMap::from([(
            "imported from".to_owned(),
            checkpoint.architecture().to_owned(),
        )]),
        base: None,
    };
    Ok(Stored {
        description,
        path: weights.path().to_path_buf(),
        values: Values::Foreign(Foreign::new(weights, map)),
    })
}

/// A configuration of a run that could have made the model: what was really done to it, its
/// folder does not say.
fn run_config(folder: &Path, checkpoint: &Checkpoint) -> Result<RunConfig> {
    let model = checkpoint.model();
    let failed = |error: toml::ser::Error| Error::Data(error.to_string());
    let mut data = toml::Table::new();
    let path = folder.display().to_string();
    data.insert("path".into(), path.into());
    if model.kind().modality() == Modality::Text {
        let mut tokenizer = toml::Table::new();
        let file = folder.join(TOKENIZER).display().to_string();
        tokenizer.insert("file".into(), file.into());
        data.insert("tokenizer".into(), tokenizer.into());
        let max_seq_len = model.max_seq_len();
        let max_seq_len = max_seq_len.map_err(|error| Error::Data(error.to_string()))?;
        let seq_len = i64::try_from(max_seq_len).unwrap_or(i64::MAX);
        data.insert("seq_len".into(), seq_len.into());
    }
    if let Some(features) = checkpoint.sound() {
        data.extend(sound::data_keys(features, model)?);
    }
    let mut table: toml::Table = "[run]\nname = 'imported'\n\
         [train]\nsteps = 1\nbatch_size = 1\nlr = 1e-5\n"
        .parse()
        .map_err(|error: toml::de::Error| Error::Data(error.to_string()))?;
    table.insert("data".into(), data.into());
    let model = toml::Value::try_from(model).map_err(failed)?;
    table.insert("model".into(), model);
    Ok(toml::to_string(&table).map_err(failed)?.parse()?)
}

fn read_text(path: &Path) -> Result<String> {
    let failed = |source| Error::Io {
        path: path.into(),
        source,
    };
    let mut bytes = Vec::new();
    open_regular(path)?
        .take(MAX_CONFIG + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let bad = |what: &str| Error::Data(format!("{}: {what}", path.display()));
    if bytes.len() as u64 > MAX_CONFIG {
        return Err(bad("is larger than 1 MiB; name a folder of a model"));
    }
    String::from_utf8(bytes).map_err(|_| bad("is not UTF-8; save it as UTF-8"))
}
