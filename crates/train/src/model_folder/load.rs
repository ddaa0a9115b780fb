//! From files to a model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use data::Place;
use data::audio::Normalize;
use data::text::Tokenizer;
use models::{DataSizes, Modality, Model};
use serde::de::DeserializeOwned;

use super::adapter::Adapters;
use super::hugging_face;
use super::stored::{Stored, Values};
use super::{ADAPTERS, Description, LoadedModel, TOKENIZER, WEIGHTS, key};
use crate::config::{DataTable, Document, RunConfig};
use crate::error::{Error, Result};
use crate::model_file::{INDEX, Weights, refuse_foreign};

/// Loads the model at `path`: a `model/` folder, a run folder that has one, or a weight
/// file. Adapters are merged into the weights that they were trained beside.
///
/// # Errors
///
/// There is no model, or one that is damaged, was made by another program, or whose parts
/// do not belong together; the message names the file and what to do.
pub fn load(path: &Path) -> Result<LoadedModel> {
    let stored = open(path)?;
    let config = &stored.description.config.model;
    let parameters = models::parameters(config)?;
    stored.expect(&parameters)?;
    let mut tensors = BTreeMap::new();
    for parameter in parameters {
        let values = stored.read(&parameter.name)?;
        let tensor = Tensor::from_vec(values, parameter.shape, &Device::Cpu)?;
        tensors.insert(parameter.name, tensor);
    }
    let shared = tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.clone()))
        .collect();
    let vb = VarBuilder::from_tensors(shared, DType::F32, &Device::Cpu);
    let model = Model::build(config, vb)?;
    Ok(LoadedModel {
        description: stored.description,
        model,
        tensors,
    })
}

/// Opens the model at `path`, as [`load`] does, but reads no weights.
///
/// # Errors
///
/// As [`load`].
pub fn open(path: &Path) -> Result<Stored> {
    if path.is_dir() && hugging_face::is_one(path) {
        return hugging_face::open(path);
    }
    let path = weight_file(path)?;
    let file = Weights::open(&path)?;
    for (name, _) in file.tensors() {
        file.check(name)?;
    }
    let description = describe(&file)?;
    let Some(hash) = description.base else {
        let values = Values::Own(file);
        return Ok(Stored {
            description,
            path,
            values,
        });
    };
    let bad = |what: String| Err(Error::Data(format!("{}: {what}", path.display())));
    let Some((init, lora)) = description
        .config
        .init
        .as_ref()
        .and_then(|init| Some((init, init.lora()?)))
    else {
        return bad(format!(
            "it has adapters, but no [init] lora; {EXPORT_AGAIN}"
        ));
    };
    let from = init.from();
    if !from.exists() {
        return bad(format!(
            "its adapters belong to the model {}, which is not there; put it back, or work in \
             the folder where they were trained",
            from.display()
        ));
    }
    let base = open(from)?;
    if base.fingerprint()? != hash {
        return bad(format!(
            "its adapters belong to other weights than those in {}; put back the model that they \
             were trained beside",
            from.display()
        ));
    }
    let adapters = Adapters::new(file, &description.config, lora.adapter())?;
    let base = Box::new(base);
    let values = Values::Adapted { base, adapters };
    Ok(Stored {
        description,
        path,
        values,
    })
}

/// The weight file that `path` stands for.
fn weight_file(path: &Path) -> Result<PathBuf> {
    if !path.exists() {
        return Err(Error::Usage(format!(
            "{}: no such file or folder; name a model folder, a run folder or a .safetensors file",
            path.display()
        )));
    }
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let model = path.join("model");
    let candidates =
        [path, &model].map(|folder| [WEIGHTS, INDEX, ADAPTERS].map(|file| folder.join(file)));
    let mut candidates = candidates.into_iter().flatten();
    if let Some(file) = candidates.find(|file| file.exists()) {
        return Ok(file);
    }
    refuse_foreign(path)?;
    Err({
        let remedy = match path.join("checkpoints").is_dir() {
            true => format!(
                "the run is not finished: continue it with `--resume`, or name the {WEIGHTS} of \
                 one of its checkpoints"
            ),
            false => "name a model folder, a run folder or a .safetensors file".to_owned(),
        };
        Error::Data(format!("{}: holds no {WEIGHTS}; {remedy}", path.display()))
    })
}

/// What the header of `file` says, and the tokenizer beside it if it is not in there.
fn describe(file: &Weights) -> Result<Description> {
    let path = file.path();
    let bad =
        |what: String, remedy: &str| Error::Data(format!("{}: {what}; {remedy}", path.display()));
    let header = file.metadata();
    let text = header.get(key::CONFIG).ok_or_else(|| {
        bad(
            "carries no configuration".into(),
            "use a file that `train` has written",
        )
    })?;
    let config = Document::parse(path, text, &[])
        .and_then(|document| RunConfig::of(&document))
        .map_err(|error| {
            bad(
                format!("its configuration cannot be used: {error}"),
                EXPORT_AGAIN,
            )
        })?;
    let config = config.resolve(DataSizes::default()).map_err(|error| {
        bad(
            format!("its configuration is incomplete: {error}"),
            EXPORT_AGAIN,
        )
    })?;

    let reads_text = config.model.kind().modality() == Modality::Text;
    let tokenizer = match header.get(key::TOKENIZER) {
        _ if !reads_text => None,
        Some(json) => Some(Tokenizer::from_json(json, &Place::file(path))?),
        None => Some(Tokenizer::from_file(path.with_file_name(TOKENIZER))?),
    };
    let description = Description {
        config,
        tokenizer,
        labels: json_of(file, key::LABELS)?,
        graphs: json_of(file, key::GRAPHS)?,
        features: json_of(file, key::FEATURES)?,
        results: json_of(file, key::RESULTS)?,
        base: base_of(file.path(), file.metadata())?,
    };
    match misfit(&description) {
        None => Ok(description),
        Some(what) => Err(bad(what, EXPORT_AGAIN)),
    }
}

/// The hash of the weights that the adapters in the file at `path`, whose header has
/// `metadata`, belong to; none if it has no adapters.
///
/// # Errors
///
/// What stands there is no hash.
pub fn base_of(path: &Path, metadata: &BTreeMap<String, String>) -> Result<Option<blake3::Hash>> {
    let parse = |hex: &String| {
        blake3::Hash::from_hex(hex).map_err(|_| {
            let path = path.display();
            Error::Data(format!("{path}: its `base` is no hash; {EXPORT_AGAIN}"))
        })
    };
    metadata.get(key::BASE).map(parse).transpose()
}

const EXPORT_AGAIN: &str = "take the model from its run again";

/// The JSON under `key` of the header; what is absent is empty.
fn json_of<T: DeserializeOwned + Default>(file: &Weights, key: &str) -> Result<T> {
    let Some(json) = file.metadata().get(key) else {
        return Ok(T::default());
    };
    serde_json::from_str(json).map_err(|error| {
        let path = file.path().display();
        Error::Data(format!(
            "{path}: its `{key}` cannot be read: {error}; {EXPORT_AGAIN}"
        ))
    })
}

/// In what the parts of a model contradict each other.
fn misfit(description: &Description) -> Option<String> {
    let Description {
        config,
        tokenizer,
        labels,
        ..
    } = description;
    if let Some(tokenizer) = tokenizer {
        let (vocab_size, n_tokens) = (config.model.vocab_size().ok()?, tokenizer.vocab_size());
        if n_tokens > vocab_size {
            return Some(format!(
                "its tokenizer has {n_tokens} tokens, the model {vocab_size}"
            ));
        }
    }
    if let DataTable::Audio(table) = &config.data
        && table.features().normalize() == Normalize::Training
        && description.features.is_none()
    {
        return Some("it does not say by what it normalises features".into());
    }
    let n_classes = config.model.n_classes().ok()?.unwrap_or(0);
    if labels.len() > n_classes || (labels.is_empty() && n_classes > 0) {
        return Some(format!(
            "it has {} labels and {n_classes} classes",
            labels.len()
        ));
    }
    None
}
