//! Graph attention networks: Veličković et al. 2018 <https://arxiv.org/abs/1710.10903>.

use std::sync::Arc;

use attn_core::pass::site_of;
use attn_core::{Dropout, Linear, Pass};
use candle_core::{D, Result, Tensor};
use candle_nn::{Init, VarBuilder};
use kernels::{Edges, GatAttention};

use super::inputs::glorot;

/// Slope of the leaky ReLU of the scores below zero, §3.3.
const SLOPE: f64 = 0.2;

/// Sizes and rates of one layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct GatConfig {
    pub(super) d_in: usize,
    pub(super) n_heads: usize,
    /// Channels of a head.
    pub(super) head_dim: usize,
    /// Whether heads are averaged, as in a last layer; else they are joined and bent.
    pub(super) is_last: bool,
    /// Share of the input dropped.
    pub(super) dropout: f32,
    /// Share of attention weights dropped.
    pub(super) weights_dropout: f32,
}

/// Every node reads its neighbours, weighted by a score that adds a number of each end.
///
/// Parameters, under the prefix of the builder: `weight`, `[n_heads · head_dim, d_in]`;
/// `to` and `from`, `[n_heads, head_dim]`, which make the numbers of the node that reads
/// and of the one that is read; `bias`.
#[derive(Debug, Clone)]
pub(super) struct GatLayer {
    map: Linear,
    to: Tensor,
    from: Tensor,
    bias: Tensor,
    dropout: Dropout,
    weights_site: u32,
    config: GatConfig,
}

impl GatLayer {
    pub(super) fn new(config: GatConfig, vb: VarBuilder) -> Result<Self> {
        let GatConfig {
            d_in,
            n_heads,
            head_dim,
            is_last,
            ..
        } = config;
        let width = n_heads * head_dim;
        let scorer = |name| vb.get_with_hints((n_heads, head_dim), name, glorot(head_dim, 1));
        let n_bias = if is_last { head_dim } else { width };
        Ok(Self {
            map: Linear::new(d_in, width, false, glorot(d_in, head_dim), vb.clone())?,
            to: scorer("to")?,
            from: scorer("from")?,
            bias: vb.get_with_hints(n_bias, "bias", Init::Const(0.0))?,
            dropout: Dropout::new(config.dropout, &vb.pp("input")),
            weights_site: site_of(&vb.pp("weights").prefix()),
            config,
        })
    }

    /// The linear map of the layer, before nodes read each other.
    pub(super) fn map(&self) -> &Linear {
        &self.map
    }

    /// # Shapes
    ///
    /// - `x`: `[n, d_in]`
    /// - returns: `[n, n_heads · head_dim]`, or of a last layer `[n, head_dim]`
    pub(super) fn forward(&self, x: &Tensor, edges: &Arc<Edges>, pass: Pass) -> Result<Tensor> {
        let x = self.dropout.forward(x, None, pass)?;
        self.attend(&self.map.forward_with(&x, None, None)?, edges, pass)
    }

    /// What the layer makes of rows that its map has made.
    ///
    /// # Shapes
    ///
    /// - `x`: `[n, n_heads · head_dim]`
    /// - returns: as [`GatLayer::forward`]
    pub(super) fn attend(&self, x: &Tensor, edges: &Arc<Edges>, pass: Pass) -> Result<Tensor> {
        let GatConfig {
            n_heads,
            head_dim,
            is_last,
            weights_dropout,
            ..
        } = self.config;
        let by_head = x.reshape((x.dim(0)?, n_heads, head_dim))?;
        let score = |scorer: &Tensor| by_head.broadcast_mul(scorer)?.sum(D::Minus1); // [n, heads]
        let attention = GatAttention {
            n_heads,
            head_dim,
            edges: edges.clone(),
            slope: SLOPE,
            dropout: pass
                .key(self.weights_site)
                .filter(|_| weights_dropout > 0.0)
                .map(|key| (weights_dropout, key)),
        };
        let y = kernels::gat_attention(x, &score(&self.to)?, &score(&self.from)?, &attention)?;
        if is_last {
            let mean = y.reshape((y.dim(0)?, n_heads, head_dim))?.mean(1)?;
            return mean.broadcast_add(&self.bias);
        }
        y.broadcast_add(&self.bias)?.elu(1.0)
    }
}

#[cfg(test)]
mod tests {
    use attn_core::ParamStore;
    use candle_core::{DType, Device, Var};
    use testkit::{assert_close, gradcheck_all, randn};

    use super::*;

    const N: usize = 5;
    const D_IN: usize = 3;
    const HEADS: usize = 2;
    const CHANNELS: usize = 4;

    /// Node 4 reads nothing.
    fn edges() -> Result<Arc<Edges>> {
        let sources = vec![0, 1, 2, 0, 3, 4, 1, 2];
        Edges::new(vec![0, 3, 5, 7, 8, 8], sources, N).map(Arc::new)
    }

    fn layer(is_last: bool) -> Result<(ParamStore, GatLayer)> {
        let store = ParamStore::new(3, DType::F64, &Device::Cpu);
        let config = GatConfig {
            d_in: D_IN,
            n_heads: HEADS,
            head_dim: CHANNELS,
            is_last,
            dropout: 0.0,
            weights_dropout: 0.0,
        };
        let layer = GatLayer::new(config, store.var_builder())?;
        for (seed, (_, var)) in (50..).zip(store.named_vars()) {
            var.set(&randn(seed, var.shape())?)?;
        }
        Ok((store, layer))
    }

    /// Equations 1 to 6 of the paper, node by node.
    fn definition(x: &[Vec<f64>], layer: &GatLayer, edges: &Edges) -> Result<Vec<f64>> {
        let weight = layer.map.weight().to_vec2::<f64>()?;
        let (to, from) = (layer.to.to_vec2::<f64>()?, layer.from.to_vec2::<f64>()?);
        let bias = layer.bias.to_vec1::<f64>()?;
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mapped = |i: usize, h: usize| -> Vec<f64> {
            let rows = weight[h * CHANNELS..(h + 1) * CHANNELS].iter();
            rows.map(|w| dot(w, &x[i])).collect()
        };
        let mut all = Vec::new();
        for i in 0..N {
            let mut heads = Vec::new();
            for h in 0..HEADS {
                let score = |j: u32| {
                    let s = dot(&to[h], &mapped(i, h)) + dot(&from[h], &mapped(j as usize, h));
                    if s > 0.0 { s } else { SLOPE * s }
                };
                let weights: Vec<f64> = edges.sources(i).iter().map(|&j| score(j).exp()).collect();
                let sum: f64 = weights.iter().sum();
                let mut read = vec![0.0; CHANNELS];
                for (&j, w) in edges.sources(i).iter().zip(&weights) {
                    for (y, v) in read.iter_mut().zip(mapped(j as usize, h)) {
                        *y += w / sum * v;
                    }
                }
                heads.push(read);
            }
            if layer.config.is_last {
                let mean = |c: usize| heads.iter().map(|head| head[c]).sum::<f64>() / HEADS as f64;
                all.extend((0..CHANNELS).map(|c| mean(c) + bias[c]));
            } else {
                let joined = heads.concat().into_iter().zip(&bias).map(|(y, b)| y + b);
                all.extend(joined.map(|y| if y > 0.0 { y } else { y.exp_m1() }));
            }
        }
        Ok(all)
    }

    #[test]
    fn oracle_a_layer_is_the_equations_of_the_paper() -> Result<()> {
        for is_last in [false, true] {
            let (_, layer) = layer(is_last)?;
            let x = randn(1, (N, D_IN))?;
            let got = layer.forward(&x, &edges()?, Pass::eval())?;
            let want = definition(&x.to_vec2::<f64>()?, &layer, &*edges()?)?;
            let want = Tensor::from_vec(want, got.shape(), x.device())?;
            assert_close(&got, &want, 1e-12)?;
        }
        Ok(())
    }

    #[test]
    fn the_gradient_of_a_layer_is_right() -> Result<()> {
        for is_last in [false, true] {
            let (store, layer) = layer(is_last)?;
            let x = Var::from_tensor(&randn(2, (N, D_IN))?)?;
            let named = store.named_vars();
            let mut inputs: Vec<(&str, &Var)> = named
                .iter()
                .map(|(name, var)| (name.as_str(), var))
                .collect();
            inputs.push(("x", &x));
            gradcheck_all(&inputs, || layer.forward(&x, &edges()?, Pass::eval()))?;
        }
        Ok(())
    }
}
