//! The header of a safetensors file, parsed and checked as a whole.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::defect::Defect;
use super::dtype::Dtype;
use super::limits;

/// Key of the header that holds strings instead of a tensor.
pub(super) const METADATA: &str = "__metadata__";

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Element type.
    pub dtype: Dtype,
    /// Sizes of the dimensions; their product is a `usize`.
    pub shape: Vec<usize>,
    /// Bytes of the tensor, counted from the first byte after the header.
    pub(super) range: Range<u64>,
}

impl TensorInfo {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A checked header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
}

impl Header {
    /// Parses the header and checks it against `data`, the bytes that follow it.
    ///
    /// Every tensor has a known type, a size that does not overflow, a range of
    /// that size, and the ranges fill the data without holes or overlap.
    pub(super) fn parse(json: &[u8], data: u64) -> Result<Self, Defect> {
        if json.first() != Some(&b'{') {
            return Err(Defect::Header("it does not begin with `{`".into()));
        }
        let raw: RawHeader =
            serde_json::from_slice(json).map_err(|error| Defect::Header(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, entry) in raw.tensors {
            let info = check(&name, entry, data)?;
            tensors.insert(name, info);
        }
        check_layout(&tensors, data)?;
        Ok(Self {
            metadata: raw.metadata,
            tensors,
        })
    }
}

/// Checks one tensor by itself.
fn check(name: &str, entry: RawTensor, data: u64) -> Result<TensorInfo, Defect> {
    let RawTensor {
        dtype,
        shape: Shape(shape),
        data_offsets: (start, end),
    } = entry;
    let Some(dtype) = Dtype::from_name(&dtype) else {
        return Err(Defect::UnknownDtype {
            tensor: name.into(),
            dtype,
        });
    };
    let bytes = shape
        .iter()
        .try_fold(dtype.size() as u64, |n, &d| n.checked_mul(d))
        .filter(|&n| usize::try_from(n).is_ok());
    let sizes: Option<Vec<usize>> = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
    let (Some(bytes), Some(sizes)) = (bytes, sizes) else {
        return Err(Defect::Overflow {
            tensor: name.into(),
            shape,
        });
    };
    if end > data || end.checked_sub(start) != Some(bytes) {
        return Err(Defect::Range {
            tensor: name.into(),
            expected: bytes,
            start,
            end,
        });
    }
    Ok(TensorInfo {
        dtype,
        shape: sizes,
        range: start..end,
    })
}

/// Checks that the tensors lie one after the other and fill the data.
fn check_layout(tensors: &BTreeMap<String, TensorInfo>, data: u64) -> Result<(), Defect> {
    let mut in_order: Vec<_> = tensors.iter().collect();
    in_order.sort_by_key(|(_, info)| (info.range.start, info.range.end));
    let mut expected = 0;
    for (name, info) in in_order {
        if info.range.start != expected {
            let (tensor, start) = (name.clone(), info.range.start);
            return Err(Defect::NotContiguous {
                tensor,
                start,
                expected,
            });
        }
        expected = info.range.end;
    }
    if expected != data {
        return Err(Defect::Length {
            tensors: expected,
            data,
        });
    }
    Ok(())
}

/// The header as its JSON has it, but with no name twice and within the limits.
struct RawHeader {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, RawTensor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: String,
    shape: Shape,
    data_offsets: (u64, u64),
}

/// Sizes of at most [`limits::RANK`] dimensions.
struct Shape(Vec<u64>);

/// Strings by name, no name twice.
struct Metadata(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = RawHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
        let mut metadata = None;
        let mut tensors = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                if metadata.replace(map.next_value::<Metadata>()?.0).is_some() {
                    return Err(de::Error::custom("`__metadata__` is there twice"));
                }
                continue;
            }
            if name.len() > limits::NAME {
                let message = format!("a name of {} bytes is too long", name.len());
                return Err(de::Error::custom(message));
            }
            if tensors.len() == limits::TENSORS {
                let message = format!("there are more than {} tensors", limits::TENSORS);
                return Err(de::Error::custom(message));
            }
            let tensor = map.next_value()?;
            if tensors.contains_key(&name) {
                return Err(de::Error::custom(format!("tensor `{name}` is there twice")));
            }
            tensors.insert(name, tensor);
        }
        Ok(RawHeader {
            metadata: metadata.unwrap_or_default(),
            tensors,
        })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} sizes", limits::RANK)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut shape = Vec::with_capacity(limits::RANK);
        while let Some(size) = seq.next_element()? {
            if shape.len() == limits::RANK {
                return Err(de::Error::invalid_length(limits::RANK + 1, &self));
            }
            shape.push(size);
        }
        Ok(Shape(shape))
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetadataVisitor)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("strings by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut strings = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            if strings.contains_key(&name) {
                return Err(de::Error::custom(format!(
                    "metadata `{name}` is there twice"
                )));
            }
            strings.insert(name, value);
        }
        Ok(Metadata(strings))
    }
}
