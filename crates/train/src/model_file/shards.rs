//! Writing weights in files of limited size.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::index::{INDEX, ShardIndex};
use super::limits;
use super::size::ByteSize;
use super::write::{NamedTensor, write_tensors};
use crate::durable::{self, Disk, FileError, OsDisk};

/// Name of the file that holds all tensors.
const SINGLE: &str = "model.safetensors";

/// The string of a header that Hugging Face's tools ask every shard for.
const FORMAT: &str = "format";

/// Writes weights into `folder`: as `model.safetensors` if their bytes are at most
/// `max_bytes`, else as `model-00001-of-00003.safetensors` and so on with an index, as
/// Hugging Face's tools do. Returns the number of weight files.
///
/// Tensors go into shards in order of name; a shard ends before the tensor that would pass
/// the limit, so only a tensor that is larger by itself makes a larger file. `metadata` is
/// in the header of the first shard, its `format` in all of them. What was in the folder
/// under these names is replaced.
///
/// At any moment, also after a power cut, the folder holds the former weights, the new ones
/// or none that can be opened, never some of each: the former index is removed first, the
/// new one is written last. The new ones are on the disk when this returns.
///
/// # Errors
///
/// A file cannot be written, a number is too large for the type it is stored as, two
/// tensors have the same name, or there would be more than [`limits::SHARDS`] files.
pub fn write_shards(
    folder: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: &[NamedTensor<'_>],
    max_bytes: ByteSize,
) -> Result<usize, FileError> {
    write_shards_on(&OsDisk, folder, metadata, tensors, max_bytes)
}

fn write_shards_on(
    disk: &dyn Disk,
    folder: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: &[NamedTensor<'_>],
    max_bytes: ByteSize,
) -> Result<usize, FileError> {
    let shards = plan(tensors, max_bytes).map_err(|what| {
        let error = io::Error::other(what);
        FileError::new("write", folder, error)
    })?;
    let former = shards_in(folder)?;
    if let [all] = shards.as_slice() {
        // From here on the index, if there is one, counts no more.
        durable::write_file_on(disk, &folder.join(SINGLE), |w| {
            write_tensors(w, metadata, all)
        })?;
        let stale = former.iter().map(String::as_str).chain([INDEX]);
        durable::remove_files_on(disk, folder, stale)?;
        return Ok(1);
    }

    durable::remove_files_on(disk, folder, [INDEX])?;
    let format = metadata
        .iter()
        .filter(|(key, _)| *key == FORMAT)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut weight_map = BTreeMap::new();
    for (i, shard) in shards.iter().enumerate() {
        let name = shard_name(i, shards.len());
        let metadata = if i == 0 { metadata } else { &format };
        durable::write_file_on(disk, &folder.join(&name), |w| {
            write_tensors(w, metadata, shard)
        })?;
        weight_map.extend(shard.iter().map(|t| (t.name.to_string(), name.clone())));
    }
    let bytes = tensors.iter().map(NamedTensor::bytes).sum();
    let json = ShardIndex { weight_map }.to_json(bytes);
    durable::write_file_on(disk, &folder.join(INDEX), |w| w.write_all(json.as_bytes()))?;
    let ours: Vec<String> = (0..shards.len())
        .map(|i| shard_name(i, shards.len()))
        .collect();
    let stale = former.iter().filter(|name| !ours.contains(name));
    // Until it is gone, a former `model.safetensors` counts, and the index does not.
    durable::remove_files_on(
        disk,
        folder,
        [SINGLE].into_iter().chain(stale.map(String::as_str)),
    )?;
    Ok(shards.len())
}

/// The tensors of each shard, at least one shard, or why there can be none.
fn plan<'a>(
    tensors: &[NamedTensor<'a>],
    max_bytes: ByteSize,
) -> Result<Vec<Vec<NamedTensor<'a>>>, String> {
    let mut in_order: Vec<&NamedTensor<'a>> = tensors.iter().collect();
    in_order.sort_by_key(|tensor| &tensor.name);
    if let Some(pair) = in_order
        .windows(2)
        .find(|pair| pair[0].name == pair[1].name)
    {
        return Err(format!("two tensors are named `{}`", pair[0].name));
    }
    let mut shards = vec![Vec::new()];
    let mut filled = 0u64;
    for tensor in in_order {
        let is_full = filled.saturating_add(tensor.bytes()) > max_bytes.bytes();
        if is_full && shards.last().is_some_and(|shard| !shard.is_empty()) {
            shards.push(Vec::new());
            filled = 0;
        }
        filled = filled.saturating_add(tensor.bytes());
        if let Some(shard) = shards.last_mut() {
            shard.push(tensor.clone());
        }
    }
    match shards.len() > limits::SHARDS {
        true => Err(format!(
            "there would be {} files, more than {}; choose a larger limit",
            shards.len(),
            limits::SHARDS
        )),
        false => Ok(shards),
    }
}

/// Name of shard `i`, from 0, of `n`.
fn shard_name(i: usize, n: usize) -> String {
    format!("model-{:05}-of-{n:05}.safetensors", i + 1)
}

/// Names of the files in `folder` that [`shard_name`] could have named.
fn shards_in(folder: &Path) -> Result<Vec<String>, FileError> {
    let failed = |error| FileError::new("read", folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.extend(
            name.to_str()
                .filter(|name| is_shard_name(name))
                .map(str::to_owned),
        );
    }
    Ok(names)
}

fn is_shard_name(name: &str) -> bool {
    let numbers = name
        .strip_prefix("model-")
        .and_then(|rest| rest.strip_suffix(".safetensors"))
        .and_then(|rest| rest.split_once("-of-"));
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    numbers.is_some_and(|(i, n)| is_number(i) && is_number(n))
}

#[cfg(test)]
mod tests;
