//! The index of a checkpoint in several files: which tensor is in which of them.
//!
//! ```json
//! { "metadata": { "total_size": 8 }, "weight_map": { "a": "model-00001-of-00002.safetensors" } }
//! ```
//!
//! As Hugging Face's tools read and write it:
//! <https://huggingface.co/docs/huggingface_hub/package_reference/serialization>.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::json;

use super::limits;

/// Name of an index in a folder.
pub const INDEX: &str = "model.safetensors.index.json";

/// Which shard holds each tensor, by the tensor's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShardIndex {
    pub(super) weight_map: BTreeMap<String, String>,
}

/// Why a checkpoint in several files is not sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each variant's message says what its fields are"
)]
pub enum IndexDefect {
    #[error(
        "it has {bytes} bytes, more than the {} that are accepted",
        limits::HEADER
    )]
    TooLong { bytes: u64 },
    #[error("it is not valid: {0}")]
    Json(String),
    #[error(
        "tensor `{tensor}` is to be in `{file}`, which is not the name of a .safetensors \
             file beside it"
    )]
    FileName { tensor: String, file: String },
    #[error(
        "it names {shards} files, more than the {} that are accepted",
        limits::SHARDS
    )]
    TooManyShards { shards: usize },
    #[error("tensor `{tensor}` is not in `{file}`, where it is to be")]
    NotInShard { tensor: String, file: String },
    #[error("tensor `{tensor}` is in `{first}` and in `{second}`")]
    Twice {
        tensor: String,
        first: String,
        second: String,
    },
    #[error("it does not name tensor `{tensor}` of `{file}`")]
    NotNamed { tensor: String, file: String },
}

impl ShardIndex {
    /// Parses an index that nobody vouches for.
    pub(super) fn parse(json: &[u8]) -> Result<Self, IndexDefect> {
        // A list of the two would do for `serde`.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(IndexDefect::Json("it does not begin with `{`".into()));
        }
        let raw: RawIndex =
            serde_json::from_slice(json).map_err(|error| IndexDefect::Json(error.to_string()))?;
        let weight_map = raw.weight_map.0;
        for (tensor, file) in &weight_map {
            if !is_file_name(file) {
                return Err(IndexDefect::FileName {
                    tensor: tensor.clone(),
                    file: shortened(file),
                });
            }
        }
        let index = Self { weight_map };
        let shards = index.shards().len();
        match shards > limits::SHARDS {
            true => Err(IndexDefect::TooManyShards { shards }),
            false => Ok(index),
        }
    }

    /// The files, in order of name.
    pub(super) fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// The text of the index, as Hugging Face's tools write it; `bytes` is the sum of the
    /// tensors.
    pub(super) fn to_json(&self, bytes: u64) -> String {
        let index = json!({
            "metadata": { "total_size": bytes },
            "weight_map": self.weight_map,
        });
        format!("{index:#}\n")
    }
}

/// Whether `name` can only be a file beside the index: one part of a path, and visible.
fn is_file_name(name: &str) -> bool {
    name.len() <= limits::FILE_NAME
        && name.ends_with(".safetensors")
        && !name.starts_with('.')
        && !name.contains(['/', '\\', ':'])
        && !name.contains(char::is_control)
}

/// A name as it is shown.
fn shortened(name: &str) -> String {
    const SHOWN: usize = 80;
    match name.char_indices().nth(SHOWN) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}

/// The file beside `index` that is called `name`.
pub(super) fn beside(index: &Path, name: &str) -> PathBuf {
    index.with_file_name(name)
}

/// The index as its JSON has it. Other keys are for other programs.
#[derive(Deserialize)]
struct RawIndex {
    #[serde(default, rename = "metadata")]
    _metadata: Metadata,
    weight_map: WeightMap,
}

/// An object of anything, which is not used: `total_size` of many checkpoints is wrong.
#[derive(Default)]
struct Metadata;

/// File names by name of tensor, no tensor twice.
struct WeightMap(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ignored;
        impl<'de> Visitor<'de> for Ignored {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Metadata)
            }
        }
        deserializer.deserialize_map(Ignored)
    }
}

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = WeightMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("file names by name of tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
                let mut names = BTreeMap::new();
                while let Some((tensor, file)) = map.next_entry::<String, String>()? {
                    if tensor.len() > limits::NAME {
                        let message = format!("a name of {} bytes is too long", tensor.len());
                        return Err(de::Error::custom(message));
                    }
                    if names.len() == limits::TENSORS {
                        let message = format!("there are more than {} tensors", limits::TENSORS);
                        return Err(de::Error::custom(message));
                    }
                    if names.contains_key(&tensor) {
                        let message = format!("tensor `{tensor}` is there twice");
                        return Err(de::Error::custom(message));
                    }
                    names.insert(tensor, file);
                }
                Ok(WeightMap(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> String {
        ShardIndex::parse(json.as_bytes())
            .expect_err("refused")
            .to_string()
    }

    fn of(tensor: &str, file: &str) -> String {
        json!({ "weight_map": { tensor: file } }).to_string()
    }

    #[test]
    fn an_index_is_read_and_what_is_for_others_is_passed_over() {
        let json = r#"{"metadata":{"total_size":1e3,"x":[{}]},"weight_map":
            {"b":"model-2.safetensors","a":"model-1.safetensors","c":"model-1.safetensors"},
            "extra":null}"#;
        let index = ShardIndex::parse(json.as_bytes()).unwrap();
        assert_eq!(index.weight_map["b"], "model-2.safetensors");
        let shards: Vec<&str> = index.shards().into_iter().collect();
        assert_eq!(shards, ["model-1.safetensors", "model-2.safetensors"]);
        assert_eq!(ShardIndex::parse(index.to_json(12).as_bytes()), Ok(index));
    }

    #[test]
    fn an_index_is_written_as_others_write_it() {
        let map = [("b", "2.safetensors"), ("a", "1.safetensors")];
        let map = map.map(|(tensor, file)| (tensor.to_owned(), file.to_owned()));
        let index = ShardIndex {
            weight_map: map.into(),
        };
        let want = "{\n  \"metadata\": {\n    \"total_size\": 12\n  },\n  \"weight_map\": {\n    \
                    \"a\": \"1.safetensors\",\n    \"b\": \"2.safetensors\"\n  }\n}\n";
        assert_eq!(index.to_json(12), want);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for file in [
            "/etc/m.safetensors",
            "../m.safetensors",
            "..",
            ".",
            "",
            "a/m.safetensors",
            "a\\m.safetensors",
            "C:m.safetensors",
            ".hidden.safetensors",
            "m\0.safetensors",
            "m\n.safetensors",
            "m.bin",
            "safetensors",
            &format!("{}.safetensors", "x".repeat(300)),
        ] {
            let message = said(&of("a", file));
            assert!(
                message.contains("is not the name of a .safetensors file beside it"),
                "{file:?}: {message}"
            );
            assert!(message.len() < 400, "{message}");
        }
    }

    #[test]
    fn hostile_indexes_are_refused_with_the_reason() {
        let deep = "[".repeat(100_000);
        let long = of(&"x".repeat(513), "m.safetensors");
        let many: BTreeMap<String, String> = (0..=limits::TENSORS)
            .map(|i| (i.to_string(), "m.safetensors".to_owned()))
            .collect();
        let many = json!({ "weight_map": many }).to_string();
        let files: BTreeMap<String, String> = (0..=limits::SHARDS)
            .map(|i| (i.to_string(), format!("{i}.safetensors")))
            .collect();
        let files = json!({ "weight_map": files }).to_string();
        let metadata = format!("{{\"metadata\":{{\"a\":{deep}");
        let weight_map = format!("{{\"weight_map\":{{\"a\":{deep}");
        let rest = format!("{{\"rest\":{deep}");
        for (json, reason) in [
            ("", "does not begin with `{`"),
            ("{", "EOF"),
            ("{}", "missing field `weight_map`"),
            (r#"[{},{}]"#, "does not begin with `{`"),
            ("null", "does not begin with `{`"),
            (r#"{"weight_map":[]}"#, "invalid type"),
            (r#"{"weight_map":{"a":1}}"#, "invalid type"),
            (r#"{"weight_map":{"a":null}}"#, "invalid type"),
            (r#"{"weight_map":{"a":["m.safetensors"]}}"#, "invalid type"),
            (r#"{"metadata":7,"weight_map":{}}"#, "expected an object"),
            (r#"{"weight_map":{},"weight_map":{}}"#, "duplicate field"),
            (r#"{"weight_map":{}} {}"#, "trailing"),
            (
                r#"{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}"#,
                "`a` is there twice",
            ),
            // What is passed over is not descended into.
            (&metadata, "EOF"),
            (&rest, "EOF"),
            (&weight_map, "invalid type"),
            (&long, "513 bytes is too long"),
            (&many, "more than 100000 tensors"),
            (&files, "it names 513 files"),
        ] {
            let message = said(json);
            assert!(message.contains(reason), "{reason}: {message}");
        }
        assert!(ShardIndex::parse(b"{\"weight_map\":{\"\xff\":\"\"}}").is_err());
    }
}
