//! Dot-product attention along edges, on the tape.

use candle_core::{Result, Tensor, bail};

use super::EdgeAttention;
use super::backward::{Gradients, backward};
use super::bias::add_up;
use super::call::Call;
use super::dropout::Dropout;
use super::forward::{Results, forward as run_forward};
use super::known::Known;
use super::pairs::stride;
use super::products::Ends;
use super::score::DotProduct;
use super::turn::{turn_back, turned};
use crate::Real;
use crate::attention::{Heads, OperandGrads, Operands, Turn};
use crate::profile;
use crate::storage::{buffer, same_dtype, tensor, values, with_real};
use crate::tape::{Backward, Node, record};
use crate::view::{Rows, SharedRows, Strided};

/// What may be added to the operands.
#[derive(Clone, Copy, Default)]
pub(super) struct Extras<'a> {
    pub(super) table: Option<&'a Tensor>,
    pub(super) features: Option<&'a Tensor>,
}

/// A checked call, and how queries and keys were turned.
pub(super) struct Checked<'a, 'b, T> {
    pub(super) call: &'a Call<'b, T, DotProduct<'b, T>>,
    turns: Option<[Turn<'b, T>; 2]>,
}

impl EdgeAttention {
    pub(super) fn extras(&self) -> Extras<'_> {
        Extras {
            table: self.bias.as_ref().map(|bias| &bias.table),
            features: self.features.as_ref(),
        }
    }

    pub(super) fn heads(&self) -> Result<Heads> {
        Heads::new(self.n_heads, self.n_kv_heads, self.head_dim)
    }

    /// Checks everything, and lends it to `run`. `extras` stand in for those in `self`.
    pub(super) fn check<T: Real, R>(
        &self,
        operands: &Operands<'_>,
        extras: Extras<'_>,
        run: impl FnOnce(Checked<'_, '_, T>) -> Result<R>,
    ) -> Result<R> {
        let heads = self.heads()?;
        let edges = &*self.edges;
        let borrowed = operands.borrow::<T>(&heads)?;
        let (n_queries, n_keys) = (edges.n_destinations(), edges.n_sources());
        if borrowed.n() != [n_queries, n_keys, n_keys] {
            bail!(
                "edge-attention: q, k, v have {:?} rows, the edges {n_queries} destinations and {n_keys} sources",
                borrowed.n()
            );
        }
        let [q, k, v] = borrowed.rows(&heads);
        let n_edges = edges.n_edges();
        let kv_width = heads.kv_width();
        let features = extras
            .features
            .map(|features| Strided::<T>::new(features, "features", heads.n_kv_heads, kv_width))
            .transpose()?;
        if let Some(features) = features.as_ref().filter(|rows| rows.n() != n_edges) {
            bail!(
                "edge-attention: features of {} edges for {n_edges}",
                features.n()
            );
        }
        let features = features.as_ref().map(|features| features.rows(0));
        let tables = self
            .rotary
            .as_ref()
            .map(|rotary| rotary.tables::<T>(heads.head_dim, n_queries, n_keys))
            .transpose()?;
        let turns = tables
            .as_ref()
            .map(|tables| [tables.queries(), tables.keys()]);
        let turned_rows = turns.map(|[by_query, by_key]| {
            [
                turned(q, n_queries, heads.q_width(), heads.head_dim, by_query),
                turned(k, n_keys, kv_width, heads.head_dim, by_key),
            ]
        });
        let [q, k] = match &turned_rows {
            None => [q, k],
            Some([q, k]) => [
                Rows::contiguous(q, heads.q_width()),
                Rows::contiguous(k, kv_width),
            ],
        };
        let bias = self.bias.as_ref().zip(extras.table);
        let call = Call {
            heads,
            edges,
            score: DotProduct {
                scale: T::from_f64(self.factor()),
                ends: Ends {
                    heads,
                    wide: q,
                    narrow: k,
                    extra: features,
                },
            },
            v,
            features,
            bias: bias
                .map(|(bias, table)| bias.borrow(table, heads.n_heads, n_edges))
                .transpose()?,
            dropout: Dropout::new(self.dropout, heads.n_heads)?,
        };
        run(Checked { call: &call, turns })
    }

    /// The factor of the scores.
    pub(super) fn factor(&self) -> f64 {
        self.scale
            .unwrap_or_else(|| 1.0 / (self.head_dim as f64).sqrt())
    }

    /// The same without the graphs of its tensors.
    fn detached(&self) -> Self {
        let mut settings = self.clone();
        if let Some(bias) = &mut settings.bias {
            bias.table = bias.table.detach();
        }
        settings.features = settings.features.map(|features| features.detach());
        settings
    }
}

/// Computes attention along edges and records it.
pub(super) fn forward(operands: &Operands<'_>, attention: &EdgeAttention) -> Result<Tensor> {
    let extras = attention.extras();
    let Extras { table, features } = extras;
    let args: Vec<&Tensor> = operands
        .tensors()
        .into_iter()
        .chain(table)
        .chain(features)
        .collect();
    same_dtype(args[0], args.iter().copied())?;
    with_real!(args[0], T => {
        let heads = attention.heads()?;
        let (n, width) = (attention.edges.n_destinations(), heads.q_width());
        let mut y = buffer::<T>(n * width);
        let stride = stride(heads.n_heads);
        let mut log_sum = buffer::<T>(n * stride);
        profile::count_pairs(2, width, || attention.edges.n_edges() as u64);
        attention.check::<T, _>(operands, extras, |checked| {
            run_forward(checked.call, &Results {
                y: SharedRows::new(&mut y, width),
                log_sum: SharedRows::new(&mut log_sum, stride),
            });
            Ok(())
        })?;
        let node = EdgeAttentionNode { attention: attention.detached(), log_sum };
        record(node, &args, y, (n, width))
    })
}

/// Arguments: `q, k, v` or `qkv`, then the table of the bias and the features, if any.
struct EdgeAttentionNode<T> {
    attention: EdgeAttention,
    /// `[n_destinations, stride]`
    log_sum: Vec<T>,
}

impl<T: Real> Node for EdgeAttentionNode<T> {
    fn name(&self) -> &'static str {
        "edge-attention"
    }

    fn reads_output(&self) -> bool {
        true
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let has_table = self.attention.bias.is_some();
        let has_features = self.attention.features.is_some();
        let n_operands = pass.args.len() - usize::from(has_table) - usize::from(has_features);
        let (operands, rest) = pass.args.split_at(n_operands);
        let operands = match operands {
            [q, k, v] => Operands::Separate { q, k, v },
            [qkv] => Operands::Packed { qkv },
            _ => bail!("edge-attention was recorded with {n_operands} operands"),
        };
        let extras = Extras {
            table: rest.first().filter(|_| has_table),
            features: rest.last().filter(|_| has_features),
        };
        let features_at = n_operands + usize::from(has_table);
        let (y, dy) = (values::<T>(pass.output()?)?, values::<T>(pass.grad)?);
        self.attention
            .check::<T, _>(&operands, extras, |Checked { call, turns }| {
                let heads = &call.heads;
                let (q_width, kv_width) = (heads.q_width(), heads.kv_width());
                profile::count_pairs(5, q_width, || call.edges.n_edges() as u64);
                let mut gradients = OperandGrads::new(&pass.args[..n_operands]);
                let [q, k, v] = gradients.columns(heads)?;
                let wants_features = has_features && pass.wanted[features_at];
                let n_features = if wants_features {
                    call.edges.n_edges()
                } else {
                    0
                };
                let mut features = buffer::<T>(n_features * kv_width);
                let table = call.bias.as_ref().filter(|_| pass.wanted[n_operands]);
                let n_numbers = table.map_or(0, |table| table.len());
                let mut sums = buffer::<T>(call.edges.incoming().pieces.len() * n_numbers);
                backward(
                    call,
                    &Known::new(heads, &self.log_sum, &y, &dy),
                    &Gradients {
                        destination: q,
                        source: k,
                        values: v,
                        features: wants_features.then(|| SharedRows::new(&mut features, kv_width)),
                        bias: table.map(|_| SharedRows::new(&mut sums, n_numbers)),
                    },
                );
                if let Some([by_query, by_key]) = turns {
                    let d = heads.head_dim;
                    let edges = call.edges;
                    turn_back(q, edges.incoming().pieces, q_width, d, by_query);
                    turn_back(k, edges.outgoing().pieces, kv_width, d, by_key);
                }
                let mut grads = gradients.into_tensors(pass);
                if has_table {
                    grads.push(pass.deliver(n_operands, |into: &mut [T], accumulate| {
                        add_up(&sums, heads.n_heads, into, accumulate);
                        Ok(())
                    })?);
                }
                if has_features {
                    let shape = pass.args[features_at].shape().clone();
                    grads.push(wants_features.then(|| tensor(features, shape)));
                }
                Ok(grads)
            })
    }
}
