//! What attention reads, and where the gradients of it go.

use candle_core::{Result, Tensor, bail};

use super::call::Heads;
use crate::Real;
use crate::storage::{buffer, tensor};
use crate::tape::Backward;
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

/// Gradients of the operands, zero at first.
pub(crate) struct OperandGrads<T>(Vec<Vec<T>>);

impl<T: Real> OperandGrads<T> {
    /// Room for the gradients of `q, k, v` or of `qkv`.
    pub(crate) fn new(operands: &[Tensor]) -> Self {
        Self(operands.iter().map(|x| buffer(x.elem_count())).collect())
    }

    /// Those of `q`, `k` and `v`.
    ///
    /// # Errors
    ///
    /// Fails if there are neither three operands nor one.
    pub(crate) fn columns(&mut self, heads: &Heads) -> Result<[Columns<'_, T>; 3]> {
        let (q_width, kv_width) = (heads.q_width(), heads.kv_width());
        Ok(match self.0.as_mut_slice() {
            [q, k, v] => [(q, q_width), (k, kv_width), (v, kv_width)].map(|(all, width)| Columns {
                rows: SharedRows::new(all, width),
                first: 0,
            }),
            [qkv] => {
                let rows = SharedRows::new(qkv, q_width + 2 * kv_width);
                [0, q_width, q_width + kv_width].map(|first| Columns { rows, first })
            }
            other => bail!("attention was recorded with {} operands", other.len()),
        })
    }

    /// Those that `pass` wants, in the order of the operands.
    pub(crate) fn into_tensors(self, pass: &Backward<'_>) -> Vec<Option<Tensor>> {
        let grads = self.0.into_iter().zip(pass.args).zip(pass.wanted);
        grads
            .map(|((grad, arg), wanted)| wanted.then(|| tensor(grad, arg.shape())))
            .collect()
    }
}
