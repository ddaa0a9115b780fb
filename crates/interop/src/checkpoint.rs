//! What a config.json says, in our words.

use std::collections::BTreeSet;

use models::{DataSizes, ModelConfig};
use serde_json::{Value, json};

use crate::families::preprocessor::Preprocessor;
use crate::families::sound::SoundFeatures;
use crate::families::{self, ast, bert, gpt2, llama, roberta, vit};
use crate::form::{Form, Head, Mapper};
use crate::keys::Keys;
use crate::labels::read_labels;
use crate::{Error, Family, KeyMap};

const FILE: &str = "config.json";

/// A checkpoint of Hugging Face's, as far as its config.json tells: which of our models it
/// is, and where that model's weights are.
///
/// ```
/// use std::collections::BTreeSet;
///
/// let config = r#"{
///     "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 50,
///     "n_positions": 24, "n_embd": 16, "n_head": 2, "n_layer": 1
/// }"#;
/// let checkpoint = interop::Checkpoint::read(config, None)?;
/// assert_eq!(checkpoint.model().d_model(), 16);
///
/// // Names as they are in the file with the weights; without them, those that are missing
/// // are named.
/// let missing = checkpoint.map(&BTreeSet::new()).unwrap_err().to_string();
/// assert!(missing.contains("`wte.weight`, which is our `embed.weight`"), "{missing}");
/// # Ok::<(), interop::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Checkpoint {
    family: Family,
    architecture: String,
    model: ModelConfig,
    labels: Vec<String>,
    /// How samples become frames, if it reads sound.
    sound: Option<SoundFeatures>,
    /// Rows of positions that are never read.
    skipped_rows: usize,
    /// Whether the weights are without the head that our kind of model has.
    headless: bool,
}

impl Checkpoint {
    /// Reads the text of a config.json and, for models of images and sound, that of the
    /// preprocessor_config.json beside it, if there is one: without it nothing is known of
    /// mean and deviation of the pixels, and those of frames are AudioSet's.
    ///
    /// Keys that change nothing in evaluation are ignored, whatever they hold.
    ///
    /// # Errors
    ///
    /// A text that is no JSON object, a family that is not known, a value that makes no
    /// sense, and one that means what our layers cannot do.
    pub fn read(config_json: &str, preprocessor_json: Option<&str>) -> Result<Self, Error> {
        let keys = Keys::parse(FILE, config_json)?;
        let family = family(&keys)?;
        let form = families::form(family);
        keys.absent("quantization_config", "use the weights as they were before")?;
        let (architecture, head, named) = architecture(&keys, form)?;
        let kind = head.kind;
        let preprocessor = match (family, preprocessor_json) {
            (Family::Vit, Some(text)) => Some(Preprocessor::parse(text)?),
            _ => None,
        };
        let skipped_rows = match family {
            Family::Roberta => roberta::skipped_rows(&keys)?,
            _ => 0,
        };
        let mut sound = None;
        let mut table = match family {
            Family::Bert | Family::Roberta => bert::read(&keys, kind, skipped_rows)?,
            Family::Gpt2 => gpt2::read(&keys)?,
            Family::Llama => llama::read(&keys)?,
            Family::Vit => vit::read(&keys, preprocessor.as_ref())?,
            Family::Ast => {
                let preprocessor = preprocessor_json
                    .map(|text| Keys::parse("preprocessor_config.json", text))
                    .transpose()?;
                let (model, features) = ast::read(&keys, preprocessor.as_ref())?;
                sound = Some(features);
                model
            }
        };
        table["kind"] = json!(kind);
        let mut labels = Vec::new();
        if kind.has_classes() {
            // A body without its head says nothing of classes; they are to be replaced.
            labels = read_labels(&keys, named)?;
            table["n_classes"] = json!(labels.len());
        }
        Ok(Self {
            family,
            architecture,
            model: model(table)?,
            labels,
            sound,
            skipped_rows,
            headless: !named && kind.has_classes(),
        })
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The class of transformers that wrote the weights, such as
    /// `BertForSequenceClassification`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Our model, all sizes known.
    pub fn model(&self) -> &ModelConfig {
        &self.model
    }

    /// How samples become the frames of the model; `None` of a model that reads no sound.
    pub fn sound(&self) -> Option<&SoundFeatures> {
        self.sound.as_ref()
    }

    /// Names of the classes, in order; empty if the model has none. Names that were never
    /// given are `LABEL_0`, `LABEL_1`, …, and some checkpoints have one name twice.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Where the weights of [`Checkpoint::model`] are, among tensors of these names.
    ///
    /// The names tell whether the file has the prefix of the body (`bert.`).
    ///
    /// # Errors
    ///
    /// If a weight is missing, or there is one inside the body that the model does not have,
    /// as where the file has more layers than its config.json.
    pub fn map(&self, theirs: &BTreeSet<String>) -> Result<KeyMap, Error> {
        self.mapper(&self.model)?
            .read(&self.model, theirs, self.headless)
    }

    /// As [`Checkpoint::map`], for another model on the same body, such as a classifier that
    /// is to begin as this encoder. What the file lacks of its head is
    /// [`KeyMap::fresh`].
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::map`], and a kind of model that the family does not have, or
    /// parameters that it does not. Shapes are not compared here.
    pub fn map_onto(
        &self,
        model: &ModelConfig,
        theirs: &BTreeSet<String>,
    ) -> Result<KeyMap, Error> {
        self.mapper(model)?.read(model, theirs, true)
    }

    fn mapper(&self, model: &ModelConfig) -> Result<Mapper<'static>, Error> {
        let form = families::form(self.family);
        let kind = model.kind();
        let Some(head) = form.head(kind) else {
            return Err(Error::NotExpressible {
                family: self.family,
                key: "kind",
                value: format!("\"{kind}\""),
                remedy: format!("use one of {}", kinds(form)),
            });
        };
        Ok(Mapper {
            form,
            head,
            skipped_rows: self.skipped_rows,
        })
    }
}

/// The kinds of a family, as they are written.
pub(crate) fn kinds(form: &Form) -> String {
    let kinds = form.heads.iter().map(|head| format!("\"{}\"", head.kind));
    kinds.collect::<Vec<_>>().join(", ")
}

/// The model of a table as in TOML.
fn model(table: Value) -> Result<ModelConfig, Error> {
    let wrong = |message: String| Error::Model { message };
    let model: ModelConfig =
        serde_json::from_value(table).map_err(|error| wrong(error.to_string()))?;
    let resolved = model.resolve(DataSizes::default());
    resolved.map_err(|error| wrong(error.to_string()))
}

fn family(keys: &Keys) -> Result<Family, Error> {
    let Some(name) = keys.text("model_type")? else {
        return Err(Error::Missing {
            file: FILE,
            key: "model_type",
        });
    };
    let found = Family::ALL
        .into_iter()
        .find(|family| family.model_type() == name);
    found.ok_or_else(|| {
        let known = Family::ALL.map(|family| format!("\"{}\"", family.model_type()));
        keys.unsupported("model_type", &format!("use one of {}", known.join(", ")))
    })
}

/// The class of the weights, the head it is read with, and whether that is its own: other
/// classes of the family are read as their body, whose weights they have.
fn architecture(keys: &Keys, form: &'static Form) -> Result<(String, &'static Head, bool), Error> {
    let key = "architectures";
    let name = match keys.get(key) {
        None => None,
        Some(Value::Array(list)) => match list.first() {
            None => None,
            Some(Value::String(name)) => Some(name.as_str()),
            Some(_) => return Err(keys.not(key, "a list of names")),
        },
        Some(_) => return Err(keys.not(key, "a list of names")),
    };
    let Some(name) = name else {
        let first = &form.heads[0];
        return Ok((first.architecture.to_owned(), first, true));
    };
    if let Some(head) = form.heads.iter().find(|head| head.architecture == name) {
        return Ok((name.to_owned(), head, true));
    }
    let of_family = ["For", "Model", "LMHead", "DoubleHeads", "PreTrained"];
    match name.strip_prefix(form.class) {
        Some(rest) if of_family.iter().any(|next| rest.starts_with(next)) => {
            Ok((name.to_owned(), &form.heads[0], false))
        }
        _ => {
            let known = form
                .heads
                .iter()
                .map(|head| format!("\"{}\"", head.architecture));
            let known = known.collect::<Vec<_>>().join(", ");
            Err(keys.unsupported(
                key,
                &format!("use one of {known}, or another of the family"),
            ))
        }
    }
}
