//! What one call of a function records, cut out of the tape.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use candle_core::{Result, Tensor, TensorId, bail};

use super::walk::{Sum, back, consumers_first};
use super::{Origin, Recorded, next_number, recall};

/// The nodes that a function recorded between its result and what it was given.
pub(crate) struct Segment {
    output: Tensor,
    /// Each before those it takes its arguments from.
    nodes: Vec<Arc<Recorded>>,
    /// The tensors on the tape that they read and none of them made, in the order in
    /// which a walk from the result comes to them.
    leaves: Vec<Tensor>,
}

impl Segment {
    /// Calls `f`, which reads `inputs`, variables and what is not on the tape.
    ///
    /// # Errors
    ///
    /// That of `f`; and if there is anything else on the tape that `f` reads, or an
    /// operation of Candle's between these and its result.
    pub(crate) fn record(inputs: &[Tensor], f: impl FnOnce() -> Result<Tensor>) -> Result<Self> {
        let start = next_number();
        let output = f()?;
        let mut leaves = Vec::new();
        let input = |id| inputs.iter().find(|input| input.id() == id);
        if !output.track_op() || output.is_variable() || input(output.id()).is_some() {
            leaves.extend(output.track_op().then(|| output.clone()));
            let nodes = Vec::new();
            return Ok(Self {
                output,
                nodes,
                leaves,
            });
        }
        let within = |node: &Arc<Recorded>| node.number > start;
        let mut seen = HashSet::new();
        let mut leaf = |tensor: &Tensor| {
            if seen.insert(tensor.id()) {
                leaves.push(tensor.clone());
            }
            None
        };
        let parents = |id, origin: &Origin| match (input(id), origin) {
            (_, Origin::Constant) => Some(None),
            (Some(input), _) | (None, Origin::Variable(input)) => Some(leaf(input)),
            (None, Origin::Node(node)) => within(node).then(|| Some(node.clone())),
            (None, Origin::Foreign) => None,
        };
        let root = recall(output.id()).filter(within);
        let Some(nodes) = root.and_then(|root| consumers_first(&root, parents)) else {
            bail!(
                "a part of the tape begins at neither an input nor a variable, or an \
                 operation of Candle's is in it"
            );
        };
        Ok(Self {
            output,
            nodes,
            leaves,
        })
    }

    /// What the function returned.
    pub(crate) fn output(&self) -> &Tensor {
        &self.output
    }

    /// The tensors on the tape on which the result depends.
    pub(crate) fn leaves(&self) -> &[Tensor] {
        &self.leaves
    }

    /// Gradients of the leaves, but for those that went into their slots, given that of
    /// the result. Frees every node as soon as it is done.
    pub(crate) fn backward(self, grad: &Tensor) -> Result<HashMap<TensorId, Tensor>> {
        let seed = (self.output.id(), Sum::shared(grad.clone()));
        let nodes = self.nodes;
        // The graph would else hold on to all of them.
        drop(self.output);
        back(nodes, seed)
    }
}
