//! Operations of any number of arguments, recorded on Candle's tape.
//!
//! A [`Node`] is the backward pass of one fused operation; [`record`] puts its
//! result on the tape. From there two walks lead back:
//!
//! - Candle's own (`loss.backward()`), which knows our nodes as custom operations:
//!   [`candle`];
//! - ours ([`backward`]), for graphs made of our nodes alone, which adds gradients
//!   in place and frees each node as soon as it is done: [`walk`].
//!
//! Both call the same code with the same arguments. A [`segment`] is a part of the
//! tape, cut out to be dropped and made again.

mod candle;
mod segment;
mod walk;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use candle_core::op::BackpropOp;
use candle_core::{Result, Shape, Storage, Tensor, TensorId, bail};

use crate::Real;
use crate::grads::slots;
use crate::parallel::rows_new;
use crate::profile::{self, Phase};
use crate::storage::{take, tensor, values};
use candle::Handle;

pub(crate) use segment::Segment;
pub use walk::{backward, backward_is_own};

/// The backward pass of an operation.
pub(crate) trait Node: Send + Sync + 'static {
    /// Name in error messages.
    fn name(&self) -> &'static str;

    /// Whether the backward pass reads the result of the forward pass. If not, the result
    /// is freed as soon as the operations that read it are done with theirs.
    fn reads_output(&self) -> bool {
        false
    }

    /// Gradients of the arguments, in their order. `None` for one that is not
    /// wanted, or whose gradient went into its slot.
    ///
    /// Whoever comes next may write over their memory: nothing that is kept may lie in it.
    /// The gradient that the node was given may be handed on, as a clone of that tensor.
    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>>;
}

/// What the backward pass of a node sees.
pub(crate) struct Backward<'a> {
    /// The arguments, without their graph.
    pub(crate) args: &'a [Tensor],
    /// Identity of each argument, by which its gradient slot is found.
    pub(crate) ids: &'a [TensorId],
    /// Which arguments need a gradient.
    pub(crate) wanted: &'a [bool],
    /// What the forward pass returned, if it was kept.
    output: Option<&'a Tensor>,
    /// Gradient of the loss with respect to the result, contiguous.
    pub(crate) grad: &'a Tensor,
    /// Nobody else reads the memory of `grad`.
    owned: bool,
}

impl Backward<'_> {
    /// What the forward pass of a node returned that [reads it](Node::reads_output).
    pub(crate) fn output(&self) -> Result<&Tensor> {
        match self.output {
            Some(output) => Ok(output),
            None => bail!("the result that the backward pass reads was not kept"),
        }
    }

    /// The values of `grad` in memory of one's own, to be written over: its own memory, if
    /// nobody else reads that, and `grad` is empty then; else a copy.
    pub(crate) fn take_grad<T: Real>(&self) -> Result<Vec<T>> {
        match self.owned {
            true => take(self.grad),
            false => {
                let grad = values::<T>(self.grad)?;
                Ok(rows_new(grad.len(), 1, |first, to| {
                    to.copy_from_slice(&grad[first..first + to.len()]);
                }))
            }
        }
    }

    /// Gradient of argument `arg`, if it is wanted; see [`slots::deliver`].
    pub(crate) fn deliver<T: Real>(
        &self,
        arg: usize,
        compute: impl FnOnce(&mut [T], bool) -> Result<()>,
    ) -> Result<Option<Tensor>> {
        if !self.wanted[arg] {
            return Ok(None);
        }
        slots::deliver(self.ids[arg], self.args[arg].shape(), compute)
    }

    /// As [`Self::deliver`], on the GPU that the argument lies on; `compute` gets the place of
    /// the gradient.
    #[cfg(feature = "cuda")]
    pub(crate) fn deliver_on_gpu<T: Real>(
        &self,
        arg: usize,
        compute: impl FnOnce(crate::cuda::Pointer, bool) -> Result<()>,
    ) -> Result<Option<Tensor>> {
        if !self.wanted[arg] {
            return Ok(None);
        }
        slots::deliver_on_gpu::<T>(self.ids[arg], &self.args[arg], compute)
    }

    /// The gradient of the result in memory of one's own on its GPU, to be written over.
    #[cfg(feature = "cuda")]
    pub(crate) fn grad_on_gpu<T: Real>(&self) -> Result<Tensor> {
        match self.owned {
            true => Ok(self.grad.clone()),
            false => {
                let device = crate::cuda::device_of_all(std::slice::from_ref(self.grad))?;
                Ok(crate::cuda::copied::<T>(device, self.grad)?.into_tensor(self.grad.shape()))
            }
        }
    }

    /// As [`Self::deliver`], for the gradient of what is seldom a parameter: `make`
    /// need not find memory that holds anything.
    pub(crate) fn deliver_new<T: Real>(
        &self,
        arg: usize,
        make: impl FnOnce() -> Result<Vec<T>>,
    ) -> Result<Option<Tensor>> {
        if !self.wanted[arg] {
            return Ok(None);
        }
        let grad = make()?;
        if !slots::has_slot(self.ids[arg]) {
            return Ok(Some(tensor(grad, self.args[arg].shape())));
        }
        self.deliver(arg, |into: &mut [T], accumulate| {
            crate::simd::write(&grad, into, accumulate);
            Ok(())
        })
    }
}

/// Whether a gradient may be asked of any of `args`: if not, nothing need be kept
/// for the backward pass.
pub(crate) fn tracked<'a>(args: impl IntoIterator<Item = &'a Tensor>) -> bool {
    args.into_iter().any(Tensor::track_op)
}

/// The result `output` of a node, put on the tape if any of `args` is on it.
pub(crate) fn record<T: Real>(
    node: impl Node,
    args: &[&Tensor],
    output: Vec<T>,
    shape: impl Into<Shape>,
) -> Result<Tensor> {
    let output = Storage::Cpu(T::to_cpu_storage_owned(output));
    record_storage(node, args, output, shape)
}

/// As [`record`], of a result in any memory.
pub(crate) fn record_storage(
    node: impl Node,
    args: &[&Tensor],
    output: Storage,
    shape: impl Into<Shape>,
) -> Result<Tensor> {
    let name = node.name();
    let result = put(node, args, output, shape.into())?;
    profile::count_bytes(args.iter().copied().chain([&result]));
    profile::mark(name, Phase::Forward);
    Ok(result)
}

fn put(node: impl Node, args: &[&Tensor], output: Storage, shape: Shape) -> Result<Tensor> {
    if !tracked(args.iter().copied()) {
        return Ok(Tensor::from_storage(
            output,
            shape,
            BackpropOp::none(),
            false,
        ));
    }
    let reads_output = node.reads_output();
    let recorded = Arc::new(Recorded {
        node: Box::new(node),
        args: args.iter().map(|arg| arg.detach()).collect(),
        ids: args.iter().map(|arg| arg.id()).collect(),
        wanted: args.iter().map(|arg| arg.track_op()).collect(),
        origins: args.iter().map(|arg| Origin::of(arg)).collect(),
        output: OnceLock::new(),
        number: next_number(),
    });
    let output = Handle::apply(&recorded, args, output, shape)?;
    let first = recorded
        .output
        .set((output.id(), reads_output.then(|| output.detach())));
    debug_assert!(first.is_ok(), "a node is applied once");
    remember(output.id(), &recorded);
    Ok(output)
}

/// A node with its arguments, in the graph that one forward pass makes.
struct Recorded {
    node: Box<dyn Node>,
    args: Vec<Tensor>,
    ids: Vec<TensorId>,
    wanted: Vec<bool>,
    origins: Vec<Origin>,
    /// Identity of the result on the tape, and, if the node reads it, the result without its
    /// graph.
    output: OnceLock<(TensorId, Option<Tensor>)>,
    /// Its place among all nodes that this thread recorded.
    number: u64,
}

impl Recorded {
    /// Gradients of all arguments, given that of the result, whose memory may be used for
    /// them if it is `owned`.
    fn backward(
        &self,
        output: Option<&Tensor>,
        grad: &Tensor,
        owned: bool,
    ) -> Result<Vec<Option<Tensor>>> {
        let grads = self.node.backward(&Backward {
            args: &self.args,
            ids: &self.ids,
            wanted: &self.wanted,
            output,
            grad,
            owned,
        })?;
        let wanted = self.args.iter().zip(&self.wanted);
        let made = wanted.filter_map(|(arg, &wanted)| wanted.then_some(arg));
        profile::count_bytes(self.args.iter().chain(output).chain([grad]).chain(made));
        profile::mark(self.node.name(), Phase::Backward);
        Ok(grads)
    }
}

/// Where an argument comes from.
enum Origin {
    /// No gradient is asked of it.
    Constant,
    /// A variable, this one: the walk ends here.
    Variable(Tensor),
    /// One of our nodes.
    Node(Arc<Recorded>),
    /// An operation of Candle's.
    Foreign,
}

impl Origin {
    fn of(arg: &Tensor) -> Self {
        if !arg.track_op() {
            Self::Constant
        } else if arg.is_variable() {
            Self::Variable(arg.clone())
        } else {
            recall(arg.id()).map_or(Self::Foreign, Self::Node)
        }
    }
}

thread_local! {
    /// The nodes that this thread recorded and that are still part of some graph.
    static NODES: RefCell<Registry> = RefCell::default();
}

#[derive(Default)]
struct Registry {
    nodes: HashMap<TensorId, Weak<Recorded>>,
    /// Number of entries at which dead ones are swept out.
    sweep_at: usize,
    /// How many nodes there have been.
    recorded: u64,
}

/// Counts a node: those recorded later have greater numbers.
fn next_number() -> u64 {
    NODES.with_borrow_mut(|registry| {
        registry.recorded += 1;
        registry.recorded
    })
}

fn remember(id: TensorId, node: &Arc<Recorded>) {
    NODES.with_borrow_mut(|registry| {
        if registry.nodes.len() >= registry.sweep_at {
            registry.nodes.retain(|_, node| node.strong_count() > 0);
            registry.sweep_at = (2 * registry.nodes.len()).max(1024);
        }
        registry.nodes.insert(id, Arc::downgrade(node));
    });
}

fn recall(id: TensorId) -> Option<Arc<Recorded>> {
    NODES.with_borrow(|registry| registry.nodes.get(&id).and_then(Weak::upgrade))
}

#[cfg(test)]
mod tests;
