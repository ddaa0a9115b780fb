//! Random-walk encoding: how likely a walk returns; Dwivedi et al. 2021, §3.2
//! <https://arxiv.org/abs/2110.07875>.

use attn_core::mask::Csr;

use super::TooLarge;

/// Most products of walks that are followed: nodes times edges.
const LIMIT: usize = 1 << 33;

/// The chance that a walk from each node is back after 1, 2, ... `steps` steps,
/// `[n_nodes, steps]`: the diagonals of the powers of `A D⁻¹`.
///
/// A walk steps from a node to any that reads it, itself excepted; where it can go
/// nowhere it ends.
///
/// # Errors
///
/// If the walks would take too long to follow.
pub(super) fn returns(edges: &Csr, steps: usize) -> Result<Vec<f32>, TooLarge> {
    let n = edges.n_rows();
    if steps == 0 {
        return Ok(Vec::new());
    }
    let work = n.saturating_mul(edges.n_edges()).saturating_mul(steps);
    if work > LIMIT {
        return Err(TooLarge {
            n_nodes: n,
            limit: LIMIT / (edges.n_edges() * steps).max(1),
            what: "random_walk",
        });
    }
    // How many nodes read each: where a walk may go.
    let mut n_out = vec![0usize; n];
    for node in 0..n {
        for &source in edges.sources(node) {
            n_out[source as usize] += usize::from(source as usize != node);
        }
    }
    let share: Vec<f64> = n_out.iter().map(|&out| 1.0 / out.max(1) as f64).collect();
    let mut out = vec![0.0; n * steps];
    for start in 0..n {
        let mut here = vec![0.0; n];
        here[start] = 1.0;
        for step in 0..steps {
            let arrived = (0..n).map(|node| {
                let sources = edges.sources(node).iter().map(|&source| source as usize);
                let others = sources.filter(|&source| source != node);
                others.map(|source| here[source] * share[source]).sum()
            });
            here = arrived.collect::<Vec<f64>>();
            out[start * steps + step] = here[start] as f32;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a triangle a walk of two steps is back with 1/2, of three with 1/4.
    #[test]
    fn walks_on_a_triangle_return_as_often_as_counted_by_hand() {
        let (s, d) = ([0, 0, 1, 1, 2, 2, 0], [1, 2, 0, 2, 0, 1, 0]);
        let edges = Csr::from_edge_index(3, &s, &d).unwrap();
        let back = returns(&edges, 3).unwrap();
        for node in back.chunks(3) {
            assert_eq!(node, [0.0, 0.5, 0.25]);
        }
    }

    #[test]
    fn a_node_alone_never_returns() {
        let edges = Csr::from_edge_index(1, &[], &[]).unwrap();
        assert_eq!(returns(&edges, 2).unwrap(), [0.0, 0.0]);
    }
}
