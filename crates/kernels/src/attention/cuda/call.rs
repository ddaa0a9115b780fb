//! One call of attention on a GPU: operands, checked, as arguments of the kernels.

use std::sync::Arc;

use candle_core::{CudaDevice, Result, Tensor};

use super::super::dropout::Dropout;
use super::super::operands::Operands;
use super::super::{Attention, Direction, Heads, Rotary};
use super::copies::{Original, TASK};
use super::shape::{Kernels, Shape};
use crate::Real;
use crate::cuda::{Arg, Buffer, Grid, Pointer, Strided, launch, pointer, strided};

/// Distances are below 2³³, so that an offset beyond this one changes no bucket.
const FAR: i64 = 1 << 40;

/// Operands of attention.
pub(super) struct Call<'a, T> {
    pub(super) device: &'a CudaDevice,
    pub(super) attention: &'a Attention,
    pub(super) heads: Heads,
    pub(super) kernels: Kernels,
    /// Turned, where there is a rotary encoding.
    q: Strided,
    k: Strided,
    v: Strided,
    /// The memory of turned queries and keys.
    _turned: Vec<Buffer<T>>,
    rotary: Option<Turn>,
    bias: Option<Bias>,
    dropout: Option<Dropout>,
    ends: Arc<Buffer<u32>>,
}

/// Angles of queries and keys.
struct Turn {
    cos: Pointer,
    sin: Pointer,
    half: usize,
    queries: Arc<Buffer<u32>>,
    keys: Arc<Buffer<u32>>,
}

/// Numbers that are added to the scores.
struct Bias {
    table: Pointer,
    n_buckets: usize,
    offset: i64,
    queries: Arc<Buffer<u32>>,
    keys: Arc<Buffer<u32>>,
}

impl<'a, T: Real> Call<'a, T> {
    /// Checks everything, and turns queries and keys. `table` stands in for the table of the
    /// bias.
    pub(super) fn new(
        device: &'a CudaDevice,
        attention: &'a Attention,
        operands: &Operands<'_>,
        table: Option<&Tensor>,
    ) -> Result<Self> {
        let heads = attention.heads()?;
        let kernels = Kernels::of::<T>(heads.head_dim)?;
        let [q, k, v] = rows::<T>(operands, &heads)?;
        attention.check_rows([q.n, k.n, v.n])?;
        let spans = &attention.spans;
        let (n_queries, n_keys) = (q.n, k.n);
        let positions = |of: &Arc<[u32]>| {
            let of = Original::Positions(of.clone());
            spans.copies().get(device, spans, of)
        };
        let turn = |rotary: &Rotary| -> Result<Turn> {
            Ok(Turn {
                half: rotary.check(heads.head_dim, n_queries, n_keys)?,
                cos: pointer::<T>(&rotary.cos)?,
                sin: pointer::<T>(&rotary.sin)?,
                queries: positions(&rotary.query_positions)?,
                keys: positions(&rotary.key_positions)?,
            })
        };
        let bias = attention.bias.as_ref().zip(table);
        let bias = bias.map(|(bias, table)| -> Result<Bias> {
            Ok(Bias {
                n_buckets: bias.check(table, heads.n_heads, n_queries, n_keys)?,
                table: pointer::<T>(table)?,
                offset: bias.offset.clamp(-FAR, FAR),
                queries: positions(&bias.query_positions)?,
                keys: positions(&bias.key_positions)?,
            })
        });
        let mut call = Self {
            device,
            attention,
            heads,
            kernels,
            q,
            k,
            v,
            _turned: Vec::new(),
            rotary: attention.rotary.as_ref().map(turn).transpose()?,
            bias: bias.transpose()?,
            dropout: attention.dropout(n_queries, n_keys)?,
            ends: spans.copies().get(device, spans, Original::Ends)?,
        };
        if let Some(turn) = &call.rotary {
            let made = |x: Strided, n_heads: usize| -> Result<(Buffer<T>, Strided)> {
                let stride = n_heads * heads.head_dim;
                let memory = Buffer::<T>::new(device, x.n * stride)?;
                let pointer = memory.pointer();
                Ok((
                    memory,
                    Strided {
                        pointer,
                        stride,
                        ..x
                    },
                ))
            };
            let (q_memory, q) = made(call.q, heads.n_heads)?;
            let (k_memory, k) = made(call.k, heads.n_kv_heads)?;
            call.turn(&turn.queries, call.q, q, heads.n_heads, Direction::Forward)?;
            call.turn(&turn.keys, call.k, k, heads.n_kv_heads, Direction::Forward)?;
            (call.q, call.k) = (q, k);
            call._turned = vec![q_memory, k_memory];
        }
        Ok(call)
    }

    /// Turns the gradients of queries back, which are those of turned ones.
    pub(super) fn turn_back_queries(&self, dq: Strided) -> Result<()> {
        match &self.rotary {
            Some(turn) => self.turn(&turn.queries, dq, dq, self.heads.n_heads, Direction::Back),
            None => Ok(()),
        }
    }

    /// Turns the gradients of keys back.
    pub(super) fn turn_back_keys(&self, dk: Strided) -> Result<()> {
        match &self.rotary {
            Some(turn) => self.turn(&turn.keys, dk, dk, self.heads.n_kv_heads, Direction::Back),
            None => Ok(()),
        }
    }

    fn turn(
        &self,
        positions: &Buffer<u32>,
        from: Strided,
        to: Strided,
        n_heads: usize,
        direction: Direction,
    ) -> Result<()> {
        let Some(turn) = &self.rotary else {
            return Ok(());
        };
        let d = self.heads.head_dim;
        let args = [
            from.pointer.into(),
            from.stride.into(),
            to.pointer.into(),
            to.stride.into(),
            turn.cos.into(),
            turn.sin.into(),
            positions.pointer().into(),
            from.n.into(),
            n_heads.into(),
            Arg::U32(d as u32),
            Arg::U32(turn.half as u32),
            (direction == Direction::Back).into(),
        ];
        let grid = Grid::elements(from.n * n_heads * (d - turn.half));
        launch::<T>(self.device, "attention_turn", grid, &args)
    }

    /// Blocks of queries, or of keys.
    pub(super) fn tasks(&self, of: Original) -> Result<Arc<Buffer<u32>>> {
        let spans = &self.attention.spans;
        spans.copies().get(self.device, spans, of)
    }

    /// Number of query rows.
    pub(super) fn n_queries(&self) -> usize {
        self.q.n
    }

    /// Buckets of the bias; none without one.
    pub(super) fn n_buckets(&self) -> usize {
        self.bias.as_ref().map_or(0, |bias| bias.n_buckets)
    }

    /// Launches a kernel over `tasks`; `rest` are its own arguments.
    pub(super) fn launch(
        &self,
        shape: Shape,
        blocks: usize,
        tasks: &Buffer<u32>,
        rest: &[Arg],
    ) -> Result<()> {
        let Heads {
            n_heads,
            n_kv_heads,
            head_dim,
        } = self.heads;
        let ends = self.ends.pointer();
        let mut args: Vec<Arg> = Vec::with_capacity(40);
        for x in [self.q, self.k, self.v] {
            args.extend_from_slice(&[x.pointer.into(), x.stride.into()]);
        }
        args.extend_from_slice(&[
            ends.into(),
            ends.at::<u32>(self.q.n).into(),
            tasks.pointer().into(),
            (tasks.len() / TASK).into(),
        ]);
        let sizes = [self.q.n, n_heads, n_kv_heads, head_dim];
        args.extend(sizes.map(|size| Arg::U32(size as u32)));
        args.push(T::arg(self.attention.factor()));
        match &self.bias {
            Some(bias) => args.extend_from_slice(&[
                bias.table.into(),
                Arg::I64(bias.n_buckets as i64),
                Arg::I64(bias.offset),
                bias.queries.pointer().into(),
                bias.keys.pointer().into(),
            ]),
            None => args.extend_from_slice(&[
                Pointer::NULL.into(),
                Arg::I64(0),
                Arg::I64(0),
                Pointer::NULL.into(),
                Pointer::NULL.into(),
            ]),
        }
        match &self.dropout {
            Some(dropout) => args.extend_from_slice(&dropout.args::<T>()),
            None => {
                args.push(Arg::U64(0));
                args.extend_from_slice(&[Arg::U32(0); 5]);
                args.push(T::arg(1.0));
            }
        }
        args.extend_from_slice(rest);
        launch::<T>(self.device, shape.name, shape.grid::<T>(blocks), &args)
    }
}

/// Rows of `q`, `k` and `v`.
fn rows<T: Real>(operands: &Operands<'_>, heads: &Heads) -> Result<[Strided; 3]> {
    let (q_width, kv_width) = (heads.q_width(), heads.kv_width());
    Ok(match *operands {
        Operands::Separate { q, k, v } => [
            strided::<T>(q, "q", heads.n_heads, q_width)?,
            strided::<T>(k, "k", heads.n_kv_heads, kv_width)?,
            strided::<T>(v, "v", heads.n_kv_heads, kv_width)?,
        ],
        Operands::Packed { qkv } => {
            let all = heads.n_heads + 2 * heads.n_kv_heads;
            let qkv = strided::<T>(qkv, "qkv", all, all * heads.head_dim)?;
            columns::<T>(qkv, heads)
        }
    })
}

/// The columns of queries, keys and values in rows that hold all of them.
pub(super) fn columns<T>(qkv: Strided, heads: &Heads) -> [Strided; 3] {
    let (q_width, kv_width) = (heads.q_width(), heads.kv_width());
    [0, q_width, q_width + kv_width].map(|first| Strided {
        pointer: qkv.pointer.at::<T>(first),
        ..qkv
    })
}
