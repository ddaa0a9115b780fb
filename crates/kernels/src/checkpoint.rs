//! Computing again in the backward pass what the forward pass does not keep.

use candle_core::{Result, Tensor, bail};

use crate::Precision;
use crate::storage::copied;
use crate::tape::{Backward, Node, Segment, record_storage};

/// The result of `f`, without what its operations keep for the backward pass: that calls
/// `f` again, and goes back through what this second call recorded.
///
/// Of `n` layers in turn, each one checkpointed, the inputs are kept and, while it is its
/// turn, the inside of one layer; Chen et al. 2016, §3
/// <https://arxiv.org/abs/1604.06174>. The price is a second forward pass.
///
/// `f` must compute the same when called again. Gradients are those of `f()`, to the bit,
/// unless a tensor of `inputs` or a variable is read more than once in `f` and elsewhere,
/// too: its terms are then added in another order.
///
/// # Shapes
///
/// - `inputs`: any
/// - returns: what `f` returns
///
/// # Errors
///
/// That of `f`. Also if `f` reads tensors on the tape that are neither in `inputs` nor
/// variables, or applies operations of Candle's, which record themselves, to those that
/// are.
///
/// # Examples
///
/// ```
/// use candle_core::{DType, Device, Var};
/// use kernels::{Activation, activate, checkpoint};
///
/// let x = Var::ones((2, 3), DType::F32, &Device::Cpu)?;
/// let input = x.as_tensor().clone();
/// let f = move || activate(&activate(&input, Activation::Silu)?, Activation::GeluTanh);
/// let kept = f()?.backward()?;
/// let again = checkpoint(&[&x], f)?.backward()?;
/// let grad = |store: &candle_core::backprop::GradStore| store.get(&x).map(|g| g.to_vec2::<f32>());
/// assert_eq!(grad(&kept).transpose()?, grad(&again).transpose()?);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn checkpoint(
    inputs: &[&Tensor],
    f: impl Fn() -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    let inputs: Vec<Tensor> = inputs.iter().map(|&input| input.clone()).collect();
    let segment = Segment::record(&inputs, &f)?;
    let output = segment.output();
    if segment.leaves().iter().all(|leaf| leaf.id() == output.id()) {
        return Ok(output.clone());
    }
    let (y, shape) = (copied(output)?, output.shape().clone());
    let leaves = segment.leaves().to_vec();
    drop(segment);
    let node = Checkpoint {
        f,
        inputs,
        precision: Precision::current(),
    };
    record_storage(node, &leaves.iter().collect::<Vec<_>>(), y, shape)
}

/// Arguments: the tensors on the tape that `f` reads.
struct Checkpoint<F> {
    f: F,
    inputs: Vec<Tensor>,
    /// In which `f` was called, and will be.
    precision: Precision,
}

impl<F: Fn() -> Result<Tensor> + Send + Sync + 'static> Node for Checkpoint<F> {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let again = || Segment::record(&self.inputs, &self.f);
        let segment = self.precision.during(again)?;
        if !segment
            .leaves()
            .iter()
            .map(Tensor::id)
            .eq(pass.ids.iter().copied())
        {
            bail!("a checkpointed function read other tensors when it was called again");
        }
        let mut grads = segment.backward(pass.grad)?;
        Ok(pass.ids.iter().map(|id| grads.remove(id)).collect())
    }
}

#[cfg(test)]
mod tests;
