//! Our own way back through a graph that is made of our nodes alone.
//!
//! Candle's walk zeroes a tensor and adds to it for every edge, and keeps the whole
//! graph until the loss is dropped. This one moves a gradient where it is the only
//! one, adds further ones in place, and drops each node, with the activations that
//! only it still holds, when its gradients are out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, TensorId, bail};

use super::{Origin, Recorded, recall};
use crate::add::add_to;
use crate::profile::{self, Phase};

/// Gradients of `loss` with respect to the variables it depends on.
///
/// Does what `loss.backward()` does, to the bit, in less time and memory if all
/// operations between the variables and `loss` are of this crate; else it is that
/// call. Takes the loss by value, so that the graph can go while the walk proceeds.
///
/// # Shapes
///
/// - `loss`: a scalar
pub fn backward(loss: Tensor) -> Result<GradStore> {
    let Some(order) = own_order(&loss) else {
        return loss.backward();
    };
    let seed = (loss.id(), Sum::owned(loss.ones_like()?));
    drop(loss);
    let mut of_variables = GradStore::default();
    for (id, grad) in back(order, seed)? {
        of_variables.insert_id(id, grad);
    }
    Ok(of_variables)
}

/// Whether all operations between the variables and `loss` are of this crate, so that
/// [`backward`] goes its own way: a model's tests can hold it to that.
pub fn backward_is_own(loss: &Tensor) -> bool {
    own_order(loss).is_some()
}

/// The nodes from `loss` back to the variables, if there are no others.
fn own_order(loss: &Tensor) -> Option<Vec<Arc<Recorded>>> {
    let parents = |_, origin: &Origin| match origin {
        Origin::Constant | Origin::Variable(_) => Some(None),
        Origin::Node(parent) => Some(Some(parent.clone())),
        Origin::Foreign => None,
    };
    consumers_first(&recall(loss.id())?, parents)
}

/// Passes a gradient, that of the result of the first node, back through `order`;
/// returns those of the tensors that no node there made.
pub(super) fn back(
    mut order: Vec<Arc<Recorded>>,
    seed: (TensorId, Sum),
) -> Result<HashMap<TensorId, Tensor>> {
    let mut pending = HashMap::from([seed]);
    order.reverse();
    while let Some(node) = order.pop() {
        let Some((id, output)) = node.output.get() else {
            bail!("{} has no result", node.node.name());
        };
        let Some(Sum { grad, owned }) = pending.remove(id) else {
            bail!("no gradient reached {}", node.node.name());
        };
        let results = node.backward(output.as_ref(), &grad, owned)?;
        let times = |id| {
            let of = |t: &Tensor| usize::from(t.id() == id);
            of(&grad) + results.iter().flatten().map(of).sum::<usize>()
        };
        for (i, result) in results.iter().enumerate() {
            let Some(result) = result else { continue };
            // A node may hand its own gradient on, or one tensor to two arguments:
            // then nobody owns it.
            let sum = Sum {
                owned: times(result.id()) == 1,
                grad: result.clone(),
            };
            let (id, sum) = match pending.remove(&node.ids[i]) {
                None => (node.ids[i], sum),
                Some(before) => (node.ids[i], before.plus(sum)?),
            };
            pending.insert(id, sum);
        }
        profile::mark("sums of gradients", Phase::Backward);
    }
    Ok(pending
        .into_iter()
        .map(|(id, sum)| (id, sum.grad))
        .collect())
}

/// `root` and all nodes that it depends on, each before those it takes its arguments from.
/// `parent` is asked of every argument, in the order of the walk: which node to go on
/// from, if any, or `None` where there is no way.
pub(super) fn consumers_first(
    root: &Arc<Recorded>,
    mut parent: impl FnMut(TensorId, &Origin) -> Option<Option<Arc<Recorded>>>,
) -> Option<Vec<Arc<Recorded>>> {
    let mut order = Vec::new();
    let mut seen = HashSet::from([Arc::as_ptr(root)]);
    // A node, and how many of its arguments have been followed.
    let mut path = vec![(root.clone(), 0)];
    while let Some((node, next)) = path.pop() {
        match node.origins.get(next) {
            None => order.push(node),
            Some(origin) => {
                let parent = parent(node.ids[next], origin)?;
                path.push((node, next + 1));
                if let Some(parent) = parent.filter(|p| seen.insert(Arc::as_ptr(p))) {
                    path.push((parent, 0));
                }
            }
        }
    }
    order.reverse();
    Some(order)
}

/// Gradients added up so far.
pub(super) struct Sum {
    grad: Tensor,
    /// Nobody else reads this memory: it may be added to in place.
    owned: bool,
}

impl Sum {
    fn owned(grad: Tensor) -> Self {
        Self { grad, owned: true }
    }

    /// A gradient that somebody else may read, too.
    pub(super) fn shared(grad: Tensor) -> Self {
        let owned = false;
        Self { grad, owned }
    }

    fn plus(self, other: Self) -> Result<Self> {
        let (into, from) = if self.owned {
            (self, other)
        } else {
            (other, self)
        };
        if into.owned && into.grad.is_contiguous() {
            let from = from.grad.contiguous()?;
            into.grad.inplace_op2(&from, &AddInPlace)?;
            return Ok(into);
        }
        Ok(Self::owned((into.grad + from.grad)?))
    }
}

struct AddInPlace;

impl InplaceOp2 for AddInPlace {
    fn name(&self) -> &'static str {
        "add-in-place"
    }

    fn cpu_fwd(
        &self,
        sum: &mut CpuStorage,
        to: &Layout,
        term: &CpuStorage,
        from: &Layout,
    ) -> Result<()> {
        let (Some(to), Some(from)) = (to.contiguous_offsets(), from.contiguous_offsets()) else {
            bail!("gradients to add must be contiguous");
        };
        match (sum, term) {
            (CpuStorage::F32(sum), CpuStorage::F32(term)) => {
                add_to(&mut sum[to.0..to.1], &term[from.0..from.1])
            }
            (CpuStorage::F64(sum), CpuStorage::F64(term)) => {
                add_to(&mut sum[to.0..to.1], &term[from.0..from.1])
            }
            _ => bail!("gradients to add must both be f32 or both f64"),
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        sum: &mut CudaStorage,
        to: &Layout,
        term: &CudaStorage,
        from: &Layout,
    ) -> Result<()> {
        crate::add::add_on_gpu(sum, to, term, from)
    }
}
