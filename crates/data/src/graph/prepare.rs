//! What is added to graphs once they are read: encodings, far edges, edges to oneself.

use attn_core::mask::Csr;

use super::GraphDataConfig;
use super::set::{Graph, Schema, Values};
use super::structure::{encode, within_hops};
use crate::{Error, Result};

/// The column of categories that [`prepare`] adds where nodes far apart are joined.
pub(super) fn add_columns(schema: &mut Schema, config: &GraphDataConfig) {
    if config.hops() > 1 {
        let distances = (1..=config.hops()).map(|d| d.to_string());
        schema.edges.categories.push(distances.collect());
    }
}

/// Computes the encodings of `graph`, joins nodes that are a few edges apart, and adds
/// edges of nodes to themselves, as `config` says.
///
/// An edge that is added has no features but its distance. `schema` is that after
/// [`add_columns`].
///
/// # Errors
///
/// If the graph is too large for what is asked.
pub(super) fn prepare(graph: &mut Graph, schema: &Schema, config: &GraphDataConfig) -> Result<()> {
    let refuse = |reason, remedy| Error::Graph {
        at: graph.at.clone(),
        reason,
        remedy,
    };
    graph.encoding = encode(&graph.edges, config.encodings()).map_err(|too_large| {
        refuse(
            format!(
                "{} nodes, but encodings.{} is for up to {}",
                too_large.n_nodes, too_large.what, too_large.limit
            ),
            "leave the encoding out",
        )
    })?;
    if config.hops() > 1 {
        let Some(joined) = within_hops(&graph.edges, config.hops()) else {
            return Err(refuse(
                format!("too many nodes within {} hops", config.hops()),
                "use fewer hops",
            ));
        };
        join(graph, &joined, schema);
    }
    if config.self_loops() {
        add_self_loops(graph, schema);
    }
    Ok(())
}

/// Replaces the edges by `joined`: sources and distances of each node.
fn join(graph: &mut Graph, joined: &[Vec<(u32, u32)>], schema: &Schema) {
    let n_categories = schema.edges.categories.len();
    // As the file had them, before the column of distances came.
    let mut before = schema.edges.clone();
    before.categories.pop();
    let mut values = Values::default();
    let (mut offsets, mut sources) = (vec![0u32], Vec::new());
    for (node, reached) in joined.iter().enumerate() {
        let first = graph.edges.edges(node).start;
        let own = graph.edges.sources(node);
        for &(source, distance) in reached {
            let row = own.binary_search(&source).ok().map(|i| first + i);
            values.push_from(&graph.edge_values, row, &before);
            values.categories.push(distance - 1);
            sources.push(source);
        }
        offsets.push(sources.len() as u32);
    }
    debug_assert_eq!(values.categories.len(), values.rows * n_categories);
    graph.edges = Csr::new(offsets, sources).expect("rows ascend and are in bounds");
    graph.edge_values = values;
}

fn add_self_loops(graph: &mut Graph, schema: &Schema) {
    let mut values = Values::default();
    let (mut offsets, mut sources) = (vec![0u32], Vec::new());
    for node in 0..graph.n_nodes() {
        let rows = graph.edges.edges(node);
        let own = graph.edges.sources(node);
        let place = own.partition_point(|&source| (source as usize) < node);
        let is_there = own.get(place) == Some(&(node as u32));
        for (i, (&source, row)) in own.iter().zip(rows).enumerate() {
            if i == place && !is_there {
                sources.push(node as u32);
                values.push_from(&graph.edge_values, None, &schema.edges);
            }
            sources.push(source);
            values.push_from(&graph.edge_values, Some(row), &schema.edges);
        }
        if place == own.len() {
            sources.push(node as u32);
            values.push_from(&graph.edge_values, None, &schema.edges);
        }
        offsets.push(sources.len() as u32);
    }
    graph.edges = Csr::new(offsets, sources).expect("rows ascend and are in bounds");
    graph.edge_values = values;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;
    use crate::graph::at::At;
    use crate::graph::draft::{Draft, EdgePlace};
    use crate::graph::names::{Names, Row};

    fn config(keys: &str) -> GraphDataConfig {
        let table: serde_json::Value = serde_json::from_str(keys).unwrap();
        serde_json::from_value(table).unwrap()
    }

    /// 0 - 1 - 2, with a kind for each edge, and node 3 alone.
    fn path(names: &mut Names, config: &GraphDataConfig) -> Graph {
        let at = Place::file("test");
        let mut draft = Draft::new(at.clone());
        for _ in 0..4 {
            draft
                .node(names, &Row::default(), None, None, &At::place(&at))
                .unwrap();
        }
        for (i, (pair, kind)) in [([0, 1], "a"), ([1, 2], "b")].into_iter().enumerate() {
            let row = Row {
                categories: vec![kind.into()],
                ..Row::default()
            };
            draft.edge(names, pair, &row, EdgePlace::Index(i)).unwrap();
        }
        draft.finish(names, config).unwrap()
    }

    #[test]
    fn joined_nodes_know_their_distance_and_old_edges_keep_their_kind() {
        let config = config(r#"{"path": "x", "hops": 2, "self_loops": true}"#);
        let mut names = Names::default();
        let mut graph = path(&mut names, &config);
        let mut schema = names.schema.clone();
        add_columns(&mut schema, &config);
        prepare(&mut graph, &schema, &config).unwrap();
        assert_eq!(schema.edges.width(), 4);
        assert_eq!(graph.edges.sources(0), [0, 1, 2]);
        assert_eq!(graph.edges.sources(3), [3]);
        let mut rows = Vec::new();
        graph.edge_values.write(&schema.edges, &mut rows);
        // Itself, the neighbour by an `a`, and the node two edges away.
        assert_eq!(rows[..4], [0.0; 4]);
        assert_eq!(rows[4..8], [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(rows[8..12], [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(rows.len(), 4 * graph.edges.n_edges());
    }
}
