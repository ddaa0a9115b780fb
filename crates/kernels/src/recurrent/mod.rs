//! Recurrent layers over packed sequences: GRU and LSTM, with their whole backward pass
//! through time.
//!
//! What does not depend on the state before, the product of the inputs with their
//! weights, is one `linear` over all rows, made outside. Here remains the recurrence: the
//! sequences advance together, longest first, and each step is one matrix product over
//! those that still run. So no row is padded.

mod backward;
mod cell;
mod forward;
mod gru;
mod lstm;
mod steps;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use candle_core::{Result, Tensor, bail};

use crate::segments;
use crate::storage::{same_dtype, values, with_real};
use crate::tape::{record, tracked};
use backward::Recurrent;
use cell::Cell;
use gru::Gru;
use lstm::Lstm;
use steps::Steps;

/// From which end a sequence is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first row: a row knows those before it.
    Forward,
    /// From the last row: a row knows those behind it.
    Backward,
}

/// The states of a gated recurrent unit, from zero at the start of every sequence.
///
/// With `x` the projected input and `a = h' wᵀ + b` of the state `h'` before, each in
/// three parts: `r = σ(x₁ + a₁)`, `z = σ(x₂ + a₂)`, `m = tanh(x₃ + r ⊙ a₃)` and
/// `h = (1 − z) ⊙ m + z ⊙ h'`: Cho et al. 2014 <https://arxiv.org/abs/1406.1078>, in the
/// form and order of `torch.nn.GRU`.
///
/// # Shapes
///
/// - `x`: `[n, 3d]`, contiguous: `input w_inputᵀ + b_input`
/// - `w`: `[3d, d]`, `bias`: `[3d]`
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
/// - returns: `[n, d]`
///
/// # Errors
///
/// Fails if shapes or types disagree, or the walls do not rise from 0 to `n`.
pub fn gru(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    cu_seqlens: &[u32],
    direction: Direction,
) -> Result<Tensor> {
    recurrent::<Gru>(x, w, bias, cu_seqlens, direction)
}

/// The states of a long short-term memory, from zero at the start of every sequence.
///
/// With `a = x + h' wᵀ + b` in four parts: `i = σ(a₁)`, `f = σ(a₂)`, `g = tanh(a₃)`,
/// `o = σ(a₄)`, `c = f ⊙ c' + i ⊙ g` and `h = o ⊙ tanh(c)`: Hochreiter & Schmidhuber 1997
/// with the forget gate of Gers et al. 2000, in the form and order of `torch.nn.LSTM`.
///
/// # Shapes
///
/// - `x`: `[n, 4d]`, contiguous: `input w_inputᵀ + b_input`
/// - `w`: `[4d, d]`, `bias`: `[4d]`
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
/// - returns: `[n, d]`
///
/// # Errors
///
/// Fails if shapes or types disagree, or the walls do not rise from 0 to `n`.
pub fn lstm(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    cu_seqlens: &[u32],
    direction: Direction,
) -> Result<Tensor> {
    recurrent::<Lstm>(x, w, bias, cu_seqlens, direction)
}

fn recurrent<C: Cell>(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    cu_seqlens: &[u32],
    direction: Direction,
) -> Result<Tensor> {
    let (n, width) = x.dims2()?;
    let (rows, d) = w.dims2()?;
    if rows != C::GATES * d || width != rows {
        bail!(
            "{}: x of shape {:?} and w of shape {:?} must be [n, {g}·d] and [{g}·d, d]",
            C::NAME,
            x.shape(),
            w.shape(),
            g = C::GATES
        );
    }
    if let Some(bias) = bias
        && bias.dims() != [rows]
    {
        bail!(
            "{}: {rows} outputs, bias of shape {:?}",
            C::NAME,
            bias.shape()
        );
    }
    same_dtype(x, std::iter::once(w).chain(bias))?;
    segments::check(C::NAME, cu_seqlens, n)?;
    let steps = Steps::new(cu_seqlens, direction);
    let args: Vec<&Tensor> = [x, w].into_iter().chain(bias).collect();
    with_real!(x, T => {
        let gates = steps.gather(&values::<T>(x)?, width);
        let bias = bias.map(values::<T>).transpose()?;
        let run = forward::run::<C, T>(&steps, d, gates, &values(w)?, bias.as_deref());
        let y = steps.scatter(&run.states, d);
        let (gates, extra) = match tracked(args.iter().copied()) {
            true => (run.gates, run.extra),
            false => Default::default(),
        };
        let node = Recurrent::<C, T> { steps, d, gates, extra, cell: PhantomData };
        record(node, &args, y, (n, d))
    })
}
