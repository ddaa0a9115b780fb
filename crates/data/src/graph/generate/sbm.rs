//! Graphs of the stochastic block model: PATTERN and CLUSTER of Dwivedi et al. 2020,
//! appendix A <https://arxiv.org/abs/2003.00982>.
//!
//! Nodes of one community are joined with probability p, of two with q. The graphs are
//! drawn here anew, from a seed, with the numbers of the paper; they are not those of its
//! authors.

use attn_core::mask::Csr;
use kernels::rng::{Domain, Key};

use crate::Place;
use crate::graph::Generate;
use crate::graph::set::{Columns, Graph, Schema, Values};
use crate::order::Permutation;

/// Sizes of a community: at least the first, below the second.
const SIZES: (u32, u32) = (5, 35);

/// Graphs of the three parts, and what their values mean.
pub(in crate::graph) struct Made {
    pub(in crate::graph) schema: Schema,
    pub(in crate::graph) train: Vec<Graph>,
    pub(in crate::graph) val: Vec<Graph>,
    pub(in crate::graph) test: Vec<Graph>,
}

/// Draws one after the other, for one graph.
pub(super) struct Draws {
    key: Key,
    next: u64,
}

impl Draws {
    pub(super) fn new(seed: u64, part: u32, graph: u32) -> Self {
        let key = Key {
            seed,
            domain: Domain::Graphs,
            step: graph,
            site: part,
        };
        Self { key, next: 0 }
    }

    pub(super) fn uniform(&mut self) -> f32 {
        self.next += 1;
        self.key.uniform(self.next - 1)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.next += 1;
        let word = self.key.word(self.next - 1);
        ((u64::from(word) * u64::from(bound)) >> 32) as u32
    }
}

/// Which nodes of one graph are joined, a triangle row after row.
struct Joined {
    n: usize,
    pairs: Vec<bool>,
}

impl Joined {
    fn new(n: usize, mut joins: impl FnMut(usize, usize) -> bool) -> Self {
        let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
        let pairs = pairs.map(|(i, j)| joins(i, j)).collect();
        Self { n, pairs }
    }

    fn has(&self, i: usize, j: usize) -> bool {
        let (i, j) = (i.max(j), i.min(j));
        i != j && self.pairs[i * (i - 1) / 2 + j]
    }

    /// The edges after node `i` is called `place(i)`.
    fn relabelled(&self, order: &[usize]) -> Csr {
        let (mut offsets, mut sources) = (vec![0u32], Vec::new());
        for &i in order {
            let read = order.iter().enumerate().filter(|&(_, &j)| self.has(i, j));
            sources.extend(read.map(|(place, _)| place as u32));
            offsets.push(sources.len() as u32);
        }
        Csr::new(offsets, sources).expect("rows ascend and are in bounds")
    }
}

/// Communities, each with its number, one after the other.
fn communities(n: u32, draws: &mut Draws) -> Vec<u32> {
    let (least, bound) = SIZES;
    let sizes: Vec<u32> = (0..n).map(|_| least + draws.below(bound - least)).collect();
    let members = sizes.into_iter().zip(0..n);
    members
        .flat_map(|(size, community)| (0..size).map(move |_| community))
        .collect()
}

/// A random order of `n` nodes.
fn shuffled(n: usize, seed: u64) -> Vec<usize> {
    let order = Permutation::new(seed, u64::MAX - 1, n as u64);
    (0..n as u64).map(|i| order.at(i) as usize).collect()
}

/// A pattern that is hidden in graphs: its edges, and the value of each node.
struct Hidden {
    joined: Joined,
    values: Vec<u32>,
}

/// Find the nodes of a pattern hidden in a graph.
///
/// Five communities of 5 to 34 nodes, p = 0.5 and q = 0.35; one of 100 patterns of 20 nodes,
/// joined with 0.5 inside and to the rest. Every node has one of three values at random;
/// those of a pattern are drawn once. Class 1 is the pattern.
pub(in crate::graph) fn pattern(counts: Generate) -> Made {
    let (p, q) = (0.5, 0.35);
    const N_PATTERNS: u32 = 100;
    const N_NODES: usize = 20;
    const VALUES: u32 = 3;
    let hidden: Vec<Hidden> = (0..N_PATTERNS)
        .map(|i| {
            let mut draws = Draws::new(counts.seed, 3, i);
            Hidden {
                joined: Joined::new(N_NODES, |_, _| draws.uniform() < p),
                values: (0..N_NODES).map(|_| draws.below(VALUES)).collect(),
            }
        })
        .collect();
    let make = |part: u32, graph: u32| {
        let mut draws = Draws::new(counts.seed, part, graph);
        let hidden = &hidden[(graph % N_PATTERNS) as usize];
        let community = communities(5, &mut draws);
        let n = community.len();
        let joined = Joined::new(n + N_NODES, |i, j| match (i < n, j < n) {
            (true, true) => draws.uniform() < if community[i] == community[j] { p } else { q },
            (false, false) => hidden.joined.has(i - n, j - n),
            _ => draws.uniform() < 0.5,
        });
        let values = (0..n).map(|_| draws.below(VALUES)).collect::<Vec<_>>();
        let values: Vec<u32> = values
            .into_iter()
            .chain(hidden.values.iter().copied())
            .collect();
        let order = shuffled(n + N_NODES, mixed(counts.seed, part, graph));
        graph_of(
            &joined,
            &order,
            |i| values[i],
            |i| u32::from(i >= n),
            "generated:sbm-pattern",
        )
    };
    made(counts, VALUES, 2, make)
}

/// Tell communities apart, of each of which one member is known.
///
/// Six communities of 5 to 34 nodes, p = 0.55 and q = 0.25. The value of a node is 0 but
/// for one of each community, where it is the number of the community, from 1.
pub(in crate::graph) fn cluster(counts: Generate) -> Made {
    let (p, q) = (0.55, 0.25);
    const COMMUNITIES: u32 = 6;
    let make = |part: u32, graph: u32| {
        let mut draws = Draws::new(counts.seed, part, graph);
        let community = communities(COMMUNITIES, &mut draws);
        let n = community.len();
        let joined = Joined::new(n, |i, j| {
            draws.uniform() < if community[i] == community[j] { p } else { q }
        });
        let mut values = vec![0; n];
        for c in 0..COMMUNITIES {
            let first = community.partition_point(|&other| other < c);
            let size = community.partition_point(|&other| other <= c) - first;
            values[first + draws.below(size as u32) as usize] = c + 1;
        }
        let order = shuffled(n, mixed(counts.seed, part, graph));
        graph_of(
            &joined,
            &order,
            |i| values[i],
            |i| community[i],
            "generated:sbm-cluster",
        )
    };
    made(counts, COMMUNITIES + 1, COMMUNITIES as usize, make)
}

/// A seed of its own for every graph of every part.
fn mixed(seed: u64, part: u32, graph: u32) -> u64 {
    crate::order::draw(
        "graph nodes",
        seed,
        u64::from(part) << 32 | u64::from(graph),
        u64::MAX,
    )
}

fn graph_of(
    joined: &Joined,
    order: &[usize],
    value: impl Fn(usize) -> u32,
    class: impl Fn(usize) -> u32,
    name: &str,
) -> Graph {
    debug_assert_eq!(joined.n, order.len());
    let edges = joined.relabelled(order);
    Graph {
        at: Place::file(name),
        nodes: Values {
            rows: order.len(),
            categories: order.iter().map(|&i| value(i)).collect(),
            ..Values::default()
        },
        edge_values: Values {
            rows: edges.n_edges(),
            ..Values::default()
        },
        edges,
        encoding: Vec::new(),
        node_classes: order.iter().map(|&i| class(i)).collect(),
        node_parts: Vec::new(),
        pairs: Vec::new(),
        label: None,
        part: None,
    }
}

fn made(
    counts: Generate,
    n_values: u32,
    n_classes: usize,
    make: impl Fn(u32, u32) -> Graph,
) -> Made {
    let numbered = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<String>>();
    let schema = Schema {
        nodes: Columns {
            categories: vec![numbered(n_values as usize)],
            ..Columns::default()
        },
        classes: numbered(n_classes),
        ..Schema::default()
    };
    let part = |part, n: usize| (0..n as u32).map(|graph| make(part, graph)).collect();
    Made {
        schema,
        train: part(0, counts.train),
        val: part(1, counts.val),
        test: part(2, counts.test),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(seed: u64) -> Generate {
        Generate {
            train: 40,
            val: 2,
            test: 2,
            seed,
            nodes: None,
            edges: None,
            features: None,
            classes: None,
        }
    }

    /// Share of joined pairs among those that `which` picks, over all graphs.
    fn density(graphs: &[Graph], which: impl Fn(u32, u32) -> bool) -> f64 {
        let (mut joined, mut pairs) = (0, 0);
        for graph in graphs {
            for i in 0..graph.n_nodes() {
                for j in 0..i {
                    if which(graph.class_of(i), graph.class_of(j)) {
                        pairs += 1;
                        joined += usize::from(graph.edges.contains(i, j));
                    }
                }
            }
        }
        joined as f64 / pairs as f64
    }

    /// About 10⁵ pairs, so the deviation of a density is below 0.002.
    #[test]
    fn communities_are_as_dense_as_the_paper_has_them() {
        let made = cluster(counts(1));
        assert!((density(&made.train, |a, b| a == b) - 0.55).abs() < 0.01);
        assert!((density(&made.train, |a, b| a != b) - 0.25).abs() < 0.01);
        for graph in &made.train {
            assert!((30..=204).contains(&graph.n_nodes()));
            let known = graph.nodes.categories.iter().filter(|&&value| value > 0);
            assert_eq!(known.count(), 6);
        }
    }

    #[test]
    fn a_pattern_is_half_joined_to_itself_and_to_the_rest() {
        let made = pattern(counts(2));
        assert!((density(&made.train, |a, b| a + b == 1) - 0.5).abs() < 0.01);
        assert!((density(&made.train, |a, b| a + b == 2) - 0.5).abs() < 0.02);
        for graph in &made.train {
            let hidden = graph.node_classes.iter().filter(|&&class| class == 1);
            assert_eq!(hidden.count(), 20);
            for i in 0..graph.n_nodes() {
                for &j in graph.edges.sources(i) {
                    assert!(graph.edges.contains(j as usize, i));
                }
            }
        }
    }

    #[test]
    fn parts_and_seeds_differ_and_a_seed_repeats() {
        let (a, b) = (cluster(counts(5)), cluster(counts(5)));
        assert!(a.train == b.train && a.val == b.val && a.test == b.test);
        assert!(a.train[0] != a.val[0] && a.val[0] != a.test[0]);
        assert!(a.train[0] != cluster(counts(6)).train[0]);
        // Asking for fewer gives the first of more.
        let fewer = cluster(Generate {
            train: 3,
            ..counts(5)
        });
        assert!(fewer.train == a.train[..3]);
    }
}
