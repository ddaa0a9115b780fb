//! Models that read graphs: what nodes, graphs and pairs of nodes are.
//!
//! Layers first, then a head. The layers are those of a transformer whose nodes attend
//! along edges, everywhere in their graph, or both; or, to compare with, a GAT, a GCN or
//! an MLP that sees no edge.

mod block;
mod features;
mod gat;
mod gcn;
mod inputs;
mod layers;
mod mlp;
mod model;
mod transformer;
mod weighted;

pub use model::GraphModel;
