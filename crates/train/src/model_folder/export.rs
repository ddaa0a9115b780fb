//! A model written for others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use interop::Family;
use models::Kind;

use super::card::Files;
use super::foreign::Held;
use super::hugging_face::PREPROCESSOR;
use super::sound;
use super::stored::Values as Stores;
use super::write::{put, write_beside};
use super::{CARD, CONFIG, Description, Stored, TOKENIZER, card, open};
use crate::durable;
use crate::error::{Error, Result};
use crate::model_file::{ByteSize, Float, NamedTensor, Values, write_shards};

/// Whose names and files a model is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Our own: see [`crate::model_folder`].
    #[default]
    Native,
    /// Hugging Face's: transformers and candle-transformers read it.
    HuggingFace,
}

/// How a model is written.
#[derive(Debug, Clone, Copy)]
pub struct ExportOptions {
    /// Whose names and files.
    pub format: Format,
    /// How numbers are stored.
    pub float: Float,
    /// Most bytes of a weight file.
    pub max_shard: ByteSize,
    /// Merge adapters into the weights that they belong to.
    pub merge: bool,
}

impl Default for ExportOptions {
    /// Our own form, in `f32`, in one file unless it is larger than 5 GB.
    fn default() -> Self {
        Self {
            format: Format::Native,
            float: Float::F32,
            max_shard: ByteSize::new(5_000_000_000).expect("it is more than nothing"),
            merge: false,
        }
    }
}

/// Writes the model at `from` into a folder of its own, `to`.
///
/// # Errors
///
/// As [`open`]; adapters without `merge`; a model that Hugging Face's families cannot
/// express, if that is the format; if `to` is there already and is not an empty folder, or
/// cannot be written.
pub fn export(from: &Path, to: &Path, options: &ExportOptions) -> Result<()> {
    let occupied = match fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    if occupied {
        let source = io::Error::new(
            io::ErrorKind::AlreadyExists,
            "is there already, and no empty folder",
        );
        return Err(Error::CannotCreate {
            path: to.into(),
            source,
        });
    }
    let mut stored = open(from)?;
    if stored.description.base.take().is_some() && !options.merge {
        return Err(Error::Usage(format!(
            "{}: holds adapters beside another model; add `--merge` to make one model of both",
            from.display()
        )));
    }
    stored.expect(&models::parameters(&stored.description.config.model)?)?;
    match options.format {
        Format::Native => native(&stored, to, options),
        Format::HuggingFace => hugging_face(&stored, to, options),
    }
}

fn native(stored: &Stored, to: &Path, options: &ExportOptions) -> Result<()> {
    let mut tensors = Vec::new();
    for (name, shape) in stored.parameters() {
        let values = stored.read(&name)?;
        tensors.push((name, shape, values));
    }
    write_beside(to, &stored.description, Files::Own)?;
    write(to, &stored.description.metadata(), &tensors, options)
}

fn hugging_face(stored: &Stored, to: &Path, options: &ExportOptions) -> Result<()> {
    let Description {
        config,
        tokenizer,
        labels,
        ..
    } = &stored.description;
    let refused =
        |error: interop::Error| Error::Data(format!("{}: {error}", stored.path().display()));
    let exported = interop::export(&config.model, labels).map_err(refused)?;
    let preprocessor = match exported.family {
        Family::Ast => {
            let features = sound::of_data(config)?;
            Some(features.preprocessor_json(&config.model).map_err(refused)?)
        }
        _ => exported.preprocessor_json,
    };
    let mut tensors = Vec::new();
    for assembly in exported.map.assemblies() {
        let mut ours = BTreeMap::new();
        for part in &assembly.parts {
            ours.insert(part.ours.as_str(), stored.read(&part.ours)?);
        }
        let values = assembly.values(|name| ours.remove(name)).map_err(refused)?;
        tensors.push((assembly.name.to_owned(), assembly.shape.to_vec(), values));
    }
    if let (Kind::TextEncoder, Stores::Foreign(foreign)) = (config.model.kind(), &stored.values) {
        tensors.extend(foreign.pooler()?);
    }
    durable::create_dir_all(to).map_err(|source| Error::CannotCreate {
        path: to.into(),
        source,
    })?;
    put(to, CONFIG, &exported.config_json)?;
    if let Some(text) = &preprocessor {
        put(to, PREPROCESSOR, text)?;
    }
    if let Some(tokenizer) = tokenizer {
        put(to, TOKENIZER, tokenizer.to_json())?;
    }
    put(
        to,
        CARD,
        &card::text(&stored.description, Files::HuggingFace),
    )?;
    // transformers refuses a file that does not say whose tensors it holds.
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    write(to, &metadata, &tensors, options)
}

fn write(
    to: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: &[Held],
    options: &ExportOptions,
) -> Result<()> {
    let named: Vec<NamedTensor<'_>> = tensors
        .iter()
        .map(|(name, shape, values)| {
            let tensor = NamedTensor {
                name: Cow::Borrowed(name),
                shape: Cow::Borrowed(shape.as_slice()),
                values: Values::Slice(Cow::Borrowed(values)),
                float: Float::F32,
            };
            tensor.stored_as(options.float)
        })
        .collect();
    write_shards(to, metadata, &named, options.max_shard)?;
    Ok(())
}
