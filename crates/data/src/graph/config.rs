//! The `[data]` table of a graph run.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::invalid::{GraphConfigError, out_of_range};
use super::recipe::Recipe;
use super::{DuplicateEdges, Encodings, Generate, GraphFormat, Normalize};
use crate::{MAX_SKIPPED, OnError, Skips};

/// Furthest apart that nodes are joined.
const MAX_HOPS: usize = 16;
/// Most columns of one structural encoding.
const MAX_ENCODING: usize = 256;

/// Where graphs come from and what is added to them.
///
/// Valid by construction: fractions are in `[0, 1)` and leave something to train on, a
/// fold is one of its folds, and no two keys cut the data at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawGraphDataConfig", into = "RawGraphDataConfig")]
#[schemars(with = "RawGraphDataConfig")]
pub struct GraphDataConfig(RawGraphDataConfig);

/// Where graphs come from and what is added to them
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GraphDataConfig")]
struct RawGraphDataConfig {
    /// Graphs to train on: a file, a folder in the TU layout, or a source inside the program: `karate`, `generated:sbm-pattern`, `generated:sbm-cluster`, or, for benchmarks, `generated:random`
    path: PathBuf,
    /// Graphs to validate on; without them the marks of the file, the fold or `val_fraction` decide
    #[serde(default, skip_serializing_if = "Option::is_none")]
    val: Option<PathBuf>,
    /// Graphs to test on
    #[serde(default, skip_serializing_if = "Option::is_none")]
    test: Option<PathBuf>,
    /// What the files hold; without it their extension says so
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<GraphFormat>,
    /// Table of edges that belongs to a table of nodes: two columns, or `source` and `target` and features
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edges: Option<PathBuf>,
    /// Column, key or SDF property that holds what is learnt; `label` if absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label_column: Option<String>,
    /// Column or key that says which part a node or graph belongs to; `split` if absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    split_column: Option<String>,
    /// Whether an edge leads one way only; if absent the file says so, and where it does not, edges lead both ways
    #[serde(default, skip_serializing_if = "Option::is_none")]
    directed: Option<bool>,
    /// Whether every node gets an edge to itself
    #[serde(default)]
    self_loops: bool,
    /// What becomes of an edge that is listed twice
    #[serde(default)]
    duplicate_edges: DuplicateEdges,
    /// Nodes up to this many edges apart are joined, with their distance as a feature of the edge; Ying et al. 2021 <https://arxiv.org/abs/2106.05234>
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    hops: usize,
    /// What the features of a node are divided by
    #[serde(default)]
    normalize: Normalize,
    /// What nodes are told of their place in the graph
    #[serde(default)]
    encodings: Encodings,
    /// Part of the training data held out for validation: graphs, labelled nodes or, where links are learnt, edges
    #[serde(default = "tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    val_fraction: f64,
    /// Part of the data set aside for a test, drawn before anything else
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    test_fraction: f64,
    /// Which of the folds is set aside for a test, from 1
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fold: Option<usize>,
    /// How many folds the seed makes, alike in classes; 10 if absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folds: Option<usize>,
    /// Folder of published folds, `train_idx-K.txt` and `test_idx-K.txt` with a number of a graph a line, from 0
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fold_files: Option<PathBuf>,
    /// What happens to a graph that cannot be read, in JSON lines and molecules; in other formats one bad graph spoils the file
    #[serde(default)]
    on_error: OnError,
    /// Most graphs that `on_error = "skip"` leaves out of one file
    #[serde(default = "max_skipped")]
    max_skipped: u64,
    /// How many graphs a `generated:` source makes
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generate: Option<Generate>,
}

fn max_skipped() -> u64 {
    MAX_SKIPPED
}

fn one() -> usize {
    1
}

fn tenth() -> f64 {
    0.1
}

impl TryFrom<RawGraphDataConfig> for GraphDataConfig {
    type Error = GraphConfigError;

    fn try_from(raw: RawGraphDataConfig) -> Result<Self, GraphConfigError> {
        let paths = [Some(&raw.path), raw.val.as_ref(), raw.test.as_ref()];
        if paths
            .into_iter()
            .flatten()
            .any(|p| p.as_os_str().is_empty())
        {
            return Err(GraphConfigError::EmptyPath);
        }
        let config = Self(raw);
        let raw = &config.0;
        match (config.recipe()?, raw.generate) {
            (Some(_), None) => {
                return Err(GraphConfigError::Generate(
                    "a generated source needs the number of its graphs: generate = { train = 1000, val = 100, test = 100 }",
                ));
            }
            (None, Some(_)) => {
                return Err(GraphConfigError::Generate(
                    "`generate` is for a path such as \"generated:sbm-pattern\"",
                ));
            }
            _ => {}
        }
        if let Some(generate) = raw.generate {
            generate.check(config.recipe()?)?;
        }
        if !(1..=MAX_HOPS).contains(&raw.hops) {
            return Err(out_of_range("hops", raw.hops as f64, "1 to 16"));
        }
        for (key, n) in [
            ("encodings.laplacian", raw.encodings.laplacian),
            ("encodings.random_walk", raw.encodings.random_walk),
            ("encodings.degree", raw.encodings.degree),
        ] {
            if n > MAX_ENCODING {
                return Err(out_of_range(key, n as f64, "0 to 256"));
            }
        }
        for (key, fraction) in [
            ("val_fraction", raw.val_fraction),
            ("test_fraction", raw.test_fraction),
        ] {
            if !(0.0..1.0).contains(&fraction) {
                return Err(out_of_range(key, fraction, "[0, 1)"));
            }
        }
        if raw.val_fraction + raw.test_fraction >= 1.0 {
            let (val, test) = (raw.val_fraction, raw.test_fraction);
            return Err(GraphConfigError::NothingLeft { val, test });
        }
        config.check_folds()?;
        Ok(config)
    }
}

impl From<GraphDataConfig> for RawGraphDataConfig {
    fn from(config: GraphDataConfig) -> Self {
        config.0
    }
}

impl GraphDataConfig {
    /// The `path` that stands for Zachary's karate club.
    pub const KARATE: &str = "karate";
    /// What a `path` starts with whose graphs are made.
    pub const GENERATED: &str = "generated:";

    fn check_folds(&self) -> Result<(), GraphConfigError> {
        let raw = &self.0;
        let refuse = |message: String| Err(GraphConfigError::Folds(message));
        let Some(fold) = raw.fold else {
            return match (&raw.folds, &raw.fold_files) {
                (None, None) => Ok(()),
                (Some(folds), _) => refuse(format!(
                    "folds = {folds} without `fold`; say which is set aside: fold = 1"
                )),
                (_, Some(_)) => {
                    refuse("`fold_files` without `fold`; say which is set aside: fold = 1".into())
                }
            };
        };
        if raw.fold_files.is_some() && raw.folds.is_some() {
            return refuse("`folds` and `fold_files` both make folds; remove one".into());
        }
        let folds = raw.folds.unwrap_or(10);
        if !(2..=1000).contains(&folds) {
            return refuse(format!("folds = {folds} is not in 2 to 1000"));
        }
        if fold == 0 || (raw.fold_files.is_none() && fold > folds) {
            return refuse(format!("fold = {fold} is not in 1 to {folds}"));
        }
        if raw.test.is_some() || raw.test_fraction > 0.0 {
            return refuse(
                "`fold` sets a test part aside already; remove `test` and `test_fraction`".into(),
            );
        }
        Ok(())
    }

    /// The recipe that `path` names, if it names one.
    pub(super) fn recipe(&self) -> Result<Option<Recipe>, GraphConfigError> {
        let path = self.0.path.to_string_lossy();
        let Some(name) = path.strip_prefix(Self::GENERATED) else {
            return Ok(None);
        };
        match name {
            "sbm-pattern" => Ok(Some(Recipe::Pattern)),
            "sbm-cluster" => Ok(Some(Recipe::Cluster)),
            "random" => Ok(Some(Recipe::Random)),
            _ => Err(GraphConfigError::UnknownRecipe { path: path.into() }),
        }
    }

    /// Graphs to train on.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Graphs to validate on, if they have a file of their own.
    pub fn val(&self) -> Option<&Path> {
        self.0.val.as_deref()
    }

    /// Graphs to test on, if they have a file of their own.
    pub fn test(&self) -> Option<&Path> {
        self.0.test.as_deref()
    }

    /// The format of every file, unless their extensions say so.
    pub fn format(&self) -> Option<GraphFormat> {
        self.0.format
    }

    /// The table of edges.
    pub fn edges(&self) -> Option<&Path> {
        self.0.edges.as_deref()
    }

    /// Column that holds what is learnt.
    pub fn label_column(&self) -> &str {
        self.0.label_column.as_deref().unwrap_or("label")
    }

    /// Whether the column of labels was named.
    pub(super) fn names_a_label(&self) -> bool {
        self.0.label_column.is_some()
    }

    /// Column that holds parts.
    pub fn split_column(&self) -> &str {
        self.0.split_column.as_deref().unwrap_or("split")
    }

    /// Whether edges lead one way, if the configuration says so.
    pub fn directed(&self) -> Option<bool> {
        self.0.directed
    }

    /// Whether every node gets an edge to itself.
    pub fn self_loops(&self) -> bool {
        self.0.self_loops
    }

    /// What becomes of an edge that is listed twice.
    pub fn duplicates(&self) -> DuplicateEdges {
        self.0.duplicate_edges
    }

    /// How far apart nodes are joined.
    pub fn hops(&self) -> usize {
        self.0.hops
    }

    /// What the features of a node are divided by.
    pub fn normalize(&self) -> Normalize {
        self.0.normalize
    }

    /// What nodes are told of their place in the graph.
    pub fn encodings(&self) -> Encodings {
        self.0.encodings
    }

    /// Part of the training data held out for validation.
    pub fn val_fraction(&self) -> f64 {
        self.0.val_fraction
    }

    /// Part of the data set aside for a test.
    pub fn test_fraction(&self) -> f64 {
        self.0.test_fraction
    }

    /// Which fold of how many is set aside.
    pub fn fold(&self) -> Option<(usize, usize)> {
        self.0.fold.map(|fold| (fold, self.0.folds.unwrap_or(10)))
    }

    /// Folder of published folds.
    pub fn fold_files(&self) -> Option<&Path> {
        self.0.fold_files.as_deref()
    }

    /// Graphs left out of one file: none so far.
    pub(super) fn skips(&self) -> Skips {
        Skips::new(self.0.on_error, self.0.max_skipped)
    }

    /// How many graphs are made.
    pub fn generate(&self) -> Option<Generate> {
        self.0.generate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(value: Value) -> Result<GraphDataConfig, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn the_resolved_table_says_the_same() -> Result<(), String> {
        for table in [
            json!({"path": "karate"}),
            json!({"path": "a.tsv", "edges": "b.tsv", "self_loops": true, "normalize": "row",
                "encodings": {"laplacian": 4}, "directed": false, "hops": 3}),
            json!({"path": "m.txt", "fold": 3, "fold_files": "folds"}),
            json!({"path": "generated:sbm-pattern", "generate": {"train": 4, "seed": 2}}),
        ] {
            let config = parse(table)?;
            let resolved = serde_json::to_value(&config).map_err(|error| error.to_string())?;
            assert_eq!(parse(resolved)?, config);
        }
        Ok(())
    }

    #[test]
    fn nonsense_is_refused_with_key_and_value() {
        for (table, message) in [
            (json!({}), "missing field `path`"),
            (json!({"path": ""}), "path is empty"),
            (json!({"path": "generated:sbm"}), "generated:sbm"),
            (json!({"path": "generated:sbm-cluster"}), "generate = {"),
            (
                json!({"path": "a", "generate": {"train": 1}}),
                "`generate` is for",
            ),
            (
                json!({"path": "generated:random", "generate": {"train": 1}}),
                "random graphs need a size",
            ),
            (
                json!({"path": "generated:random", "generate": {"train": 1, "nodes": 3, "edges": 9}}),
                "generate.edges = 9",
            ),
            (
                json!({"path": "generated:sbm-cluster", "generate": {"train": 1, "nodes": 3}}),
                "the other recipes",
            ),
            (
                json!({"path": "generated:sbm-cluster", "generate": {"train": 0}}),
                "generate = 0",
            ),
            (json!({"path": "a", "hops": 0}), "hops = 0"),
            (
                json!({"path": "a", "val_fraction": 1.0}),
                "val_fraction = 1 ",
            ),
            (
                json!({"path": "a", "val_fraction": 0.5, "test_fraction": 0.5}),
                "leave nothing",
            ),
            (json!({"path": "a", "folds": 5}), "folds = 5 without"),
            (
                json!({"path": "a", "fold": 11}),
                "fold = 11 is not in 1 to 10",
            ),
            (json!({"path": "a", "fold": 0}), "fold = 0"),
            (
                json!({"path": "a", "fold": 1, "test": "b"}),
                "aside already",
            ),
            (
                json!({"path": "a", "fold": 1, "folds": 3, "fold_files": "b"}),
                "both make folds",
            ),
            (
                json!({"path": "a", "encodings": {"laplacian": 1000}}),
                "encodings.laplacian = 1000",
            ),
            (json!({"path": "a", "nodes": 4}), "unknown field `nodes`"),
        ] {
            let error = parse(table).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
