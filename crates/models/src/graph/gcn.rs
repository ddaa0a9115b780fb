//! Graph convolutional networks: Kipf & Welling 2017 <https://arxiv.org/abs/1609.02907>.

use std::sync::Arc;

use attn_core::{Dropout, Linear, Pass};
use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use kernels::{Activation, Edges};

use super::inputs::glorot;

/// `relu(Â x Wᵀ + b)`; a last layer bends nothing.
///
/// Parameters, under the prefix of the builder: `weight`, `[d_out, d_in]`, `bias`.
#[derive(Debug, Clone)]
pub(super) struct GcnLayer {
    map: Linear,
    bias: Tensor,
    dropout: Dropout,
    is_last: bool,
}

impl GcnLayer {
    /// `dropout` is the share of the input that is dropped.
    pub(super) fn new(
        [d_in, d_out]: [usize; 2],
        is_last: bool,
        dropout: f32,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            map: Linear::new(d_in, d_out, false, glorot(d_in, d_out), vb.clone())?,
            bias: vb.get_with_hints(d_out, "bias", Init::Const(0.0))?,
            dropout: Dropout::new(dropout, &vb.pp("input")),
            is_last,
        })
    }

    /// The linear map of the layer, before nodes read each other.
    pub(super) fn map(&self) -> &Linear {
        &self.map
    }

    /// # Shapes
    ///
    /// - `x`: `[n, d_in]`
    /// - `weights`: those of [`propagation`]
    /// - returns: `[n, d_out]`
    pub(super) fn forward(
        &self,
        x: &Tensor,
        edges: &Arc<Edges>,
        weights: &Arc<[f32]>,
        pass: Pass,
    ) -> Result<Tensor> {
        let x = self.dropout.forward(x, None, pass)?;
        self.propagate(&self.map.forward_with(&x, None, None)?, edges, weights)
    }

    /// What the layer makes of rows that its map has made.
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, d_out]`
    /// - returns: `[n, d_out]`
    pub(super) fn propagate(
        &self,
        x: &Tensor,
        edges: &Arc<Edges>,
        weights: &Arc<[f32]>,
    ) -> Result<Tensor> {
        let y = kernels::edge_sum(x, edges.clone(), weights.clone())?;
        let y = y.broadcast_add(&self.bias)?;
        match self.is_last {
            true => Ok(y),
            false => kernels::activate(&y, Activation::Relu),
        }
    }
}

/// `1/√(dᵢ dⱼ)` of each edge, where `d` counts the edges into a node: the symmetric
/// normalisation of §2, whose edges of nodes to themselves are those of the data.
pub(super) fn propagation(edges: &Edges) -> Arc<[f32]> {
    let degree = |i: usize| edges.sources(i).len().max(1) as f64;
    let weight = |i: usize, j: u32| (degree(i) * degree(j as usize)).sqrt().recip() as f32;
    let of = |i| edges.sources(i).iter().map(move |&j| weight(i, j));
    (0..edges.n_destinations()).flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use attn_core::ParamStore;
    use candle_core::{DType, Device, Var};
    use testkit::{assert_close, gradcheck_all, randn};

    use super::*;

    /// A path of three nodes that read themselves, too.
    fn edges() -> Result<Arc<Edges>> {
        Edges::new(vec![0, 2, 5, 7], vec![0, 1, 0, 1, 2, 1, 2], 3).map(Arc::new)
    }

    #[test]
    fn oracle_a_layer_is_a_product_with_the_normalised_matrix() -> Result<()> {
        let store = ParamStore::new(3, DType::F64, &Device::Cpu);
        let layer = GcnLayer::new([2, 4], false, 0.0, store.var_builder())?;
        let x = Var::from_tensor(&randn(1, (3, 2))?)?;
        let edges = edges()?;
        let weights = propagation(&edges);
        let got = layer.forward(&x, &edges, &weights, Pass::eval())?;
        let (half, third, mixed) = (0.5, 1.0 / 3.0, 1.0 / 6f64.sqrt());
        let matrix = [
            [half, mixed, 0.0],
            [mixed, third, mixed],
            [0.0, mixed, half],
        ];
        let matrix = Tensor::new(&matrix, &Device::Cpu)?;
        let want = matrix.matmul(&x.matmul(&layer.map.weight().t()?)?)?;
        let want = want.broadcast_add(&layer.bias)?.relu()?;
        // The weights of edges are `f32`.
        assert_close(&got, &want, 1e-7)?;
        let named = store.named_vars();
        let mut inputs: Vec<(&str, &Var)> = named
            .iter()
            .map(|(name, var)| (name.as_str(), var))
            .collect();
        inputs.push(("x", &x));
        gradcheck_all(&inputs, || {
            layer.forward(&x, &edges, &weights, Pass::eval())
        })
    }
}
