//! Links to be predicted: which are told, which are asked, and pairs that are none.

use attn_core::mask::Csr;
use kernels::rng::Key;

use super::set::{Columns, Graph, Values};
use super::split::{Cut, cut_off};

/// Draws after which a graph counts as too full for a pair that is no link.
const TRIES: u64 = 100;

/// The links of one graph: both ways are one link, and none leads from a node to itself.
pub(super) struct Cutting {
    /// Learnt from, and told to the model.
    pub(super) train: Vec<[u32; 2]>,
    /// Chosen by, and kept from the model.
    pub(super) val: Vec<[u32; 2]>,
    /// Set aside, and kept from the model.
    pub(super) test: Vec<[u32; 2]>,
}

/// Shares out the links of `edges` at random.
pub(super) fn cut(edges: &Csr, val: f64, test: f64, seed: u64) -> Cutting {
    let mut links = Vec::new();
    for node in 0..edges.n_rows() {
        for &source in edges.sources(node) {
            // Of two ways the one from the lower number stands for both.
            let back = edges.contains(source as usize, node);
            if (source as usize) < node || (!back && source as usize != node) {
                links.push([source, node as u32]);
            }
        }
    }
    let none = |n| vec![0u32; n];
    let is_test = cut_off(&none(links.len()), test, seed, Cut::Test);
    let (test, rest): (Vec<_>, Vec<_>) = links.into_iter().zip(is_test).partition(|l| l.1);
    // Of what is left, so that it is `val` of all.
    let share = if rest.is_empty() {
        0.0
    } else {
        val * (rest.len() + test.len()) as f64 / rest.len() as f64
    };
    let is_val = cut_off(&none(rest.len()), share.min(1.0), seed, Cut::Val);
    let (val, train): (Vec<_>, Vec<_>) = rest.into_iter().zip(is_val).partition(|l| l.1);
    Cutting {
        train: train.into_iter().map(|(link, _)| link.0).collect(),
        val: val.into_iter().map(|(link, _)| link.0).collect(),
        test: test.into_iter().map(|(link, _)| link).collect(),
    }
}

/// `graph` with the edges of `links` alone, either way, and those of nodes to themselves.
pub(super) fn with_links(graph: &mut Graph, links: &[[u32; 2]], columns: &Columns) {
    let mut kept: Vec<[u32; 2]> = links.iter().flat_map(|&[a, b]| [[a, b], [b, a]]).collect();
    kept.sort_unstable();
    let edges = &graph.edges;
    let (mut offsets, mut sources) = (vec![0], Vec::new());
    let mut values = Values::default();
    for node in 0..edges.n_rows() {
        let rows = edges.edges(node);
        for (&source, row) in edges.sources(node).iter().zip(rows) {
            let itself = source as usize == node;
            if itself || kept.binary_search(&[source, node as u32]).is_ok() {
                sources.push(source);
                values.push_from(&graph.edge_values, Some(row), columns);
            }
        }
        offsets.push(sources.len() as u32);
    }
    graph.edges = Csr::new(offsets, sources).expect("some of rows that were sorted");
    graph.edge_values = values;
}

/// `n` pairs of different nodes with no edge of `all` either way, drawn by `key`; fewer
/// where the graph is nearly full. A pair may come twice.
pub(super) fn none(all: &Csr, n: usize, key: Key) -> Vec<[u32; 2]> {
    let n_nodes = all.n_rows() as u64;
    let below = |word: u32| ((u64::from(word) * n_nodes) >> 32) as u32;
    let mut pairs = Vec::with_capacity(n);
    // Far from the draws of signs, which start at 0.
    let mut block = 1u64 << 32;
    for _ in 0..n {
        for _ in 0..TRIES {
            let words = key.block(block);
            block += 1;
            let (a, b) = (below(words[0]), below(words[1]));
            let (i, j) = (a as usize, b as usize);
            if a != b && !all.contains(i, j) && !all.contains(j, i) {
                pairs.push([a, b]);
                break;
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::rng::Domain;

    fn ring(n: u32) -> Csr {
        let (s, d): (Vec<u32>, Vec<u32>) = (0..n)
            .flat_map(|i| [(i, (i + 1) % n), ((i + 1) % n, i)])
            .unzip();
        Csr::from_edge_index(n as usize, &s, &d).unwrap()
    }

    #[test]
    fn every_link_is_in_one_part() {
        let cutting = cut(&ring(40), 0.1, 0.2, 3);
        let sizes = [cutting.train.len(), cutting.val.len(), cutting.test.len()];
        assert_eq!(sizes, [28, 4, 8]);
        let mut all = [cutting.train, cutting.val, cutting.test].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 40);
    }

    #[test]
    fn pairs_that_are_none_are_none() {
        let all = ring(12);
        let key = Key {
            seed: 1,
            domain: Domain::Graphs,
            step: 0,
            site: 0,
        };
        let pairs = none(&all, 200, key);
        assert_eq!(pairs.len(), 200);
        assert!(
            pairs
                .iter()
                .all(|&[a, b]| a != b && !all.contains(a as usize, b as usize))
        );
        assert_eq!(pairs, none(&all, 200, key));
        assert_ne!(pairs, none(&all, 200, Key { step: 1, ..key }));
        // In a triangle everything is linked.
        assert!(none(&ring(3), 5, key).is_empty());
    }
}
