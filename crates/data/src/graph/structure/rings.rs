//! Which edges lie on a ring.

/// Whether each of `edges` lies on a cycle, that is, is no bridge; edges lead both ways.
///
/// Two edges between the same nodes are a cycle. Tarjan 1974
/// <https://doi.org/10.1016/0020-0190(74)90003-9>, without recursion.
pub(in crate::graph) fn rings(n_nodes: usize, edges: &[[u32; 2]]) -> Vec<bool> {
    let mut neighbours = vec![Vec::new(); n_nodes];
    for (e, &[a, b]) in edges.iter().enumerate() {
        neighbours[a as usize].push((b as usize, e));
        neighbours[b as usize].push((a as usize, e));
    }
    const UNSEEN: usize = usize::MAX;
    let (mut found, mut low) = (vec![UNSEEN; n_nodes], vec![UNSEEN; n_nodes]);
    let mut in_ring = vec![true; edges.len()];
    let mut time = 0;
    for root in 0..n_nodes {
        if found[root] != UNSEEN {
            continue;
        }
        // Each entry: a node, the edge that led to it, and how many neighbours were tried.
        let mut path = vec![(root, UNSEEN, 0)];
        (found[root], low[root]) = (time, time);
        time += 1;
        while let Some((node, via, tried)) = path.last_mut() {
            let (node, via) = (*node, *via);
            if let Some(&(next, e)) = neighbours[node].get(*tried) {
                *tried += 1;
                if e == via {
                    continue;
                }
                if found[next] == UNSEEN {
                    (found[next], low[next]) = (time, time);
                    time += 1;
                    path.push((next, e, 0));
                } else {
                    low[node] = low[node].min(found[next]);
                }
            } else {
                path.pop();
                if let Some(&(parent, ..)) = path.last() {
                    low[parent] = low[parent].min(low[node]);
                    in_ring[via] = low[node] <= found[parent];
                }
            }
        }
    }
    in_ring
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_of_a_triangle_is_no_ring() {
        let edges = [[0, 1], [1, 2], [2, 0], [2, 3], [3, 4]];
        assert_eq!(rings(6, &edges), [true, true, true, false, false]);
        assert_eq!(rings(2, &[[0, 1], [1, 0]]), [true, true]);
        assert_eq!(rings(2, &[[0, 1], [1, 1]]), [false, true]);
    }
}
