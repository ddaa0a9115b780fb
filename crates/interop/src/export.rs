//! A model of ours in Hugging Face's form.

use models::{Kind, ModelConfig};
use serde_json::{Map, Value, json};

use crate::checkpoint::kinds;
use crate::families::{self, ast, bert, gpt2, llama, preprocessor, roberta, vit};
use crate::form::{Form, Head, Mapper};
use crate::labels::{numbered, write_labels};
use crate::{Checkpoint, Error, Family, KeyMap};

/// Keys of `[model]` that only training reads: config.json says what it can of them.
const OF_TRAINING: &[&str] = &["memory", "dropout", "attention_dropout", "init_std"];

/// What a model of ours is in Hugging Face's form.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The family that it is of.
    pub family: Family,
    /// Text of its config.json. Of tokens it says how many there are, not which of them
    /// begin, end or fill up a text.
    pub config_json: String,
    /// Names, shapes and layouts of its weights.
    pub map: KeyMap,
    /// Text of its preprocessor_config.json, if it reads images. That of a model of sound
    /// is of its features: [`SoundFeatures::preprocessor_json`](crate::SoundFeatures::preprocessor_json).
    pub preprocessor_json: Option<String>,
}

/// Writes `model`, whose classes are called `labels` (`LABEL_0`, `LABEL_1`, … if there are
/// none), in the form of the family that it fits: an encoder with one kind of token is a
/// RoBERTa, another a BERT; a language model that turns queries and keys or has root mean
/// square norms is a Llama, another a GPT-2; a classifier of images is a ViT, one of patches of
/// sound an AST.
///
/// What is written reads back as the same model, but for keys that only training has
/// (`memory`, and rates of dropout that the family has no key for).
///
/// # Errors
///
/// A model that the family cannot express, by the first key to blame; a size left to the
/// data; another number of labels than of classes.
pub fn export(model: &ModelConfig, labels: &[String]) -> Result<Exported, Error> {
    let family = match model.kind() {
        Kind::TextEncoder | Kind::TextClassifier if model.token_types() == Some(1) => {
            Family::Roberta
        }
        Kind::TextEncoder | Kind::TextClassifier => Family::Bert,
        Kind::TextLm if model.norm() == models::NormKind::Rms => Family::Llama,
        Kind::TextLm if model.position().name() == "rotary" => Family::Llama,
        Kind::TextLm => Family::Gpt2,
        Kind::ImageClassifier => Family::Vit,
        Kind::SpeechClassifier if model.speech().is_some_and(|s| s.patches().is_some()) => {
            Family::Ast
        }
        kind => return Err(Error::NoFamily { kind }),
    };
    export_as(family, model, labels)
}

/// As [`export`], in the form of `family`.
///
/// # Errors
///
/// As [`export`].
pub fn export_as(
    family: Family,
    model: &ModelConfig,
    labels: &[String],
) -> Result<Exported, Error> {
    let form = families::form(family);
    let table =
        serde_json::to_value(model).map_err(|error| Error::Unresolved(error.to_string()))?;
    let refusal = |key: &'static str, remedy: String| Error::NotExpressible {
        family,
        key,
        value: as_toml(value(&table, key)),
        remedy,
    };
    let Some(head) = form.head(model.kind()) else {
        return Err(refusal("kind", format!("use one of {}", kinds(form))));
    };
    for (key, wanted) in form.needs.iter().chain(head.needs) {
        let found = value(&table, key).to_string();
        if !wanted.contains(&found.as_str()) {
            return Err(refusal(key, remedy(key, wanted)));
        }
    }
    if family != Family::Llama && model.n_kv_heads() != model.n_heads() {
        return Err(refusal(
            "n_kv_heads",
            format!("use n_kv_heads = {}", model.n_heads()),
        ));
    }
    if family == Family::Llama && model.position().name() != "rotary" {
        return Err(refusal("position", "use position = \"rotary\"".to_owned()));
    }
    let labels = labels_of(model, labels)?;
    let config_json = config(form, head, model, &labels)?;
    let preprocessor_json = preprocessor::write(model)?.map(|value| pretty(&value));
    let again = Checkpoint::read(&config_json, preprocessor_json.as_deref())?;
    same(&table, &again, family)?;
    let skipped_rows = match family {
        Family::Roberta => roberta::SKIPPED_ROWS,
        _ => 0,
    };
    let mapper = Mapper {
        form,
        head,
        skipped_rows,
    };
    Ok(Exported {
        family,
        config_json,
        map: mapper.write(model)?,
        preprocessor_json,
    })
}

/// The text of config.json, its keys in order of the alphabet.
fn config(
    form: &Form,
    head: &Head,
    model: &ModelConfig,
    labels: &[String],
) -> Result<String, Error> {
    let mut config = match form.family {
        Family::Bert => bert::write(model, 0)?,
        Family::Roberta => roberta::write(model)?,
        Family::Gpt2 => gpt2::write(model)?,
        Family::Llama => llama::write(model)?,
        Family::Vit => vit::write(model)?,
        Family::Ast => ast::write(model)?,
    };
    config["model_type"] = json!(form.family.model_type());
    config["architectures"] = json!([head.architecture]);
    // The first is the name since version 5, the second that before.
    config["dtype"] = json!("float32");
    config["torch_dtype"] = json!("float32");
    if !labels.is_empty() {
        let (by_id, by_label) = write_labels(labels);
        config["id2label"] = by_id;
        config["label2id"] = by_label;
        config["problem_type"] = json!("single_label_classification");
    }
    let Value::Object(keys) = config else {
        return Ok(pretty(&config));
    };
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(pretty(&Value::Object(Map::from_iter(keys))))
}

fn labels_of(model: &ModelConfig, labels: &[String]) -> Result<Vec<String>, Error> {
    let n_classes = families::known(model.n_classes())?.unwrap_or(0);
    match labels.len() {
        0 => Ok(numbered(n_classes)),
        n if n == n_classes => Ok(labels.to_vec()),
        found => Err(Error::Labels { found, n_classes }),
    }
}

/// Refuses what would read back as another model: the keys that no table of needs knows of.
fn same(table: &Value, again: &Checkpoint, family: Family) -> Result<(), Error> {
    let again = serde_json::to_value(again.model());
    let again = again.map_err(|error| Error::Unresolved(error.to_string()))?;
    // Its file is that of the features.
    let [table, again] = [table, &again].map(without_fill);
    let (Value::Object(ours), Value::Object(again)) = (&table, &again) else {
        return Ok(());
    };
    let keys = ours.keys().chain(again.keys());
    for key in keys.filter(|key| !OF_TRAINING.contains(&key.as_str())) {
        let (ours, again) = (ours.get(key), again.get(key));
        if ours != again {
            let shown = |value: Option<&Value>| as_toml(value.unwrap_or(&Value::Null));
            return Err(Error::NotExpressible {
                family,
                key: "model",
                value: format!("{{ {key} = {} }}", shown(ours)),
                remedy: format!("it would be read as {}", shown(again)),
            });
        }
    }
    Ok(())
}

/// The table without what frames are filled with.
fn without_fill(table: &Value) -> Value {
    let mut table = table.clone();
    let speech = table.get_mut("speech").and_then(Value::as_object_mut);
    if let Some(speech) = speech {
        speech.remove("fill");
    }
    table
}

/// The value under a key, which may be one of a table: `image.window`.
fn value<'a>(table: &'a Value, key: &str) -> &'a Value {
    let step = |value: &'a Value, part| value.get(part).unwrap_or(&Value::Null);
    key.split('.').fold(table, step)
}

fn remedy(key: &str, wanted: &[&str]) -> String {
    match wanted {
        ["null"] => format!("remove {key}"),
        _ => format!("use {key} = {}", wanted.join(" or ")),
    }
}

/// A value as it is written in `[model]`.
fn as_toml(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{key} = {}", as_toml(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
