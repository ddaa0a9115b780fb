//! Attention on a GPU, on the tape.

use candle_core::{CudaDevice, Result, Tensor, bail};

use super::super::Attention;
use super::super::operands::Operands;
use super::call::{Call, columns};
use super::copies::{Original, TASK};
use crate::Real;
use crate::cuda::{Arg, Buffer, Pointer, Strided, device_of_all, pointer, sum_partial};
use crate::profile;
use crate::tape::{Backward, Node, record_storage};

/// How many blocks share the queries where the gradient of a bias is wanted: so many tables are
/// held, and added in order.
const TABLES: usize = 512;

/// Computes attention and records it; `args` are the operands and the table of the bias.
pub(in super::super) fn forward<T: Real>(
    device: &CudaDevice,
    operands: &Operands<'_>,
    attention: &Attention,
    args: &[&Tensor],
) -> Result<Tensor> {
    let table = attention.bias.as_ref().map(|bias| &bias.table);
    let call = Call::<T>::new(device, attention, operands, table)?;
    let (n, width) = (call.n_queries(), call.heads.q_width());
    profile::count_pairs(2, width, || attention.spans.n_pairs());
    let y = Buffer::<T>::new(device, n * width)?;
    let log_sum = Buffer::<T>::new(device, call.heads.n_heads * n)?;
    let shape = call.kernels.forward;
    let tasks = call.tasks(Original::Queries(shape.rows))?;
    let blocks = tasks.len() / TASK * call.heads.n_heads;
    call.launch(
        shape,
        blocks,
        &tasks,
        &[y.pointer().into(), log_sum.pointer().into()],
    )?;
    let node = AttentionOnGpu {
        attention: attention.clone(),
        log_sum,
    };
    record_storage(node, args, y.into_storage(), (n, width))
}

/// Arguments: `q, k, v` or `qkv`, then the table of the bias if there is one.
struct AttentionOnGpu<T> {
    attention: Attention,
    /// `[n_heads, n_queries]`
    log_sum: Buffer<T>,
}

impl<T: Real> Node for AttentionOnGpu<T> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn reads_output(&self) -> bool {
        true
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let has_table = self.attention.bias.is_some();
        let n_operands = pass.args.len() - usize::from(has_table);
        let (args, table) = pass.args.split_at(n_operands);
        let operands = match args {
            [q, k, v] => Operands::Separate { q, k, v },
            [qkv] => Operands::Packed { qkv },
            _ => bail!("attention was recorded with {n_operands} operands"),
        };
        let device = device_of_all(args)?;
        let call = Call::<T>::new(device, &self.attention, &operands, table.first())?;
        profile::count_pairs(5, call.heads.q_width(), || self.attention.spans.n_pairs());

        let memory = |(arg, &wanted): (&Tensor, &bool)| {
            wanted
                .then(|| Buffer::<T>::new(device, arg.elem_count()))
                .transpose()
        };
        let grads = args
            .iter()
            .zip(pass.wanted)
            .map(memory)
            .collect::<Result<Vec<_>>>()?;
        let [dq, dk, dv] = places(&grads, &call);
        let delta = Buffer::<T>::new(device, self.log_sum.len())?;
        let known = [
            pointer::<T>(pass.output()?)?.into(),
            pointer::<T>(pass.grad)?.into(),
            self.log_sum.pointer().into(),
            delta.pointer().into(),
        ];
        let wants_table = has_table && pass.wanted[n_operands];
        let tables = by_queries(&call, &known, dq, wants_table)?;
        if dk.is_some() || dv.is_some() {
            by_keys(&call, &known, dk, dv)?;
        }

        let into_tensor = |(grad, arg): (Option<Buffer<T>>, &Tensor)| {
            grad.map(|grad| grad.into_tensor(arg.shape()))
        };
        let mut grads: Vec<_> = grads.into_iter().zip(args).map(into_tensor).collect();
        if has_table {
            let width = call.heads.n_heads * call.n_buckets();
            grads.push(match tables {
                Some(tables) => pass.deliver_on_gpu::<T>(n_operands, |into, accumulate| {
                    sum_partial::<T>(device, &tables, width, into, accumulate)
                })?,
                None => None,
            });
        }
        Ok(grads)
    }
}

/// Where the gradients of `q`, `k` and `v` go, if they are wanted.
fn places<T: Real>(grads: &[Option<Buffer<T>>], call: &Call<'_, T>) -> [Option<Strided>; 3] {
    let heads = &call.heads;
    let (q_width, kv_width) = (heads.q_width(), heads.kv_width());
    let (n_queries, n_keys) = (call.n_queries(), call.attention.spans.n_keys());
    let place = |grad: &Option<Buffer<T>>, n, stride| {
        let pointer = grad.as_ref()?.pointer();
        Some(Strided { pointer, n, stride })
    };
    match grads {
        [q, k, v] => [
            place(q, n_queries, q_width),
            place(k, n_keys, kv_width),
            place(v, n_keys, kv_width),
        ],
        all => match all
            .first()
            .and_then(|qkv| place(qkv, n_queries, q_width + 2 * kv_width))
        {
            Some(qkv) => columns::<T>(qkv, heads).map(Some),
            None => [None; 3],
        },
    }
}

/// A gradient as two arguments of a kernel: a place and a stride.
fn place_args(grad: Option<Strided>) -> [Arg; 2] {
    match grad {
        Some(Strided {
            pointer, stride, ..
        }) => [pointer.into(), stride.into()],
        None => [Pointer::NULL.into(), Arg::U64(0)],
    }
}

/// Gradients of the queries, and if they are wanted those of the table, in parts.
fn by_queries<T: Real>(
    call: &Call<'_, T>,
    known: &[Arg; 4],
    dq: Option<Strided>,
    wants_table: bool,
) -> Result<Option<Buffer<T>>> {
    let shape = call.kernels.by_queries;
    let tasks = call.tasks(Original::Queries(shape.rows))?;
    let (n_tasks, n_heads) = (tasks.len() / TASK, call.heads.n_heads);
    let (shares, tables) = match wants_table {
        true => {
            let shares = (TABLES / n_heads).min(n_tasks).max(1);
            let len = shares * n_heads * call.n_buckets();
            (shares, Some(Buffer::<T>::zeros(call.device, len)?))
        }
        false => (n_tasks, None),
    };
    let mut rest = known.to_vec();
    rest.extend(place_args(dq));
    rest.push(
        tables
            .as_ref()
            .map_or(Pointer::NULL, Buffer::pointer)
            .into(),
    );
    call.launch(shape, shares * n_heads, &tasks, &rest)?;
    if let Some(dq) = dq {
        call.turn_back_queries(dq)?;
    }
    Ok(tables)
}

/// Gradients of keys and values.
fn by_keys<T: Real>(
    call: &Call<'_, T>,
    known: &[Arg; 4],
    dk: Option<Strided>,
    dv: Option<Strided>,
) -> Result<()> {
    let shape = call.kernels.by_keys;
    let tasks = call.tasks(Original::Keys(shape.rows))?;
    let mut rest = known.to_vec();
    rest.extend(place_args(dk));
    rest.extend(place_args(dv));
    let blocks = tasks.len() / TASK * call.heads.n_kv_heads;
    call.launch(shape, blocks, &tasks, &rest)?;
    match dk {
        Some(dk) => call.turn_back_keys(dk),
        None => Ok(()),
    }
}
