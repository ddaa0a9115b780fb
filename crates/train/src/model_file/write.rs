//! Writing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use candle_core::{CpuStorage, DType, Storage, Tensor};
use serde_json::{Map, Value, json};

use super::header::METADATA;
use crate::durable::{self, FileError};

/// Bytes of an element: of a number and of an id.
const WORD: usize = 4;

/// A tensor to be written: numbers as `f32`, ids as `u32`.
#[derive(Debug, Clone)]
pub struct NamedTensor<'a> {
    /// Name in the file.
    pub name: Cow<'a, str>,
    /// Sizes of the dimensions.
    pub shape: Cow<'a, [usize]>,
    /// The elements.
    pub values: Values<'a>,
}

/// Where the elements of a tensor are.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// In memory, row by row.
    Slice(&'a [f32]),
    /// Ids in memory, such as tokens or the ends of edges; they are no weights.
    Ids(&'a [u32]),
    /// In a Candle tensor; copied only if it is not contiguous `f32` on the CPU,
    /// and then one tensor at a time.
    Tensor(&'a Tensor),
}

impl<'a> NamedTensor<'a> {
    /// A tensor that lies in a slice.
    pub fn slice(
        name: impl Into<Cow<'a, str>>,
        shape: impl Into<Cow<'a, [usize]>>,
        values: &'a [f32],
    ) -> Self {
        Self {
            name: name.into(),
            shape: shape.into(),
            values: Values::Slice(values),
        }
    }

    /// A list of ids.
    pub fn ids(name: impl Into<Cow<'a, str>>, values: &'a [u32]) -> Self {
        Self {
            name: name.into(),
            shape: vec![values.len()].into(),
            values: Values::Ids(values),
        }
    }

    /// A Candle tensor.
    pub fn tensor(name: impl Into<Cow<'a, str>>, tensor: &'a Tensor) -> Self {
        Self {
            name: name.into(),
            shape: Cow::Borrowed(tensor.dims()),
            values: Values::Tensor(tensor),
        }
    }
}

/// Writes a safetensors file, durably and as a whole.
///
/// Tensors are stored in order of name, so that the same tensors and strings
/// always make the same bytes.
///
/// # Errors
///
/// The file cannot be written.
pub fn write_model_file(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: &[NamedTensor<'_>],
) -> Result<(), FileError> {
    durable::write_file(path, |w| write_tensors(w, metadata, tensors))
}

/// Writes the bytes of a safetensors file.
pub(crate) fn write_tensors(
    w: &mut dyn Write,
    metadata: &BTreeMap<String, String>,
    tensors: &[NamedTensor<'_>],
) -> io::Result<()> {
    let mut in_order: Vec<&NamedTensor<'_>> = tensors.iter().collect();
    in_order.sort_by(|a, b| a.name.cmp(&b.name));
    let header = header(metadata, &in_order)?;
    w.write_all(&(header.len() as u64).to_le_bytes())?;
    w.write_all(&header)?;
    for tensor in in_order {
        let elements: usize = tensor.shape.iter().product();
        let write = |values: &[f32], w: &mut dyn Write| {
            if values.len() != elements {
                let message = format!(
                    "tensor `{}` of shape {:?} has {} elements",
                    tensor.name,
                    tensor.shape,
                    values.len()
                );
                return Err(io::Error::other(message));
            }
            write_words(w, values, f32::to_le_bytes)
        };
        match tensor.values {
            Values::Slice(values) => write(values, w)?,
            Values::Ids(values) => write_words(w, values, u32::to_le_bytes)?,
            Values::Tensor(values) => with_values(values, |values| write(values, w))?,
        }
    }
    Ok(())
}

/// The header's JSON, padded with spaces so that the data begin at a multiple of 8.
fn header(
    metadata: &BTreeMap<String, String>,
    tensors: &[&NamedTensor<'_>],
) -> io::Result<Vec<u8>> {
    let mut entries = Map::new();
    if !metadata.is_empty() {
        entries.insert(METADATA.to_owned(), json!(metadata));
    }
    let mut start = 0;
    for tensor in tensors {
        let end = start + tensor.shape.iter().product::<usize>() * WORD;
        let dtype = match tensor.values {
            Values::Slice(_) | Values::Tensor(_) => "F32",
            Values::Ids(_) => "U32",
        };
        let entry = json!({ "dtype": dtype, "shape": tensor.shape, "data_offsets": [start, end] });
        if entries.insert(tensor.name.to_string(), entry).is_some() {
            return Err(io::Error::other(format!(
                "two tensors are named `{}`",
                tensor.name
            )));
        }
        start = end;
    }
    let mut header = serde_json::to_vec(&Value::Object(entries))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn write_words<T: Copy>(
    w: &mut dyn Write,
    values: &[T],
    to_bytes: fn(T) -> [u8; WORD],
) -> io::Result<()> {
    const CHUNK: usize = 1 << 14;
    let mut bytes = Vec::with_capacity(CHUNK.min(values.len()) * WORD);
    for chunk in values.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|&x| to_bytes(x)));
        w.write_all(&bytes)?;
    }
    Ok(())
}

/// Hands the elements of a Candle tensor to `take`, row by row, without a copy
/// where they lie like that already.
fn with_values(tensor: &Tensor, take: impl FnOnce(&[f32]) -> io::Result<()>) -> io::Result<()> {
    {
        let (storage, layout) = tensor.storage_and_layout();
        if let (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) =
            (&*storage, layout.contiguous_offsets())
        {
            return take(&values[start..end]);
        }
    }
    let copied = tensor
        .flatten_all()
        .and_then(|t| t.to_dtype(DType::F32))
        .and_then(|t| t.to_vec1::<f32>())
        .map_err(io::Error::other)?;
    take(&copied)
}
