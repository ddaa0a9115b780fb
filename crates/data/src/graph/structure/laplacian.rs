//! Eigenvectors of the Laplacian: coordinates in which near nodes are near; Dwivedi &
//! Bresson 2020, §2.2 <https://arxiv.org/abs/2012.09699>.

use attn_core::mask::Csr;
use faer::{Mat, Side};
use kernels::rng::Key;

use super::TooLarge;

/// Most nodes of a graph that is taken apart: the time grows with the cube.
const LIMIT: usize = 4096;

/// The eigenvectors of `I - D^(-1/2) A D^(-1/2)` that belong to the smallest eigenvalues,
/// but the first, `[n_nodes, columns]`; zeros where the graph has no more.
///
/// Edges count both ways, and none from a node to itself. The sign of an eigenvector means
/// nothing: the first of its largest elements is made positive here, and training flips
/// signs at random ([`flip`]).
///
/// # Errors
///
/// If there are too many nodes.
pub(super) fn eigenvectors(edges: &Csr, columns: usize) -> Result<Vec<f32>, TooLarge> {
    let n = edges.n_rows();
    let mut out = vec![0.0; n * columns];
    if columns == 0 {
        return Ok(out);
    }
    if n > LIMIT {
        return Err(TooLarge {
            n_nodes: n,
            limit: LIMIT,
            what: "laplacian",
        });
    }
    let mut adjacency = Mat::<f64>::zeros(n, n);
    for i in 0..n {
        for &source in edges.sources(i) {
            let j = source as usize;
            if i != j {
                (adjacency[(i, j)], adjacency[(j, i)]) = (1.0, 1.0);
            }
        }
    }
    let root = |degree: f64| {
        if degree > 0.0 {
            degree.sqrt().recip()
        } else {
            0.0
        }
    };
    let scale: Vec<f64> = (0..n)
        .map(|i| root((0..n).map(|j| adjacency[(i, j)]).sum()))
        .collect();
    let laplacian = Mat::from_fn(n, n, |i, j| {
        f64::from(u8::from(i == j)) - scale[i] * adjacency[(i, j)] * scale[j]
    });
    // Fails only where a number is not finite, and none is.
    let Ok(decomposed) = laplacian.self_adjoint_eigen(Side::Lower) else {
        return Ok(out);
    };
    let vectors = decomposed.U();
    for column in 0..columns.min(n.saturating_sub(1)) {
        let vector: Vec<f64> = (0..n).map(|i| vectors[(i, column + 1)]).collect();
        let largest = vector.iter().fold(0.0f64, |max, x| max.max(x.abs()));
        let leading = vector.iter().find(|x| x.abs() > largest * (1.0 - 1e-6));
        let sign = leading.map_or(1.0, |x| x.signum());
        for (i, x) in vector.iter().enumerate() {
            out[i * columns + column] = (sign * x) as f32;
        }
    }
    Ok(out)
}

/// Turns the sign of each of the first `columns` of `encoding` or leaves it, one draw a
/// column.
///
/// # Shapes
///
/// - `encoding`: `[n_nodes, width]`
pub(in crate::graph) fn flip(encoding: &mut [f32], width: usize, columns: usize, key: Key) {
    for column in 0..columns {
        if key.word(column as u64) & 1 == 1 {
            for row in encoding.chunks_exact_mut(width) {
                row[column] = -row[column];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The defining equation, on a ring with a tail, whose eigenvalues are distinct.
    #[test]
    fn each_column_is_an_eigenvector_and_they_are_orthonormal() {
        let pairs = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (4, 5), (5, 6)];
        let (s, d): (Vec<u32>, Vec<u32>) =
            pairs.iter().flat_map(|&(a, b)| [(a, b), (b, a)]).unzip();
        let edges = Csr::from_edge_index(7, &s, &d).unwrap();
        let k = 3;
        let vectors = eigenvectors(&edges, k).unwrap();
        let degree = |i: usize| edges.sources(i).len() as f32;
        let mut before = 0.0;
        for c in 0..k {
            let x: Vec<f32> = (0..7).map(|i| vectors[i * k + c]).collect();
            let times: Vec<f32> = (0..7)
                .map(|i| {
                    let read = edges
                        .sources(i)
                        .iter()
                        .map(|&j| x[j as usize] / (degree(i) * degree(j as usize)).sqrt());
                    x[i] - read.sum::<f32>()
                })
                .collect();
            let value: f32 = x.iter().zip(&times).map(|(a, b)| a * b).sum();
            assert!(value > before, "{value} after {before}");
            before = value;
            for (a, b) in x.iter().zip(&times) {
                assert!((value * a - b).abs() < 1e-5, "{value}: {x:?} {times:?}");
            }
            for other in 0..k {
                let dot: f32 = (0..7).map(|i| x[i] * vectors[i * k + other]).sum();
                assert!((dot - f32::from(u8::from(other == c))).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn small_graphs_are_padded_and_nodes_alone_are_finite() {
        let edges = Csr::from_edge_index(2, &[], &[]).unwrap();
        let vectors = eigenvectors(&edges, 4).unwrap();
        assert_eq!(vectors.len(), 8);
        assert!(vectors.iter().all(|x| x.is_finite()));
        assert!(vectors[1..4].iter().all(|&x| x == 0.0));
    }
}
