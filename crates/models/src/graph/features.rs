//! The numbers of nodes as the first layer reads them.

use std::sync::Arc;

use attn_core::input::Rows;
use attn_core::pass::site_of;
use attn_core::{Dropout, Linear, Pass};
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use kernels::Edges;
use kernels::rng::Key;

/// Numbers fewer than this are not worth looking for zeros in.
const SMALL: usize = 1 << 14;
/// The least number of zeros to each number that is not zero, for a sparse product.
const ZEROS: usize = 7;

/// Numbers of nodes, all of them or, where most are zero as in a bag of words, the others.
#[derive(Debug)]
pub(super) enum Features {
    Dense(Tensor),
    /// A weighted edge from each column that is not zero to its row.
    Sparse(Arc<Edges>, Arc<[f32]>),
}

/// Drops numbers of nodes; the same share of those that are zero and those that are not.
#[derive(Debug, Clone, Copy)]
pub(super) struct FeatureDropout {
    p: f32,
    site: u32,
    dense: Dropout,
}

impl FeatureDropout {
    /// Creates the layer. It has no parameters; the prefix of `vb` is its place.
    pub(super) fn new(p: f32, vb: &VarBuilder) -> Self {
        Self {
            p,
            site: site_of(&vb.prefix()),
            dense: Dropout::new(p, vb),
        }
    }

    /// `rows` with some of their numbers dropped, if `pass` trains.
    pub(super) fn forward(
        self,
        rows: &Rows,
        pass: Pass,
        dtype: DType,
        device: &Device,
    ) -> Result<Features> {
        let key = pass.key(self.site).filter(|_| self.p > 0.0);
        if let Some(sparse) = sparse(rows, key.map(|key| (self.p, key)))? {
            return Ok(sparse);
        }
        let x = rows.to_tensor(device)?.to_dtype(dtype)?;
        self.dense.forward(&x, None, pass).map(Features::Dense)
    }
}

/// The numbers that are not zero, if they are few enough.
fn sparse(rows: &Rows, dropout: Option<(f32, Key)>) -> Result<Option<Features>> {
    let (all, width) = (rows.values(), rows.width());
    if all.len() < SMALL {
        return Ok(None);
    }
    let most = all.len() / (ZEROS + 1);
    let (mut offsets, mut columns, mut values) = (vec![0u32], Vec::new(), Vec::new());
    for (i, row) in all.chunks_exact(width).enumerate() {
        for (column, &value) in row.iter().enumerate().filter(|&(_, &value)| value != 0.0) {
            columns.push(column as u32);
            values.push(match dropout {
                Some((p, key)) if key.uniform((i * width + column) as u64) < p => 0.0,
                Some((p, _)) => value / (1.0 - p),
                None => value,
            });
        }
        if columns.len() > most {
            return Ok(None);
        }
        offsets.push(columns.len() as u32);
    }
    let edges = Edges::new(offsets, columns, width)?;
    Ok(Some(Features::Sparse(Arc::new(edges), values.into())))
}

impl Features {
    /// `x Wᵀ + b`
    ///
    /// # Shapes
    ///
    /// - returns: `[n, d_out]`
    pub(super) fn map(&self, linear: &Linear) -> Result<Tensor> {
        match self {
            Self::Dense(x) => linear.forward_with(x, None, None),
            Self::Sparse(columns, values) => {
                let weight = linear.weight().t()?.contiguous()?; // [d_in, d_out]
                let y = kernels::edge_sum(&weight, columns.clone(), values.clone())?;
                match linear.bias() {
                    Some(bias) => y.broadcast_add(bias),
                    None => Ok(y),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use attn_core::ParamStore;
    use candle_core::Var;
    use candle_nn::Init;
    use testkit::{assert_close, gradcheck_all};

    use super::*;

    /// 200 rows of 100 numbers, of which every 17th is not zero.
    fn bag() -> Result<Rows> {
        let value = |i: usize| {
            if i % 17 == 3 {
                1.0 + (i % 5) as f32
            } else {
                0.0
            }
        };
        Rows::new((0..200 * 100).map(value).collect::<Vec<f32>>(), 100)
    }

    fn linear(store: &ParamStore) -> Result<Linear> {
        let init = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        Linear::new(100, 3, true, init, store.var_builder())
    }

    #[test]
    fn the_sparse_product_is_the_dense_one() -> Result<()> {
        let store = ParamStore::new(1, DType::F64, &Device::Cpu);
        let linear = linear(&store)?;
        let rows = bag()?;
        let sparse = sparse(&rows, None)?.expect("most numbers are zero");
        let dense = rows.to_tensor(&Device::Cpu)?.to_dtype(DType::F64)?;
        let want = linear.forward_with(&dense, None, None)?;
        assert_close(&sparse.map(&linear)?, &want, 1e-12)?;
        let few = Rows::new(vec![1.0; SMALL], 4)?;
        assert!(super::sparse(&few, None)?.is_none());
        Ok(())
    }

    #[test]
    fn the_gradient_of_the_sparse_product_is_right() -> Result<()> {
        let weight = Var::from_tensor(&testkit::randn(3, (2, 100))?)?;
        let bias = Var::from_tensor(&testkit::randn(4, 2)?)?;
        let sparse = sparse(&bag()?, None)?.expect("most numbers are zero");
        gradcheck_all(&[("weight", &weight), ("bias", &bias)], || {
            let (weight, bias) = (weight.as_tensor().clone(), bias.as_tensor().clone());
            sparse.map(&Linear::from_tensors(weight, Some(bias)))
        })
    }

    /// Of 1,176 numbers about 706 are dropped; the deviation is 17.
    #[test]
    fn the_share_that_is_asked_for_is_dropped_and_the_rest_made_up_for() -> Result<()> {
        let vb = ParamStore::new(1, DType::F64, &Device::Cpu).var_builder();
        let dropout = FeatureDropout::new(0.6, &vb.pp("x"));
        let of = |pass| dropout.forward(&bag()?, pass, DType::F64, &Device::Cpu);
        let values = |features: Features| match features {
            Features::Sparse(_, values) => values,
            Features::Dense(x) => panic!("{x}"),
        };
        let (first, again) = (
            values(of(Pass::train(1, 2))?),
            values(of(Pass::train(1, 2))?),
        );
        assert_eq!(first, again);
        let dropped = first.iter().filter(|&&value| value == 0.0).count();
        assert!(
            (640..770).contains(&dropped),
            "{dropped} of {}",
            first.len()
        );
        let whole = values(of(Pass::eval())?);
        for (&kept, &value) in first.iter().zip(&*whole).filter(|&(&kept, _)| kept != 0.0) {
            assert!((kept * 0.4 - value).abs() < 1e-6);
        }
        Ok(())
    }
}
