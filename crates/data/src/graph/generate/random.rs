//! Graphs without any sense, of any size: for benchmarks.

use attn_core::mask::Csr;

use super::sbm::{Draws, Made};
use crate::Place;
use crate::graph::Generate;
use crate::graph::set::{Columns, Graph, Part, Schema, Values};

/// Graphs with `nodes` nodes and `edges` different directed edges, all equally likely.
///
/// Numbers of nodes are uniform with mean 0 and variance 1, classes are drawn at random:
/// there is nothing to learn. All nodes of the training graphs are trained on.
pub(in crate::graph) fn random(counts: Generate) -> Made {
    let features = counts.features.unwrap_or(1);
    let classes = counts.classes.unwrap_or(2);
    let schema = Schema {
        nodes: Columns {
            numbers: features,
            ..Columns::default()
        },
        classes: (0..classes).map(|i| i.to_string()).collect(),
        ..Schema::default()
    };
    let part = |part: u32, kind: Part, n: usize| {
        let of = |graph| make(&counts, [part, graph], kind, features, classes as u32);
        (0..n as u32).map(of).collect()
    };
    Made {
        schema,
        train: part(0, Part::Train, counts.train),
        val: part(1, Part::Val, counts.val),
        test: part(2, Part::Test, counts.test),
    }
}

fn make(
    counts: &Generate,
    [part, graph]: [u32; 2],
    kind: Part,
    features: usize,
    classes: u32,
) -> Graph {
    let mut draws = Draws::new(counts.seed, 8 + part, graph);
    let n = counts.nodes.unwrap_or(1);
    let edges = edges(n as u32, counts.edges.unwrap_or(0), &mut draws);
    let half_width = 3f32.sqrt();
    let numbers = (0..n * features).map(|_| (2.0 * draws.uniform() - 1.0) * half_width);
    Graph {
        at: Place::file("generated:random"),
        nodes: Values {
            rows: n,
            numbers: numbers.collect(),
            ..Values::default()
        },
        edge_values: Values {
            rows: edges.n_edges(),
            ..Values::default()
        },
        edges,
        encoding: Vec::new(),
        node_classes: (0..n).map(|_| draws.below(classes)).collect(),
        node_parts: vec![kind; n],
        pairs: Vec::new(),
        label: None,
        part: None,
    }
}

/// `count` different pairs, drawn until there are enough.
fn edges(n: u32, count: usize, draws: &mut Draws) -> Csr {
    let mut pairs: Vec<[u32; 2]> = Vec::with_capacity(count);
    while pairs.len() < count {
        let missing = count - pairs.len();
        pairs.extend((0..missing).map(|_| [draws.below(n), draws.below(n)]));
        pairs.sort_unstable();
        pairs.dedup();
    }
    let (mut offsets, mut sources) = (vec![0u32; n as usize + 1], Vec::with_capacity(count));
    for [destination, source] in pairs {
        offsets[destination as usize + 1] += 1;
        sources.push(source);
    }
    for i in 0..n as usize {
        offsets[i + 1] += offsets[i];
    }
    Csr::new(offsets, sources).expect("pairs are sorted, distinct and in bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_has_the_size_that_was_asked_for() {
        let counts = Generate {
            train: 1,
            val: 0,
            test: 0,
            seed: 3,
            nodes: Some(50),
            edges: Some(1000),
            features: Some(4),
            classes: Some(7),
        };
        let made = random(counts);
        let graph = &made.train[0];
        assert_eq!((graph.n_nodes(), graph.edges.n_edges()), (50, 1000));
        assert_eq!(graph.nodes.numbers.len(), 200);
        assert!(graph.node_classes.iter().all(|&class| class < 7));
        assert!(random(counts).train == made.train);
    }
}
