//! What opening data of any kind has in common.

use crate::audio::Statistics;
use crate::graph::Schema;
use crate::text::Tokenizer;

/// What is known about the data beyond its configuration.
#[derive(Debug, Clone, Default)]
pub struct Open<'a> {
    /// Seed of the held-out examples and of the phases of windows.
    pub seed: u64,
    /// The text compiled into the program, which `path = "embedded"` stands for.
    pub embedded: Option<&'a str>,
    /// The tokenizer of a model that was trained before.
    pub tokenizer: Option<Tokenizer>,
    /// The classes of a model that was trained before, in its order.
    pub labels: Option<Vec<String>>,
    /// What the values of graphs mean to a model that was trained before.
    pub graphs: Option<Schema>,
    /// By what a model that was trained before normalises features of sound.
    pub features: Option<Statistics>,
}
