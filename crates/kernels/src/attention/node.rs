//! Attention on the tape.

use candle_core::{Result, Tensor, bail};

use super::Attention;
use super::backward::{Gradients, Known, backward};
use super::call::{Call, Heads};
use super::dropout::Dropout;
use super::forward::{Results, forward as run_forward};
use crate::Real;
use crate::storage::{buffer, same_dtype, tensor, values, with_real};
use crate::tape::{Backward, Node, record};
use crate::view::{Columns, Rows, SharedRows, Strided};

/// The tensors that attention reads.
pub(crate) enum Operands<'a> {
    Separate {
        q: &'a Tensor,
        k: &'a Tensor,
        v: &'a Tensor,
    },
    Packed {
        qkv: &'a Tensor,
    },
}

impl<'a> Operands<'a> {
    pub(crate) fn tensors(&self) -> Vec<&'a Tensor> {
        match *self {
            Self::Separate { q, k, v } => vec![q, k, v],
            Self::Packed { qkv } => vec![qkv],
        }
    }

    /// Borrows the memory of all operands.
    pub(crate) fn borrow<T: Real>(&self, heads: &Heads) -> Result<Borrowed<'a, T>> {
        let (q_width, kv_width) = (heads.q_width(), heads.kv_width());
        Ok(match *self {
            Self::Separate { q, k, v } => Borrowed::Separate([
                Strided::new(q, "q", heads.n_heads, q_width)?,
                Strided::new(k, "k", heads.n_kv_heads, kv_width)?,
                Strided::new(v, "v", heads.n_kv_heads, kv_width)?,
            ]),
            Self::Packed { qkv } => {
                let all = heads.n_heads + 2 * heads.n_kv_heads;
                Borrowed::Packed(Strided::new(qkv, "qkv", all, all * heads.head_dim)?)
            }
        })
    }
}

/// The memory of the operands.
pub(crate) enum Borrowed<'a, T> {
    Separate([Strided<'a, T>; 3]),
    Packed(Strided<'a, T>),
}

impl<T: Real> Borrowed<'_, T> {
    /// Number of rows of `q`, `k` and `v`.
    pub(crate) fn n(&self) -> [usize; 3] {
        match self {
            Self::Separate(all) => all.each_ref().map(Strided::n),
            Self::Packed(qkv) => [qkv.n(); 3],
        }
    }

    /// Rows of `q`, `k` and `v`.
    pub(crate) fn rows(&self, heads: &Heads) -> [Rows<'_, T>; 3] {
        match self {
            Self::Separate(all) => all.each_ref().map(|x| x.rows(0)),
            Self::Packed(qkv) => {
                let (q, kv) = (heads.q_width(), heads.kv_width());
                [qkv.rows(0), qkv.rows(q), qkv.rows(q + kv)]
            }
        }
    }
}

impl Attention {
    /// Checks that heads divide.
    pub(super) fn heads(&self) -> Result<Heads> {
        let &Self {
            n_heads,
            n_kv_heads,
            head_dim,
            ..
        } = self;
        Heads::new(n_heads, n_kv_heads, head_dim)
    }

    /// The factor of the scores.
    pub(super) fn factor(&self) -> f64 {
        self.scale
            .unwrap_or_else(|| 1.0 / (self.head_dim as f64).sqrt())
    }

    /// Checks everything, and lends it to `run`. `table` stands in for the table of
    /// the bias.
    pub(super) fn call<T: Real, R>(
        &self,
        operands: &Operands<'_>,
        table: Option<&Tensor>,
        run: impl FnOnce(&Call<'_, T>) -> Result<R>,
    ) -> Result<R> {
        let heads = self.heads()?;
        let borrowed = operands.borrow::<T>(&heads)?;
        let (n_queries, n_keys) = (self.spans.n_queries(), self.spans.n_keys());
        if borrowed.n() != [n_queries, n_keys, n_keys] {
            bail!(
                "attention: q, k, v have {:?} rows, the spans {n_queries} queries and {n_keys} keys",
                borrowed.n()
            );
        }
        let [q, k, v] = borrowed.rows(&heads);
        let rotary = self.rotary.as_ref();
        let bias = self.bias.as_ref().zip(table);
        let call = Call {
            heads,
            scale: T::from_f64(self.factor()),
            q,
            k,
            v,
            spans: &self.spans,
            rotary: rotary
                .map(|rotary| rotary.tables(heads.head_dim, n_queries, n_keys))
                .transpose()?,
            bias: bias
                .map(|(bias, table)| bias.borrow(table, heads.n_heads, n_queries, n_keys))
                .transpose()?,
            dropout: self
                .dropout
                .filter(|(chance, _)| *chance != 0.0)
                .map(|(chance, key)| Dropout::new(chance, key, n_queries, n_keys))
                .transpose()?,
        };
        run(&call)
    }
}

/// Computes attention and records it.
pub(super) fn forward(operands: &Operands<'_>, attention: &Attention) -> Result<Tensor> {
    let table = attention.bias.as_ref().map(|bias| &bias.table);
    let args: Vec<&Tensor> = operands.tensors().into_iter().chain(table).collect();
    same_dtype(args[0], args.iter().copied())?;
    with_real!(args[0], T => {
        let heads = attention.heads()?;
        let (n, width) = (attention.spans.n_queries(), heads.q_width());
        let mut y = buffer::<T>(n * width);
        let mut log_sum = buffer::<T>(heads.n_heads * n);
        attention.call::<T, _>(operands, table, |call| {
            run_forward(call, Results {
                y: SharedRows::new(&mut y, width),
                log_sum: SharedRows::new(&mut log_sum, n),
            });
            Ok(())
        })?;
        let node = AttentionNode { attention: attention.clone(), log_sum };
        record(node, &args, y, (n, width))
    })
}

/// Arguments: `q, k, v` or `qkv`, then the table of the bias if there is one.
struct AttentionNode<T> {
    attention: Attention,
    /// `[n_heads, n_queries]`
    log_sum: Vec<T>,
}

impl<T: Real> Node for AttentionNode<T> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let has_table = self.attention.bias.is_some();
        let (operands, table) = match pass.args {
            [q, k, v, table @ ..] if pass.args.len() >= 3 => {
                (Operands::Separate { q, k, v }, table.first())
            }
            [qkv, table @ ..] => (Operands::Packed { qkv }, table.first()),
            [] => bail!("attention was recorded without arguments"),
        };
        debug_assert_eq!(has_table, table.is_some());
        let n_operands = pass.args.len() - usize::from(has_table);
        let (y, dy) = (values::<T>(pass.output)?, values::<T>(pass.grad)?);
        self.attention.call::<T, _>(&operands, table, |call| {
            let heads = &call.heads;
            let (q_width, kv_width) = (heads.q_width(), heads.kv_width());
            let mut gradients: Vec<Vec<T>> = pass.args[..n_operands]
                .iter()
                .map(|arg| buffer(arg.elem_count()))
                .collect();
            let [q, k, v] = match gradients.as_mut_slice() {
                [q, k, v] => {
                    [(q, q_width), (k, kv_width), (v, kv_width)].map(|(all, width)| Columns {
                        rows: SharedRows::new(all, width),
                        first: 0,
                    })
                }
                [qkv, ..] => {
                    let rows = SharedRows::new(qkv, q_width + 2 * kv_width);
                    [0, q_width, q_width + kv_width].map(|first| Columns { rows, first })
                }
                [] => bail!("attention was recorded without operands"),
            };
            let wanted = call.bias.as_ref().filter(|_| pass.wanted[n_operands]);
            let n_buckets = wanted.map_or(0, |table| table.n_buckets);
            let n_heads = heads.n_heads;
            let mut tables = buffer::<T>(call.spans.segments().len() * n_heads * n_buckets);
            let known = Known {
                y: Rows::contiguous(&y, q_width),
                dy: Rows::contiguous(&dy, q_width),
                log_sum: &self.log_sum,
            };
            backward(
                call,
                &known,
                Gradients {
                    q,
                    k,
                    v,
                    bias: wanted.map(|_| SharedRows::new(&mut tables, n_buckets)),
                },
            );
            let mut grads: Vec<Option<Tensor>> = gradients
                .into_iter()
                .enumerate()
                .map(|(i, grad)| pass.wanted[i].then(|| tensor(grad, pass.args[i].shape().clone())))
                .collect();
            if has_table {
                grads.push(pass.deliver(n_operands, |into: &mut [T], accumulate| {
                    if !accumulate {
                        into.fill(T::zero());
                    }
                    for segment in tables.chunks_exact(n_heads * n_buckets) {
                        into.iter_mut().zip(segment).for_each(|(sum, &g)| *sum += g);
                    }
                    Ok(())
                })?);
            }
            Ok(grads)
        })
    }
}
