//! What nodes can be told of their place in the graph, and edges of their length.

mod degree;
mod distance;
mod laplacian;
mod random_walk;
mod rings;

use attn_core::mask::Csr;

use super::Encodings;
use crate::Result;
pub(super) use distance::within_hops;
pub(super) use laplacian::flip;
pub(super) use rings::rings;

/// The encodings of every node, `[n_nodes, encodings.width()]`: eigenvectors, walks,
/// degrees.
///
/// # Errors
///
/// If the graph is too large for eigenvectors.
pub(super) fn encode(edges: &Csr, encodings: Encodings) -> Result<Vec<f32>, TooLarge> {
    let (n, width) = (edges.n_rows(), encodings.width());
    let mut out = vec![0.0; n * width];
    let mut at = 0;
    for (columns, values) in [
        (
            encodings.laplacian,
            laplacian::eigenvectors(edges, encodings.laplacian)?,
        ),
        (
            encodings.random_walk,
            random_walk::returns(edges, encodings.random_walk)?,
        ),
        (encodings.degree, degree::buckets(edges, encodings.degree)),
    ] {
        for node in 0..n {
            out[node * width + at..node * width + at + columns]
                .copy_from_slice(&values[node * columns..(node + 1) * columns]);
        }
        at += columns;
    }
    Ok(out)
}

/// More nodes than an encoding is computed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge {
    pub(super) n_nodes: usize,
    pub(super) limit: usize,
    pub(super) what: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_stand_side_by_side() {
        let edges = Csr::from_edge_index(3, &[0, 1, 1, 2], &[1, 0, 2, 1]).unwrap();
        let encodings = Encodings {
            laplacian: 1,
            random_walk: 2,
            degree: 3,
        };
        let rows = encode(&edges, encodings).unwrap();
        // A walk from the middle of a path is back after two steps for sure.
        assert_eq!(rows[6 + 1..6 + 3], [0.0, 1.0]);
        assert_eq!(rows[6 + 3..6 + 6], [0.0, 0.0, 1.0]);
        assert_eq!(rows[1..3], [0.0, 0.5]);
        assert_eq!(rows.len(), 18);
    }
}
