//! Operations of any number of arguments on Candle's tape.
//!
//! Candle's [`CustomOp3`] takes three tensors at most. A node with more is
//! recorded with *anchors*: an anchor is a scalar that depends on up to three
//! further arguments; the node depends on the anchor. The node's backward pass
//! computes all gradients at once and leaves those of the anchored arguments in a
//! box, from which the anchor's backward pass, which Candle runs later, takes
//! them. Arguments that need no gradient are not on the tape at all.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, TensorId,
    bail,
};

use crate::Real;
use crate::storage::tensor;

/// The backward pass of an operation.
pub(crate) trait Node: Send + Sync + 'static {
    /// Name in error messages.
    fn name(&self) -> &'static str;

    /// Gradients of the arguments, in their order. `None` for one that is not
    /// wanted, or whose gradient went into its slot.
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
    /// What the forward pass returned.
    pub(crate) output: &'a Tensor,
    /// Gradient of the loss with respect to `output`, contiguous.
    pub(crate) grad: &'a Tensor,
}

impl Backward<'_> {
    /// Gradient of argument `arg`, if it is wanted; see [`crate::grads::deliver`].
    pub(crate) fn deliver<T: Real>(
        &self,
        arg: usize,
        compute: impl FnOnce(&mut [T], bool) -> Result<()>,
    ) -> Result<Option<Tensor>> {
        if !self.wanted[arg] {
            return Ok(None);
        }
        crate::grads::deliver(self.ids[arg], self.args[arg].shape(), compute)
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
    let shape = shape.into();
    let on_tape: Vec<usize> = (0..args.len()).filter(|&i| args[i].track_op()).collect();
    if on_tape.is_empty() {
        return Ok(tensor(output, shape));
    }
    let (direct, anchored) = if on_tape.len() <= 3 {
        (&on_tape[..], &[][..])
    } else {
        on_tape.split_at(2)
    };
    let deposit = Deposit::default();
    let mut parents: Vec<Tensor> = direct.iter().map(|&i| args[i].clone()).collect();
    if !anchored.is_empty() {
        let rest: Vec<&Tensor> = anchored.iter().map(|&i| args[i]).collect();
        parents.push(record::<f32>(
            Anchor(deposit.clone()),
            &rest,
            vec![0.0],
            (),
        )?);
    }
    let recorded = Recorded {
        node: Box::new(node),
        args: args.iter().map(|arg| arg.detach()).collect(),
        ids: args.iter().map(|arg| arg.id()).collect(),
        wanted: args.iter().map(|arg| arg.track_op()).collect(),
        direct: direct.to_vec(),
        anchored: anchored.to_vec(),
        deposit,
        output: Mutex::new(Some((T::to_cpu_storage_owned(output), shape))),
    };
    match parents.as_slice() {
        [a] => a.apply_op1(recorded),
        [a, b] => a.apply_op2(b, recorded),
        [a, b, c] => a.apply_op3(b, c, recorded),
        _ => unreachable!("one to three parents"),
    }
}

/// Gradients on their way from a node to its anchor.
#[derive(Default, Clone)]
struct Deposit(Arc<Mutex<Vec<Option<Tensor>>>>);

impl Deposit {
    fn replace(&self, grads: Vec<Option<Tensor>>) -> Vec<Option<Tensor>> {
        std::mem::replace(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            grads,
        )
    }
}

struct Anchor(Deposit);

impl Node for Anchor {
    fn name(&self) -> &'static str {
        "anchor"
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let grads = self.0.replace(Vec::new());
        if grads.len() != pass.args.len() {
            bail!("an anchor was reached before the node that it serves");
        }
        Ok(grads)
    }
}

/// A node as Candle sees it.
struct Recorded {
    node: Box<dyn Node>,
    args: Vec<Tensor>,
    ids: Vec<TensorId>,
    wanted: Vec<bool>,
    direct: Vec<usize>,
    anchored: Vec<usize>,
    deposit: Deposit,
    /// Computed before the node was recorded; Candle asks for it once.
    output: Mutex<Option<(CpuStorage, Shape)>>,
}

impl Recorded {
    fn forward(&self) -> Result<(CpuStorage, Shape)> {
        let output = self
            .output
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match output {
            Some(output) => Ok(output),
            None => bail!("{} was applied twice", self.node.name()),
        }
    }

    fn backward<const N: usize>(
        &self,
        output: &Tensor,
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; N]> {
        let grad = grad.detach().contiguous()?;
        let pass = Backward {
            args: &self.args,
            ids: &self.ids,
            wanted: &self.wanted,
            output: &output.detach(),
            grad: &grad,
        };
        let mut grads = self.node.backward(&pass)?;
        let mut parents = [const { None }; N];
        for (parent, &i) in parents.iter_mut().zip(&self.direct) {
            *parent = grads[i].take();
        }
        if !self.anchored.is_empty() {
            self.deposit
                .replace(self.anchored.iter().map(|&i| grads[i].take()).collect());
            parents[N - 1] = Some(Tensor::zeros((), DType::F32, grad.device())?);
        }
        Ok(parents)
    }
}

impl CustomOp1 for Recorded {
    fn name(&self) -> &'static str {
        self.node.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward()
    }

    fn bwd(&self, _: &Tensor, output: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [a] = self.backward(output, grad)?;
        Ok(a)
    }
}

impl CustomOp2 for Recorded {
    fn name(&self) -> &'static str {
        self.node.name()
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward()
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        output: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [a, b] = self.backward(output, grad)?;
        Ok((a, b))
    }
}

impl CustomOp3 for Recorded {
    fn name(&self) -> &'static str {
        self.node.name()
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward()
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        output: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [a, b, c] = self.backward(output, grad)?;
        Ok((a, b, c))
    }
}
