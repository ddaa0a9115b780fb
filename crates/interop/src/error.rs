//! Why a checkpoint cannot be used, or a model not be written in its form.

use crate::Family;

/// A checkpoint that is none of ours to be, or a model that is none of theirs.
///
/// Displays as one line: the file, the key and its value, and what would do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that is no JSON object, or larger or deeper than any of its kind.
    #[error("{file}: {message}; use the file as it came with the weights")]
    Json {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        message: String,
    },

    /// A key that must be there.
    #[error("{file}: `{key}` is missing; use the file as it came with the weights")]
    Missing {
        /// The file.
        file: &'static str,
        /// The key.
        key: &'static str,
    },

    /// A value that its key cannot have, whatever the model.
    #[error("{file}: {key} = {value} is not {wanted}")]
    Value {
        /// The file.
        file: &'static str,
        /// The key.
        key: String,
        /// Its value, as in JSON, cut short.
        value: String,
        /// What it would have to be.
        wanted: String,
    },

    /// A value that means a model that our layers do not make.
    #[error("{file}: {key} = {value} is not supported; {remedy}")]
    Unsupported {
        /// The file.
        file: &'static str,
        /// The key.
        key: String,
        /// Its value, as in JSON, cut short.
        value: String,
        /// What would do.
        remedy: String,
    },

    /// Sizes that no model of ours has, though each by itself would do.
    #[error("config.json: it describes a model that cannot be made: {message}")]
    Model {
        /// What is wrong, in the words of `[model]`.
        message: String,
    },

    /// Weights that the model needs and the file lacks.
    #[error(
        "the weights lack `{theirs}`, which is our `{ours}`, and {others} more; use the weights \
         that config.json came with"
    )]
    MissingTensors {
        /// The first parameter of ours without values.
        ours: String,
        /// The name looked for.
        theirs: String,
        /// How many more have none.
        others: usize,
    },

    /// Weights inside the model that nothing of ours reads, so that the file computes
    /// something else than its config.json says.
    #[error(
        "the weights have `{}`, and {others} more, which {family} as config.json describes it \
         does not; use the weights that config.json came with", theirs.escape_debug()
    )]
    UnknownTensors {
        /// The family.
        family: Family,
        /// The first of them.
        theirs: String,
        /// How many more there are.
        others: usize,
    },

    /// As many numbers as the shape does not have.
    #[error(
        "`{name}` has {found} numbers, but shape {shape:?}; use the weights that config.json came with"
    )]
    Length {
        /// Name of the tensor.
        name: String,
        /// Numbers there are.
        found: usize,
        /// Its shape.
        shape: Vec<usize>,
    },

    /// A parameter of ours whose values were not given.
    #[error("there are no values of `{ours}`, which `{theirs}` is made of; give them, too")]
    NoValues {
        /// The parameter.
        ours: String,
        /// The tensor that needs it.
        theirs: String,
    },

    /// A model that no family writes in its form.
    #[error("{key} = {value} cannot be written as {family}; {remedy}")]
    NotExpressible {
        /// The nearest family.
        family: Family,
        /// The key of `[model]`.
        key: &'static str,
        /// Its value, as in TOML.
        value: String,
        /// What would do.
        remedy: String,
    },

    /// A kind of model that none of the families has.
    #[error("kind = \"{kind}\" has no form of Hugging Face here; use a text or image model")]
    NoFamily {
        /// The kind.
        kind: models::Kind,
    },

    /// Another number of labels than of classes.
    #[error("{found} labels, but n_classes = {n_classes}; give one a class, or none")]
    Labels {
        /// Labels there are.
        found: usize,
        /// Classes there are.
        n_classes: usize,
    },

    /// A size that is still left to the data.
    #[error("{0}")]
    Unresolved(String),
}
