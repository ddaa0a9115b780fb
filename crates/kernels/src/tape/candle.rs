//! Our nodes as Candle's custom operations.
//!
//! Candle's [`CustomOp3`] takes three tensors at most. A node with more arguments
//! depends on *anchors*: an anchor is a scalar that depends on up to three further
//! arguments. The node's backward pass computes all gradients at once and leaves
//! those of the anchored arguments in a box, from which the anchor's backward pass,
//! which Candle runs later, takes them. Arguments that need no gradient are not on
//! Candle's tape at all.

use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Storage, Tensor,
    bail,
};

use super::Recorded;

/// One custom operation: a node or an anchor.
pub(super) struct Handle {
    role: Role,
    /// Gradients for the anchor that this operation depends on, if any.
    deposit: Option<Deposit>,
    /// Computed before the operation was applied; Candle asks for it once.
    output: Mutex<Option<(Storage, Shape)>>,
}

enum Role {
    /// A node, with the places of its tracked arguments: first those that are
    /// arguments here, then the anchored ones.
    Node {
        recorded: Arc<Recorded>,
        direct: Vec<usize>,
        anchored: Vec<usize>,
    },
    /// Passes on what lies in the box: to its own arguments, then to a further anchor.
    Anchor { from: Deposit, direct: usize },
}

/// Gradients on their way to an anchor.
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

impl Handle {
    /// Puts a node with the result `output` on Candle's tape; at least one of `args`
    /// must be on it.
    pub(super) fn apply(
        recorded: &Arc<Recorded>,
        args: &[&Tensor],
        output: Storage,
        shape: Shape,
    ) -> Result<Tensor> {
        let on_tape: Vec<usize> = (0..args.len()).filter(|&i| args[i].track_op()).collect();
        let tracked: Vec<&Tensor> = on_tape.iter().map(|&i| args[i]).collect();
        let (parents, deposit) = parents(&tracked)?;
        let (direct, anchored) = on_tape.split_at(match deposit {
            Some(_) => parents.len() - 1,
            None => parents.len(),
        });
        let role = Role::Node {
            recorded: recorded.clone(),
            direct: direct.to_vec(),
            anchored: anchored.to_vec(),
        };
        Self::on(&parents, role, deposit, output, shape)
    }

    fn on(
        parents: &[Tensor],
        role: Role,
        deposit: Option<Deposit>,
        output: Storage,
        shape: Shape,
    ) -> Result<Tensor> {
        let output = Mutex::new(Some((output, shape)));
        let handle = Self {
            role,
            deposit,
            output,
        };
        match parents {
            [a] => a.apply_op1(handle),
            [a, b] => a.apply_op2(b, handle),
            [a, b, c] => a.apply_op3(b, c, handle),
            _ => unreachable!("one to three parents"),
        }
    }

    fn name(&self) -> &'static str {
        match &self.role {
            Role::Node { recorded, .. } => recorded.node.name(),
            Role::Anchor { .. } => "anchor",
        }
    }

    fn forward(&self) -> Result<(Storage, Shape)> {
        let output = self
            .output
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match output {
            Some(output) => Ok(output),
            None => bail!("{} was applied twice", self.name()),
        }
    }

    fn forward_cpu(&self) -> Result<(CpuStorage, Shape)> {
        match self.forward()? {
            (Storage::Cpu(output), shape) => Ok((output, shape)),
            _ => bail!("{}: the operands lie on different devices", self.name()),
        }
    }

    #[cfg(feature = "cuda")]
    fn forward_gpu(&self) -> Result<(CudaStorage, Shape)> {
        match self.forward()? {
            (Storage::Cuda(output), shape) => Ok((output, shape)),
            _ => bail!("{}: the operands lie on different devices", self.name()),
        }
    }

    fn backward<const N: usize>(
        &self,
        output: &Tensor,
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; N]> {
        let (direct, anchored) = match &self.role {
            Role::Node {
                recorded,
                direct,
                anchored,
            } => {
                let grad = grad.detach().contiguous()?;
                let mut grads = recorded.backward(Some(&output.detach()), &grad, false)?;
                let mut take = |places: &[usize]| -> Vec<_> {
                    places.iter().map(|&i| grads[i].take()).collect()
                };
                (take(direct), take(anchored))
            }
            Role::Anchor { from, direct } => {
                let mut grads = from.replace(Vec::new());
                if grads.len() < *direct {
                    bail!("an anchor was reached before the node that it serves");
                }
                let anchored = grads.split_off(*direct);
                (grads, anchored)
            }
        };
        let mut parents = [const { None }; N];
        for (parent, grad) in parents.iter_mut().zip(direct) {
            *parent = grad;
        }
        if let Some(deposit) = &self.deposit {
            deposit.replace(anchored);
            // Candle reaches the anchor only if something arrives there.
            parents[N - 1] = Some(Tensor::zeros((), DType::F32, grad.device())?);
        }
        Ok(parents)
    }
}

/// One to three tensors that depend on all of `tracked`; if there are more than
/// three, the last is an anchor, which finds gradients in the box returned.
fn parents(tracked: &[&Tensor]) -> Result<(Vec<Tensor>, Option<Deposit>)> {
    if tracked.len() <= 3 {
        return Ok((tracked.iter().map(|&t| t.clone()).collect(), None));
    }
    let (direct, rest) = tracked.split_at(2);
    let deposit = Deposit::default();
    let (anchored, further) = parents(rest)?;
    let role = Role::Anchor {
        from: deposit.clone(),
        direct: anchored.len() - usize::from(further.is_some()),
    };
    let anchor = Handle::on(
        &anchored,
        role,
        further,
        zero_beside(&anchored[0])?,
        ().into(),
    )?;
    let parents = direct.iter().map(|&t| t.clone()).chain([anchor]).collect();
    Ok((parents, Some(deposit)))
}

/// One zero in the memory that `x` lies in.
fn zero_beside(x: &Tensor) -> Result<Storage> {
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(x) {
        return Ok(crate::cuda::Buffer::<f32>::zeros(device, 1)?.into_storage());
    }
    debug_assert!(x.device().is_cpu());
    Ok(Storage::Cpu(CpuStorage::F32(vec![0.0])))
}

impl CustomOp1 for Handle {
    fn name(&self) -> &'static str {
        Handle::name(self)
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward_cpu()
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.forward_gpu()
    }

    fn bwd(&self, _: &Tensor, output: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [a] = self.backward(output, grad)?;
        Ok(a)
    }
}

impl CustomOp2 for Handle {
    fn name(&self) -> &'static str {
        Handle::name(self)
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward_cpu()
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.forward_gpu()
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

impl CustomOp3 for Handle {
    fn name(&self) -> &'static str {
        Handle::name(self)
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
        self.forward_cpu()
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.forward_gpu()
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
