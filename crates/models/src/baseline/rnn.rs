//! Recurrent layers, one after the other.

use std::sync::Arc;

use attn_core::{Dropout, Linear, Norm, NormConfig, NormKind, Pass};
use candle_core::Tensor;
use candle_nn::{Init, Module, VarBuilder};
use kernels::Direction;

use super::{Reach, rate, size};
use crate::ConfigError;

/// What a layer remembers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// A gated recurrent unit: [`kernels::gru`].
    Gru,
    /// A long short-term memory: [`kernels::lstm`].
    Lstm,
}

/// Cell, sizes and directions of an [`Rnn`].
///
/// Valid by construction: sizes are positive and within reason, `d_model` is even where
/// two directions share it, the dropout is in `[0, 1)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RnnConfig {
    cell: Cell,
    d_model: usize,
    n_layers: usize,
    reach: Reach,
    dropout: f64,
    bias: bool,
}

impl RnnConfig {
    /// `n_layers` layers with biases. With [`Reach::Whole`] half of the states run
    /// forward and half backward.
    ///
    /// # Errors
    ///
    /// If a size is 0 or beyond reason, or `d_model` is odd where it is halved.
    pub fn new(
        cell: Cell,
        d_model: usize,
        n_layers: usize,
        reach: Reach,
    ) -> Result<Self, ConfigError> {
        let d_model = size("d_model", d_model)?;
        if reach == Reach::Whole && !d_model.is_multiple_of(2) {
            return Err(ConfigError::OddStates { d_model });
        }
        Ok(Self {
            cell,
            d_model,
            n_layers: size("n_layers", n_layers)?,
            reach,
            dropout: 0.0,
            bias: true,
        })
    }

    /// The same with elements dropped between layers, and after the last.
    ///
    /// # Errors
    ///
    /// If `dropout` is not in `[0, 1)`.
    pub fn with_dropout(self, dropout: f64) -> Result<Self, ConfigError> {
        Ok(Self {
            dropout: rate(dropout)?,
            ..self
        })
    }

    /// The same with or without biases.
    #[must_use]
    pub fn with_bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// Numbers that the layers learn.
    pub fn n_params(&self) -> u64 {
        let of_norm = self.d_model as u64 * if self.bias { 2 } else { 1 };
        let biases = match self.bias {
            true => 2 * (self.n_gates() * self.d_model * self.n_layers) as u64,
            false => 0,
        };
        self.n_matrix_params() + biases + (self.n_layers as u64 + 1) * of_norm
    }

    /// Multiply-adds of one row in all matrices.
    pub fn n_matrix_params(&self) -> u64 {
        let rows = (self.n_gates() * self.n_states()) as u64;
        let columns = (self.d_model + self.n_states()) as u64;
        self.n_layers as u64 * self.directions().len() as u64 * rows * columns
    }

    /// Numbers kept of one row until the backward pass, and those in flight in it.
    pub fn n_activations(&self) -> u64 {
        // Normalised and projected inputs, gates, what the cell remembers, states; a layer's gradients.
        let of_states = (2 * self.n_gates() + 3) * self.d_model;
        let in_flight = (2 * self.n_gates() + 3) * self.d_model;
        (self.n_layers * of_states + in_flight) as u64
    }

    fn n_gates(&self) -> usize {
        match self.cell {
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }

    /// States of one direction.
    fn n_states(&self) -> usize {
        self.d_model / self.directions().len()
    }

    fn directions(&self) -> &'static [(&'static str, Direction)] {
        match self.reach {
            Reach::Past => &[("forward", Direction::Forward)],
            Reach::Whole => &[
                ("forward", Direction::Forward),
                ("backward", Direction::Backward),
            ],
        }
    }
}

/// Recurrent layers, one after the other, as in `torch.nn.GRU` and `torch.nn.LSTM`, with a
/// layer norm before each and one behind the last: embeddings start so small that without
/// them hardly any gradient comes back.
///
/// Parameters, under the prefix of the builder, for each layer `i` and each direction
/// (`forward`, and with [`Reach::Whole`] `backward`): `blocks.i.forward.input.weight`,
/// `[g · h, d_model]`, and `blocks.i.forward.state.weight`, `[g · h, h]`, with `h` states
/// and `g` = 3 parts in a GRU, 4 in an LSTM; with biases, a `bias` beside each;
/// `blocks.i.norm` and `norm`. Weights start uniform within `1/√h`, biases at zero.
#[derive(Debug, Clone)]
pub struct Rnn {
    cell: Cell,
    layers: Vec<Layer>,
    norm: Norm,
}

#[derive(Debug, Clone)]
struct Layer {
    norm: Norm,
    directions: Vec<OneWay>,
    dropout: Dropout,
}

#[derive(Debug, Clone)]
struct OneWay {
    direction: Direction,
    input: Linear,
    state: Linear,
}

impl Rnn {
    /// Creates the layers, taking their parameters from `vb`.
    pub fn new(config: &RnnConfig, vb: VarBuilder) -> candle_core::Result<Self> {
        let h = config.n_states();
        let bound = 1.0 / (h as f64).sqrt();
        let init = Init::Uniform {
            lo: -bound,
            up: bound,
        };
        let norm = NormConfig::new(NormKind::Layer).with_bias(config.bias);
        let layer = |i: usize| {
            let vb = vb.pp("blocks").pp(i);
            let one_way = |&(name, direction): &(&str, Direction)| {
                let linear = |name: &str, d_in: usize, vb: VarBuilder| {
                    Linear::new(d_in, config.n_gates() * h, config.bias, init, vb.pp(name))
                };
                Ok(OneWay {
                    direction,
                    input: linear("input", config.d_model, vb.pp(name))?,
                    state: linear("state", h, vb.pp(name))?,
                })
            };
            Ok(Layer {
                norm: Norm::new(&norm, config.d_model, vb.pp("norm"))?,
                directions: config
                    .directions()
                    .iter()
                    .map(one_way)
                    .collect::<candle_core::Result<_>>()?,
                dropout: Dropout::new(config.dropout as f32, &vb),
            })
        };
        Ok(Self {
            cell: config.cell,
            layers: (0..config.n_layers)
                .map(layer)
                .collect::<candle_core::Result<_>>()?,
            norm: Norm::new(&norm, config.d_model, vb.pp("norm"))?,
        })
    }

    /// The states of the last layer behind every row, normalised.
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, d_model]`
    /// - `cu_seqlens`: `[batch + 1]`, rising from 0 to `n`
    /// - returns: `[n, d_model]`
    ///
    /// # Errors
    ///
    /// If the walls do not enclose the rows.
    pub fn forward(
        &self,
        x: &Tensor,
        cu_seqlens: &Arc<[u32]>,
        pass: Pass,
    ) -> candle_core::Result<Tensor> {
        let mut x = x.clone();
        for Layer {
            norm,
            directions,
            dropout,
        } in &self.layers
        {
            x = norm.forward(&x)?;
            let states = |one_way| self.states(&x, one_way, cu_seqlens);
            let y = match &directions[..] {
                [forward, backward] => {
                    kernels::concat_columns(&states(forward)?, &states(backward)?)?
                }
                one => states(&one[0])?,
            };
            x = dropout.forward(&y, None, pass)?;
        }
        self.norm.forward(&x)
    }

    fn states(
        &self,
        x: &Tensor,
        one_way: &OneWay,
        cu_seqlens: &[u32],
    ) -> candle_core::Result<Tensor> {
        let OneWay {
            direction,
            input,
            state,
        } = one_way;
        let projected = input.forward_with(x, None, None)?;
        let recur = match self.cell {
            Cell::Gru => kernels::gru,
            Cell::Lstm => kernels::lstm,
        };
        recur(
            &projected,
            state.weight(),
            state.bias(),
            cu_seqlens,
            *direction,
        )
    }
}
