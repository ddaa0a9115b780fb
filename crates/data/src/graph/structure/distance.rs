//! Joining nodes that are a few edges apart.

use std::collections::VecDeque;

use attn_core::mask::Csr;

/// Most edges that joining may make.
const LIMIT: usize = 1 << 28;

/// For every node the nodes from which at most `hops` edges lead to it, ascending, with
/// their distance; itself only if it has an edge to itself, at distance 1.
///
/// `None` if there are too many.
///
/// The distance is a feature of the edge, which a model turns into a bias of the score:
/// the spatial encoding of Ying et al. 2021, §3.1.2 <https://arxiv.org/abs/2106.05234>.
pub(in crate::graph) fn within_hops(edges: &Csr, hops: usize) -> Option<Vec<Vec<(u32, u32)>>> {
    let n = edges.n_rows();
    let mut total = 0;
    let mut distance = vec![0u32; n];
    let mut all = Vec::with_capacity(n);
    for node in 0..n {
        let mut reached: Vec<(u32, u32)> = Vec::new();
        let mut queue = VecDeque::from([node]);
        while let Some(at) = queue.pop_front() {
            let next = distance[at] + 1;
            if next as usize > hops {
                break;
            }
            for &source in edges.sources(at) {
                let source_row = source as usize;
                if source_row != node && distance[source_row] == 0 {
                    distance[source_row] = next;
                    reached.push((source, next));
                    queue.push_back(source_row);
                }
            }
        }
        for &(source, _) in &reached {
            distance[source as usize] = 0;
        }
        if edges.contains(node, node) {
            reached.push((node as u32, 1));
        }
        reached.sort_unstable();
        total += reached.len();
        if total > LIMIT {
            return None;
        }
        all.push(reached);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_a_path_are_joined_up_to_the_last_hop() {
        let edges = Csr::from_edge_index(4, &[0, 1, 1, 2, 2, 3], &[1, 0, 2, 1, 3, 2]).unwrap();
        let joined = within_hops(&edges, 2).unwrap();
        assert_eq!(joined[0], [(1, 1), (2, 2)]);
        assert_eq!(joined[1], [(0, 1), (2, 1), (3, 2)]);
        let all = within_hops(&edges, 9).unwrap();
        assert_eq!(all[3], [(0, 3), (1, 2), (2, 1)]);
    }
}
