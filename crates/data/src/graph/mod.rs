//! Graphs: files to batches of nodes and edges.
//!
//! ```text
//! read, generate -> Draft -> Graph -> prepare (encodings, hops, self loops) -> Samples
//! ```
//!
//! - [`GraphDataConfig`] is the `[data]` table; [`GraphData`] is what it opens.
//! - [`Schema`] is what a model must know of its data to read other graphs alike: names of
//!   categories and classes, and the scale of numbers.
//! - Formats: [`GraphFormat`]. Recipes: `generated:sbm-pattern` and `generated:sbm-cluster`
//!   after Dwivedi et al. 2020 <https://arxiv.org/abs/2003.00982>, and `karate`.
//!
//! An edge leads from a source to a destination, which reads it. Unless a file or the
//! configuration says that edges are directed, they lead both ways. An edge that is listed
//! twice is refused, or merged on request; one from a node to itself is kept. A node
//! without edges is fine: it reads nothing, unless `self_loops` lets it read itself.

mod at;
mod choices;
mod config;
mod cut;
mod draft;
mod generate;
mod invalid;
mod links;
mod load;
mod names;
mod open;
mod prepare;
mod read;
mod recipe;
mod samples;
mod set;
mod split;
mod structure;

pub use choices::{DuplicateEdges, Encodings, GraphFormat, Normalize};
pub use config::GraphDataConfig;
pub use invalid::GraphConfigError;
pub use open::{GraphData, GraphTask, graphs_of_file};
pub use recipe::Generate;
pub use set::{Columns, Scale, Schema};
