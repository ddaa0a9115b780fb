//! From a model to files.

use std::path::Path;

use super::card::Files;
use super::peft::{self, Layout};
use super::{ADAPTER_CONFIG, ADAPTERS, CARD, CONFIG, Description, TOKENIZER, WEIGHTS, card};
use crate::durable;
use crate::error::{Error, Result};
use crate::model_file::{NamedTensor, write_model_file};

/// Writes a model folder, or renews one. Each file appears whole, the weights last: at any
/// time, what is there can be loaded.
///
/// # Errors
///
/// The folder or a file cannot be written.
pub fn write(folder: &Path, description: &Description, tensors: &[NamedTensor<'_>]) -> Result<()> {
    write_beside(folder, description, Files::Own)?;
    let weights = folder.join(WEIGHTS);
    Ok(write_model_file(
        &weights,
        &description.metadata(),
        tensors,
    )?)
}

/// Writes a folder of adapters in PEFT's form, or renews one.
///
/// # Errors
///
/// As [`write()`].
pub fn write_adapters(
    folder: &Path,
    description: &Description,
    tensors: &[NamedTensor<'_>],
) -> Result<()> {
    write_beside(folder, description, Files::Adapters)?;
    let names = tensors.iter().map(|tensor| tensor.name.as_ref());
    let layout = Layout::to_write(&description.config, &names.collect())?;
    let mut stored = Vec::new();
    for piece in layout.pieces() {
        let of_piece =
            |tensor: &&NamedTensor<'_>| piece.parts.iter().any(|p| p.ours == tensor.name);
        let ours = tensors.iter().filter(of_piece);
        let ours = ours.map(|tensor| Ok((tensor.name.as_ref(), tensor.numbers()?)));
        stored.push((piece, piece.values(ours.collect::<Result<_>>()?)?));
    }
    let stored: Vec<NamedTensor<'_>> = stored
        .iter()
        .map(|(piece, values)| {
            NamedTensor::slice(piece.name.as_str(), piece.shape.as_slice(), values)
        })
        .collect();
    if let Some(config) = peft::config_json(&description.config, &layout) {
        put(folder, ADAPTER_CONFIG, &config)?;
    }
    let weights = folder.join(ADAPTERS);
    Ok(write_model_file(
        &weights,
        &description.metadata(),
        &stored,
    )?)
}

/// Writes everything but the weights.
pub(super) fn write_beside(folder: &Path, description: &Description, files: Files) -> Result<()> {
    durable::create_dir_all(folder).map_err(|source| Error::CannotCreate {
        path: folder.into(),
        source,
    })?;
    put(folder, CONFIG, &config_json(description))?;
    if let Some(tokenizer) = &description.tokenizer {
        put(folder, TOKENIZER, tokenizer.to_json())?;
    }
    put(folder, CARD, &card::text(description, files))
}

pub(super) fn put(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    Ok(durable::write_file(&path, |w| {
        w.write_all(text.as_bytes())
    })?)
}

/// The tables of the configuration, the labels and the results, as one object.
fn config_json(description: &Description) -> String {
    let json = serde_json::json!({
        "model": description.config.model,
        "labels": description.labels,
        "results": description.results,
        "data": description.config.data,
        "run": description.config.run,
        "train": description.config.train,
    });
    format!("{json:#}\n")
}
