//! For each parameter, where its first values come from.

use std::collections::BTreeMap;

use encodings::EncodingConfig;
use models::{Kind, Modality, ModelConfig, Parameter};

use super::report::list;
use crate::config::InitTable;
use crate::error::{Error, Result};
use crate::model_folder::Stored;

/// Where the first values of a parameter come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The model has them.
    Loaded,
    /// They are drawn.
    New,
    /// Rows are those of the tokens that both vocabularies have, the others are drawn.
    Rows,
    /// A table of positions of another length.
    Resampled {
        /// The shape of the table in the model.
        from: Vec<usize>,
    },
}

/// The origin of every parameter, and what is left over.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) origins: Vec<(Parameter, Origin)>,
    /// Tensors of the model that are not taken.
    pub(super) ignored: Vec<String>,
}

impl Plan {
    /// Compares `parameters`, those of `model`, with what `source` has. `other_tokens`: text
    /// becomes tokens in another way than it did for the source.
    ///
    /// # Errors
    ///
    /// One line with every tensor that is missing, unexpected or of another shape, and with
    /// what to do.
    pub(super) fn new(
        table: &InitTable,
        source: &Stored,
        model: &ModelConfig,
        parameters: Vec<Parameter>,
        other_tokens: bool,
    ) -> Result<Self> {
        let mut stored = source.parameters();
        let mut misfits = Misfits::default();
        let mut origins = Vec::with_capacity(parameters.len());
        let mut ignored = Vec::new();
        for parameter in parameters {
            let name = &parameter.name;
            let found = stored.remove(name);
            let origin = match found {
                _ if table.ignores(name) => {
                    ignored.extend(found.map(|_| name.clone()));
                    Origin::New
                }
                None => {
                    misfits.missing.push(name.clone());
                    Origin::New
                }
                Some(from)
                    if other_tokens
                        && from.get(1..) == parameter.shape.get(1..)
                        && has_token_rows(model, name) =>
                {
                    Origin::Rows
                }
                Some(from) if from == parameter.shape => Origin::Loaded,
                Some(from) if is_resampled(model, name, &from, &parameter.shape) => {
                    Origin::Resampled { from }
                }
                Some(from) => {
                    let (want, got) = (&parameter.shape, from);
                    misfits
                        .misshaped
                        .push(format!("{name} ({got:?} instead of {want:?})"));
                    Origin::New
                }
            };
            origins.push((parameter, origin));
        }
        for name in stored.into_keys() {
            match table.ignores(&name) {
                true => ignored.push(name),
                false => misfits.unexpected.push(name),
            }
        }
        match misfits.line() {
            None => Ok(Self { origins, ignored }),
            Some(line) => Err(Error::Data(format!(
                "{}: does not fit [model]: {line}",
                source.path().display()
            ))),
        }
    }

    /// Numbers of the parameters by name.
    pub(super) fn counts(&self) -> BTreeMap<&str, usize> {
        let count = |(p, _): &'_ (Parameter, Origin)| p.shape.iter().product();
        self.origins
            .iter()
            .map(|entry| (entry.0.name.as_str(), count(entry)))
            .collect()
    }
}

/// What does not fit.
#[derive(Default)]
struct Misfits {
    missing: Vec<String>,
    unexpected: Vec<String>,
    misshaped: Vec<String>,
}

impl Misfits {
    /// All of it on a line, with what to do; `None` if everything fits.
    fn line(&self) -> Option<String> {
        let parts = [
            ("missing", &self.missing),
            ("unexpected", &self.unexpected),
            ("of another shape", &self.misshaped),
        ];
        let said: Vec<String> = parts
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{} {what}: {}", names.len(), list(names)))
            .collect();
        if said.is_empty() {
            return None;
        }
        let all = [&self.missing, &self.unexpected, &self.misshaped];
        let only_head = all
            .into_iter()
            .flatten()
            .all(|name| crate::config::is_head(name));
        let remedy = match only_head {
            true => "set init.head = \"new\" for a new head",
            false => "change [model], or name in init.ignore what is to be left out and drawn anew",
        };
        Some(format!("{}; {remedy}", said.join("; ")))
    }
}

/// Whether the parameter `name` has a row for each token.
fn has_token_rows(model: &ModelConfig, name: &str) -> bool {
    match name {
        "embed.weight" => model.kind().modality() == Modality::Text,
        "head.weight" => model.kind() == Kind::TextLm,
        _ => false,
    }
}

/// Whether the table `name` can be resampled from the shape `from` to the shape `to`.
fn is_resampled(model: &ModelConfig, name: &str, from: &[usize], to: &[usize]) -> bool {
    let is_table = match model.position() {
        EncodingConfig::Learnt => name == "position.weight",
        EncodingConfig::Learnt2d => {
            name == "position.rows.weight" || name == "position.columns.weight"
        }
        _ => false,
    };
    is_table && from.len() == 2 && to.len() == 2 && from[1] == to[1] && from[0] > 0
}
