//! Keys that a configuration need not repeat, because the model it starts from has them.

use models::{Kind, Modality};
use serde::Deserialize;
use toml::{Table, Value};

use crate::config::{Document, Head, InitTable};
use crate::error::{Error, Result};
use crate::model_folder::Stored;

/// A key, table by table, and its value.
type Key = (Vec<String>, Value);

/// As much of a configuration as decides what it inherits.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    model: WrittenModel,
    #[serde(default)]
    data: WrittenData,
}

#[derive(Default, Deserialize)]
struct WrittenModel {
    kind: Option<Kind>,
}

#[derive(Default, Deserialize)]
struct WrittenData {
    tokenizer: Option<Value>,
}

/// The keys of `source` for a `document` that starts from it.
///
/// # Errors
///
/// `document` asks for a model that reads something else.
pub(super) fn keys(table: &InitTable, source: &Stored, document: &Document) -> Result<Vec<Key>> {
    let config = &source.description.config;
    let written: Written = document.to()?;
    let from = config.model.kind();
    let to = written.model.kind.unwrap_or(from);
    if from.modality() != to.modality() {
        return Err(Error::Data(format!(
            "{}: is a model of the kind {from}, which reads {}; the kind {to} reads {}: start from \
             a model that reads the same",
            source.path().display(),
            from.modality(),
            to.modality()
        )));
    }
    // They have as many rows as their grid.
    let of_patches = (config.model.speech()).is_some_and(|speech| speech.patches().is_some());
    let left_out = |path: &str| -> bool {
        let other_answers = to != from || table.head() == Head::New;
        match path {
            // The data decide.
            "image.height" | "image.width" | "image.channels" => true,
            "graph.n_features" | "graph.n_edge_features" | "graph.n_structure" => true,
            "speech.n_features" => true,
            "max_seq_len" => to.modality() == Modality::Image || of_patches,
            "vocab_size" => written.data.tokenizer.is_some(),
            // They belong to the head.
            "n_classes" | "graph.mean" | "graph.deviation" | "speech.word_separator" => {
                other_answers
            }
            "graph.balanced" => to != from,
            "tied" => to != Kind::TextLm,
            "pooling" | "pooler" => !to.pools(),
            _ => false,
        }
    };
    let model = Table::try_from(&config.model).map_err(|error| {
        let path = source.path().display();
        Error::Data(format!("{path}: its model cannot be written down: {error}"))
    })?;
    let mut keys: Vec<Key> = Vec::new();
    for (name, value) in model {
        match value {
            Value::Table(inner) if ["image", "speech", "graph"].contains(&name.as_str()) => {
                for (key, value) in inner {
                    if !left_out(&format!("{name}.{key}")) {
                        keys.push((path(["model", &name, &key]), value));
                    }
                }
            }
            value if !left_out(&name) => keys.push((path(["model", &name]), value)),
            _ => {}
        }
    }
    keys.extend(data_keys(source, to));
    Ok(keys)
}

/// How data become what the model reads.
fn data_keys(source: &Stored, kind: Kind) -> Vec<Key> {
    let description = &source.description;
    let of_source = |names: &[&str]| {
        let mut data = Table::try_from(&description.config.data).unwrap_or_default();
        let keys = names.iter().filter_map(|&name| {
            let value = data.remove(name)?;
            Some((path(["data", name]), value))
        });
        keys.collect()
    };
    match kind.modality() {
        Modality::Text if description.tokenizer.is_some() => {
            vec![(path(["data", "tokenizer"]), Value::String("init".into()))]
        }
        Modality::Text | Modality::Image => Vec::new(),
        Modality::Speech => of_source(&["sample_rate", "features"]),
        Modality::Graph => of_source(&["encodings"]),
    }
}

fn path<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}
