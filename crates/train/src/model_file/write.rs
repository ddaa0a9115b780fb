//! Writing.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use candle_core::{CpuStorage, DType, Storage, Tensor};
use serde_json::{Map, Value, json};

use super::dtype::Dtype;
use super::float::Float;
use super::header::METADATA;
use crate::durable::{self, FileError};

/// A tensor to be written: numbers as `f32` or as narrower floats, ids as `u32`.
#[derive(Debug, Clone)]
pub struct NamedTensor<'a> {
    /// Name in the file.
    pub name: Cow<'a, str>,
    /// Sizes of the dimensions.
    pub shape: Cow<'a, [usize]>,
    /// The elements.
    pub values: Values<'a>,
    /// How numbers are stored; ids stay what they are.
    pub float: Float,
}

/// Where the elements of a tensor are.
#[derive(Debug, Clone)]
pub enum Values<'a> {
    /// In memory, row by row.
    Slice(Cow<'a, [f32]>),
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
        values: impl Into<Cow<'a, [f32]>>,
    ) -> Self {
        Self {
            name: name.into(),
            shape: shape.into(),
            values: Values::Slice(values.into()),
            float: Float::F32,
        }
    }

    /// A list of ids.
    pub fn ids(name: impl Into<Cow<'a, str>>, values: &'a [u32]) -> Self {
        Self {
            name: name.into(),
            shape: vec![values.len()].into(),
            values: Values::Ids(values),
            float: Float::F32,
        }
    }

    /// A Candle tensor.
    pub fn tensor(name: impl Into<Cow<'a, str>>, tensor: &'a Tensor) -> Self {
        Self {
            name: name.into(),
            shape: Cow::Borrowed(tensor.dims()),
            values: Values::Tensor(tensor),
            float: Float::F32,
        }
    }

    /// The same tensor, its numbers stored as `float`.
    pub fn stored_as(self, float: Float) -> Self {
        Self { float, ..self }
    }

    /// Its numbers, row by row; ids are none.
    ///
    /// # Errors
    ///
    /// They cannot be read from their device.
    pub fn numbers(&self) -> candle_core::Result<Vec<f32>> {
        match &self.values {
            Values::Slice(values) => Ok(values.to_vec()),
            Values::Tensor(tensor) => tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1(),
            Values::Ids(_) => Ok(Vec::new()),
        }
    }

    /// Type of the stored elements.
    fn dtype(&self) -> Dtype {
        match self.values {
            Values::Slice(_) | Values::Tensor(_) => self.float.dtype(),
            Values::Ids(_) => Dtype::U32,
        }
    }

    /// Bytes of the stored elements.
    pub(super) fn bytes(&self) -> u64 {
        let elements: usize = self.shape.iter().product();
        (elements * self.dtype().size()) as u64
    }
}

/// Writes a safetensors file, durably and as a whole.
///
/// Tensors are stored in order of name, those with wider elements first, so that each
/// begins at a multiple of its element's size and the same tensors and strings always make
/// the same bytes.
///
/// # Errors
///
/// The file cannot be written, or a number is too large for the type it is stored as.
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
    in_order.sort_by_key(|tensor| (Reverse(tensor.dtype().size()), &tensor.name));
    let header = header(metadata, &in_order)?;
    w.write_all(&(header.len() as u64).to_le_bytes())?;
    w.write_all(&header)?;
    for tensor in in_order {
        let elements: usize = tensor.shape.iter().product();
        let named = |what: String| {
            let (name, shape) = (&tensor.name, &tensor.shape);
            io::Error::other(format!("tensor `{name}` of shape {shape:?} {what}"))
        };
        let write = |values: &[f32], w: &mut dyn Write| {
            if values.len() != elements {
                return Err(named(format!("has {} elements", values.len())));
            }
            match tensor.float.write(w, values) {
                // The only failure that is not the disk's: a number out of range.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    Err(named(format!("has {error}")))
                }
                outcome => outcome,
            }
        };
        match &tensor.values {
            Values::Slice(values) => write(values, w)?,
            Values::Ids(values) => write_ids(w, values)?,
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
        let end = start + tensor.bytes();
        let dtype = tensor.dtype().to_string();
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

fn write_ids(w: &mut dyn Write, ids: &[u32]) -> io::Result<()> {
    const CHUNK: usize = 1 << 14;
    for chunk in ids.chunks(CHUNK) {
        let bytes: Vec<u8> = chunk.iter().flat_map(|id| id.to_le_bytes()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    fn written(tensors: &[NamedTensor<'_>]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let metadata = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        write_tensors(&mut bytes, &metadata, tensors)?;
        Ok(bytes)
    }

    /// `header`, padded, with its length in front and `data` behind.
    fn file(header: &str, data: &[&[u8]]) -> Vec<u8> {
        let length = header.len().next_multiple_of(8);
        let header = format!("{header:length$}");
        let length = (length as u64).to_le_bytes();
        [&length, header.as_bytes(), &data.concat()].concat()
    }

    #[test]
    fn each_byte_of_a_file_is_what_it_always_was() -> Result {
        let tensors = [
            NamedTensor::slice("b", vec![1, 2], &[1.0, -2.0]),
            NamedTensor::ids("a", &[7]),
        ];
        let header = r#"{"__metadata__":{"k":"v"},"a":{"dtype":"U32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]}}"#;
        let data: &[&[u8]] = &[&[7, 0, 0, 0], &[0, 0, 0x80, 0x3f], &[0, 0, 0, 0xc0]];
        assert_eq!(written(&tensors)?, file(header, data));
        Ok(())
    }

    #[test]
    fn wide_elements_come_first_so_that_each_tensor_is_aligned() -> Result {
        let tensors = [
            NamedTensor::slice("a", vec![1], &[1.0]).stored_as(Float::F16),
            NamedTensor::slice("b", vec![1], &[1.0]).stored_as(Float::BF16),
            NamedTensor::slice("c", vec![1], &[1.0]),
            NamedTensor::ids("d", &[7]).stored_as(Float::F16),
        ];
        let header = r#"{"__metadata__":{"k":"v"},"c":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"d":{"dtype":"U32","shape":[1],"data_offsets":[4,8]},"a":{"dtype":"F16","shape":[1],"data_offsets":[8,10]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[10,12]}}"#;
        let data: &[&[u8]] = &[
            &[0, 0, 0x80, 0x3f],
            &[7, 0, 0, 0],
            &[0, 0x3c],
            &[0x80, 0x3f],
        ];
        let bytes = written(&tensors)?;
        assert_eq!(bytes, file(header, data));
        let reference = safetensors::SafeTensors::deserialize(&bytes)?;
        assert_eq!(reference.tensor("b")?.dtype(), safetensors::Dtype::BF16);
        Ok(())
    }

    #[test]
    fn a_number_that_its_type_cannot_hold_is_told_with_its_tensor() {
        let tensors = [NamedTensor::slice("w", vec![1, 2], &[0.0, 1e5]).stored_as(Float::F16)];
        let error = written(&tensors).expect_err("too large");
        assert_eq!(
            error.to_string(),
            "tensor `w` of shape [1, 2] has 1e5, too large for f16; store it as bf16 or f32"
        );
    }
}
