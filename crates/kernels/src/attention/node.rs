//! Attention on the tape.

use candle_core::{Result, Tensor, bail};

use super::Attention;
use super::backward::{Gradients, Known, backward};
use super::call::{Call, Heads};
use super::dropout::Dropout;
use super::forward::{Results, forward as run_forward};
use super::operands::{OperandGrads, Operands};
use crate::Real;
use crate::profile;
use crate::storage::{buffer, same_dtype, values, with_real};
use crate::tape::{Backward, Node, record};
use crate::view::{Rows, SharedRows};

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

    /// Checks that `n` rows of queries, keys and values are as many as the spans have.
    pub(super) fn check_rows(&self, n: [usize; 3]) -> Result<()> {
        let (n_queries, n_keys) = (self.spans.n_queries(), self.spans.n_keys());
        if n != [n_queries, n_keys, n_keys] {
            bail!(
                "attention: q, k, v have {n:?} rows, the spans {n_queries} queries and {n_keys} keys"
            );
        }
        Ok(())
    }

    /// Checks the chance that a weight is dropped; `None` if it is zero.
    pub(super) fn dropout(&self, n_queries: usize, n_keys: usize) -> Result<Option<Dropout>> {
        self.dropout
            .filter(|(chance, _)| *chance != 0.0)
            .map(|(chance, key)| Dropout::new(chance, key, n_queries, n_keys))
            .transpose()
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
        self.check_rows(borrowed.n())?;
        let (n_queries, n_keys) = (self.spans.n_queries(), self.spans.n_keys());
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
            dropout: self.dropout(n_queries, n_keys)?,
        };
        run(&call)
    }
}

/// Computes attention and records it.
pub(super) fn forward(operands: &Operands<'_>, attention: &Attention) -> Result<Tensor> {
    let table = attention.bias.as_ref().map(|bias| &bias.table);
    let args: Vec<&Tensor> = operands.tensors().into_iter().chain(table).collect();
    same_dtype(args[0], args.iter().copied())?;
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(args[0]) {
        return with_real!(args[0], T => {
            super::cuda::forward::<T>(device, operands, attention, &args)
        });
    }
    with_real!(args[0], T => {
        let heads = attention.heads()?;
        let (n, width) = (attention.spans.n_queries(), heads.q_width());
        let mut y = buffer::<T>(n * width);
        let mut log_sum = buffer::<T>(heads.n_heads * n);
        profile::count_pairs(2, width, || attention.spans.n_pairs());
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

    fn reads_output(&self) -> bool {
        true
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
        let (y, dy) = (values::<T>(pass.output()?)?, values::<T>(pass.grad)?);
        self.attention.call::<T, _>(&operands, table, |call| {
            let heads = &call.heads;
            let q_width = heads.q_width();
            profile::count_pairs(5, q_width, || call.spans.n_pairs());
            let mut gradients = OperandGrads::new(&pass.args[..n_operands]);
            let [q, k, v] = gradients.columns(heads)?;
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
            let mut grads = gradients.into_tensors(pass);
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
