//! Recurrent layers, one sequence after the other.

use candle_core::{Result, Tensor};

use super::rows::{Rows, dot, rows, tensor, vector};

/// Which end of a sequence a recurrence starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The first row.
    First,
    /// The last row.
    Last,
}

/// The states of a GRU of projected inputs `x`, as PyTorch defines it.
///
/// # Shapes
///
/// - `x`: `[n, 3d]`, `w`: `[3d, d]`, `bias`: `[3d]`
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
/// - returns: `[n, d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn gru(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    cu_seqlens: &[u32],
    from: From,
) -> Result<Tensor> {
    over_sequences(x, w, bias, cu_seqlens, from, |x, hidden, state, _| {
        let d = state.len();
        for k in 0..d {
            let r = sigmoid(x[k] + hidden[k]);
            let z = sigmoid(x[d + k] + hidden[d + k]);
            let new = (x[2 * d + k] + r * hidden[2 * d + k]).tanh();
            state[k] = (1.0 - z) * new + z * state[k];
        }
    })
}

/// The states of an LSTM of projected inputs `x`, as PyTorch defines it.
///
/// # Shapes
///
/// - `x`: `[n, 4d]`, `w`: `[4d, d]`, `bias`: `[4d]`
/// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
/// - returns: `[n, d]`, `f64`
///
/// # Errors
///
/// Those of the conversion from and to a tensor.
pub fn lstm(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    cu_seqlens: &[u32],
    from: From,
) -> Result<Tensor> {
    over_sequences(x, w, bias, cu_seqlens, from, |x, hidden, state, memory| {
        let d = state.len();
        for k in 0..d {
            let part = |i: usize| x[i * d + k] + hidden[i * d + k];
            let (input, forget, output) = (sigmoid(part(0)), sigmoid(part(1)), sigmoid(part(3)));
            memory[k] = forget * memory[k] + input * part(2).tanh();
            state[k] = output * memory[k].tanh();
        }
    })
}

/// Calls `step(projected input, projected state, state, memory)` for every row.
fn over_sequences(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    cu_seqlens: &[u32],
    from: From,
    step: impl Fn(&[f64], &[f64], &mut [f64], &mut [f64]),
) -> Result<Tensor> {
    let (n, _) = x.dims2()?;
    let (width, d) = w.dims2()?;
    let (x, w) = (rows(x)?, rows(w)?);
    let bias = bias.map_or(Ok(vec![0.0; width]), vector)?;
    let mut y: Rows = vec![vec![]; n];
    for wall in cu_seqlens.windows(2) {
        let mut of_sequence: Vec<usize> = (wall[0] as usize..wall[1] as usize).collect();
        if from == From::Last {
            of_sequence.reverse();
        }
        let (mut state, mut memory) = (vec![0.0; d], vec![0.0; d]);
        for row in of_sequence {
            let project = |(w, bias): (&Vec<f64>, &f64)| dot(w, &state) + bias;
            let hidden: Vec<f64> = w.iter().zip(&bias).map(project).collect();
            step(&x[row], &hidden, &mut state, &mut memory);
            y[row] = state.clone();
        }
    }
    tensor(&y, d)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    /// With zero weights a GRU moves half-way from its state to `tanh x`, and an LSTM
    /// forgets half of its memory.
    #[test]
    fn without_weights_the_states_are_known() -> Result<()> {
        let zeros = |shape: (usize, usize)| Tensor::zeros(shape, DType::F64, &Device::Cpu);
        let x = Tensor::new(&[[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]], &Device::Cpu)?;
        let y = gru(&x, &zeros((3, 1))?, None, &[0, 2], From::First)?.to_vec2::<f64>()?;
        let new = 1f64.tanh();
        assert!((y[0][0] - new / 2.0).abs() < 1e-15 && (y[1][0] - 0.75 * new).abs() < 1e-15);
        let x = Tensor::new(&[[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]], &Device::Cpu)?;
        let y = lstm(&x, &zeros((4, 1))?, None, &[0, 2], From::First)?.to_vec2::<f64>()?;
        let memory = new / 2.0;
        assert!((y[0][0] - memory.tanh() / 2.0).abs() < 1e-15);
        assert!((y[1][0] - (memory / 2.0).tanh() / 2.0).abs() < 1e-15);
        Ok(())
    }
}
