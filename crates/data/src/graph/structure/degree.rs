//! Degree centrality: how many edges a node has; Ying et al. 2021, §3.1.1
//! <https://arxiv.org/abs/2106.05234>.

use attn_core::mask::Csr;

/// One-hot degrees, `[n_nodes, buckets]`; the last bucket is for all degrees above.
///
/// An edge of a node to itself does not count. A linear map of these rows is an embedding
/// of the degree.
pub(super) fn buckets(edges: &Csr, buckets: usize) -> Vec<f32> {
    let mut out = vec![0.0; edges.n_rows() * buckets];
    for (node, row) in out.chunks_exact_mut(buckets.max(1)).enumerate() {
        let sources = edges.sources(node).iter();
        let degree = sources.filter(|&&source| source as usize != node).count();
        row[degree.min(buckets - 1)] = 1.0;
    }
    out
}
