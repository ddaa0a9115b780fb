//! Graphs that are made by a recipe: which, how many and how large.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::invalid::{GraphConfigError, out_of_range};

/// Most graphs that are made of one recipe.
const MAX_GRAPHS: usize = 1 << 20;
/// Most nodes of a random graph.
const MAX_NODES: usize = 1 << 24;
/// Most edges of a random graph.
const MAX_EDGES: usize = 1 << 28;
/// Most numbers of a node and most classes of a random graph.
const MAX_FEATURES: usize = 1 << 16;

/// Graphs that are made, not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recipe {
    Pattern,
    Cluster,
    Random,
}

/// How many graphs a recipe makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// Graphs to train on
    #[schemars(range(min = 1))]
    pub train: usize,
    /// Graphs to validate on
    #[serde(default)]
    pub val: usize,
    /// Graphs to test on
    #[serde(default)]
    pub test: usize,
    /// Seed of the graphs, apart from that of the run
    #[serde(default)]
    pub seed: u64,
    /// `generated:random`: nodes of each graph
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub nodes: Option<usize>,
    /// `generated:random`: edges of each graph, each one way
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edges: Option<usize>,
    /// `generated:random`: numbers of each node; 1 if absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub features: Option<usize>,
    /// `generated:random`: classes of nodes; 2 if absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub classes: Option<usize>,
}

impl Generate {
    /// Checks how many graphs there are, and the sizes that only random ones have.
    pub(super) fn check(&self, recipe: Option<Recipe>) -> Result<(), GraphConfigError> {
        let n = [self.train, self.val, self.test];
        let most = n.into_iter().max().unwrap_or(0);
        if self.train == 0 || most > MAX_GRAPHS {
            let value = if self.train == 0 { 0 } else { most };
            return Err(out_of_range("generate", value as f64, "1 to 1,048,576"));
        }
        let sizes = [self.nodes, self.edges, self.features, self.classes];
        if recipe != Some(Recipe::Random) {
            return match sizes.iter().any(Option::is_some) {
                true => Err(GraphConfigError::Generate(
                    "nodes, edges, features and classes are for path = \"generated:random\"; the other recipes have their own",
                )),
                false => Ok(()),
            };
        }
        let (Some(nodes), Some(edges)) = (self.nodes, self.edges) else {
            return Err(GraphConfigError::Generate(
                "random graphs need a size: generate = { train = 1, nodes = 2708, edges = 10556 }",
            ));
        };
        if !(1..=MAX_NODES).contains(&nodes) {
            return Err(out_of_range("generate.nodes", nodes as f64, "1 to 2^24"));
        }
        // A graph that is nearly full would be drawn for ever.
        if edges > nodes.saturating_mul(nodes) / 2 || edges > MAX_EDGES {
            return Err(out_of_range(
                "generate.edges",
                edges as f64,
                "0 to half of the pairs of nodes, at most 2^28",
            ));
        }
        let (features, classes) = (self.features.unwrap_or(1), self.classes.unwrap_or(2));
        if !(1..=MAX_FEATURES).contains(&features) {
            return Err(out_of_range(
                "generate.features",
                features as f64,
                "1 to 65,536",
            ));
        }
        if !(2..=MAX_FEATURES).contains(&classes) {
            return Err(out_of_range(
                "generate.classes",
                classes as f64,
                "2 to 65,536",
            ));
        }
        Ok(())
    }
}
