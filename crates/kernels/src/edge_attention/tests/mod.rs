//! What the tests of attention along edges share: random graphs, and cases.

mod gat;
mod gradient;
mod oracle;
mod property;

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, Var};
use testkit::{oracle as plain, rand_ids, randn};

use super::{EdgeAttention, EdgeBias, edge_attention};
use crate::rng::{Domain, Key};
use crate::{Edges, Rotary};

/// A key to draw dropout with.
fn key() -> Key {
    Key {
        seed: 11,
        domain: Domain::Dropout,
        step: 3,
        site: 4,
    }
}

/// Distinct random edges into `n` rows out of `m`: each row reads up to `most` others,
/// some read nothing, and row 0 reads all if `hub`.
fn random(seed: u64, (n, m): (usize, usize), most: usize, hub: bool) -> Result<Arc<Edges>> {
    let draws = rand_ids(seed, n * (most + 1) + 1, 1 << 16);
    let mut offsets = vec![0];
    let mut sources = Vec::new();
    for i in 0..n {
        let draws = &draws[i * (most + 1)..(i + 1) * (most + 1)];
        let mut row: Vec<u32> = match i {
            0 if hub => (0..m as u32).collect(),
            _ => draws[1..=draws[0] as usize % (most + 1)]
                .iter()
                .map(|j| j % m as u32)
                .collect(),
        };
        row.sort_unstable();
        row.dedup();
        sources.extend(row);
        offsets.push(sources.len() as u32);
    }
    Ok(Arc::new(Edges::new(offsets, sources, m)?))
}

/// Number of the edge from `j` into `i`, if there is one.
fn number(edges: &Edges, i: usize, j: usize) -> Option<usize> {
    let place = edges.sources(i).binary_search(&(j as u32)).ok()?;
    Some(edges.edges(i).start + place)
}

/// What dropout multiplies the weight of an edge by.
fn keep(dropout: Option<(f32, Key)>, n_heads: usize, edge: usize, head: usize) -> f64 {
    let Some((chance, key)) = dropout else {
        return 1.0;
    };
    let word = key.word((4 * n_heads.div_ceil(4) * edge + head) as u64);
    let chance = f64::from(chance);
    match f64::from(word) < (chance * 2f64.powi(32)).floor() {
        true => 0.0,
        false => 1.0 / (1.0 - chance),
    }
}

/// What a case has besides edges and sizes.
#[derive(Debug, Clone, Copy, Default)]
struct With {
    features: bool,
    /// Turned channels, if any.
    rotary: usize,
    /// Buckets of the bias, if any.
    buckets: usize,
    dropout: bool,
}

/// Nothing, each alone, and all together.
const WITH: [With; 6] = {
    let none = With {
        features: false,
        rotary: 0,
        buckets: 0,
        dropout: false,
    };
    [
        none,
        With {
            features: true,
            ..none
        },
        With { rotary: 2, ..none },
        With { buckets: 3, ..none },
        With {
            dropout: true,
            ..none
        },
        With {
            features: true,
            rotary: 4,
            buckets: 5,
            dropout: true,
        },
    ]
};

/// One setting of attention along edges with inputs to try it on, all `f64`.
#[derive(Debug, Clone)]
struct Case {
    attention: EdgeAttention,
    q: Tensor,
    k: Tensor,
    v: Tensor,
}

impl Case {
    fn new(
        edges: Arc<Edges>,
        (n_heads, n_kv_heads, head_dim): (usize, usize, usize),
        with: With,
    ) -> Result<Self> {
        let (n, m, e) = (edges.n_destinations(), edges.n_sources(), edges.n_edges());
        let positions = |n: usize| (0..n as u32).map(|i| i * 5 % 7).collect::<Arc<[u32]>>();
        let turned = with.rotary.min(head_dim / 2 * 2);
        let rotary = match turned {
            0 => None,
            turned => {
                let (cos, sin) = plain::rope_tables(7, turned, 100.0)?;
                Some(Rotary {
                    cos,
                    sin,
                    query_positions: positions(n),
                    key_positions: positions(m),
                })
            }
        };
        let bias = match with.buckets {
            0 => None,
            buckets => Some(EdgeBias {
                table: randn(9, (n_heads, buckets))?,
                buckets: rand_ids(10, e, buckets as u32).into(),
            }),
        };
        let features = match with.features {
            true => Some(randn(8, (e, n_kv_heads * head_dim))?),
            false => None,
        };
        Ok(Self {
            attention: EdgeAttention {
                n_kv_heads,
                features,
                rotary,
                bias,
                dropout: with.dropout.then(|| (0.4, key())),
                ..EdgeAttention::new(n_heads, head_dim, edges)
            },
            q: randn(1, (n, n_heads * head_dim))?,
            k: randn(2, (m, n_kv_heads * head_dim))?,
            v: randn(3, (m, n_kv_heads * head_dim))?,
        })
    }

    /// The same with inputs and tables of another type.
    fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let mut case = self.clone();
        let attention = &mut case.attention;
        let tables = attention.bias.as_mut().map(|bias| &mut bias.table);
        let angles = attention.rotary.as_mut().map(|r| [&mut r.cos, &mut r.sin]);
        let inputs = [&mut case.q, &mut case.k, &mut case.v];
        let all = inputs
            .into_iter()
            .chain(tables)
            .chain(attention.features.as_mut())
            .chain(angles.into_iter().flatten());
        for x in all {
            *x = x.to_dtype(dtype)?;
        }
        Ok(case)
    }

    fn run(&self) -> Result<Tensor> {
        edge_attention(&self.q, &self.k, &self.v, &self.attention)
    }

    /// What the definition gives, `f64`: for each destination, dense attention in which
    /// the keys and values are those of its edges.
    fn want(&self) -> Result<Tensor> {
        let attention = &self.attention;
        let edges = &*attention.edges;
        let EdgeAttention {
            n_heads,
            n_kv_heads,
            head_dim,
            ..
        } = *attention;
        let turn = |x: &Tensor, heads, of_queries: bool| match &attention.rotary {
            None => x.to_vec2::<f64>(),
            Some(rotary) => {
                let positions = match of_queries {
                    true => &rotary.query_positions,
                    false => &rotary.key_positions,
                };
                rotate_half(x, rotary, heads, head_dim, positions)
            }
        };
        let q = turn(&self.q, n_heads, true)?;
        let k = turn(&self.k, n_kv_heads, false)?;
        let v = self.v.to_vec2::<f64>()?;
        let features = attention.features.as_ref();
        let features = features.map(|x| x.to_vec2::<f64>()).transpose()?;
        let table = attention.bias.as_ref();
        let table = table.map(|bias| bias.table.to_vec2::<f64>()).transpose()?;
        let mut y = Vec::new();
        for (i, q) in q.iter().enumerate() {
            let of_row = edges.edges(i);
            if of_row.is_empty() {
                y.extend(vec![0.0; n_heads * head_dim]);
                continue;
            }
            let with_features = |x: &[Vec<f64>]| -> Result<Tensor> {
                let rows = of_row.clone().zip(edges.sources(i)).map(|(e, &j)| {
                    let row = x[j as usize].iter().enumerate();
                    let extra = |c: usize| features.as_ref().map_or(0.0, |x| x[e][c]);
                    row.map(|(c, x)| x + extra(c)).collect::<Vec<_>>()
                });
                Tensor::new(rows.collect::<Vec<_>>(), self.q.device())
            };
            let bias = |h: usize, _: usize, at: usize| {
                let buckets = attention.bias.as_ref().map(|bias| &bias.buckets);
                let bucket = buckets.map_or(0, |b| b[of_row.start + at] as usize);
                table.as_ref().map_or(0.0, |table| table[h][bucket])
            };
            let keep = |h: usize, _: usize, at: usize| {
                keep(attention.dropout, n_heads, of_row.start + at, h)
            };
            let plain = plain::Attention {
                n_heads,
                n_kv_heads,
                scale: attention.factor(),
                rotary: None,
                bias: Some(&bias),
                keep: Some(&keep),
            };
            let q = Tensor::new(vec![q.clone()], self.q.device())?;
            let row = plain::attention(
                &q,
                &with_features(&k)?,
                &with_features(&v)?,
                &plain,
                |_, _| true,
            )?;
            y.extend(row.flatten_all()?.to_vec1::<f64>()?);
        }
        Tensor::from_vec(y, (q.len(), n_heads * head_dim), self.q.device())
    }

    /// The inputs as variables: queries, keys, values, and table and features if any.
    fn vars(&mut self) -> Result<Vec<(&'static str, Var)>> {
        let mut vars = Vec::new();
        let table = self.attention.bias.as_mut().map(|bias| &mut bias.table);
        let table = table.map(|table| ("table", table));
        let features = self.attention.features.as_mut().map(|x| ("features", x));
        let inputs = [("q", &mut self.q), ("k", &mut self.k), ("v", &mut self.v)];
        for (name, x) in inputs.into_iter().chain(table).chain(features) {
            let var = Var::from_tensor(x)?;
            *x = var.as_tensor().clone();
            vars.push((name, var));
        }
        Ok(vars)
    }

    /// Gradients of a fixed contraction of the results by all inputs.
    fn gradients(mut self) -> Result<Vec<Tensor>> {
        let vars = self.vars()?;
        let y = self.run()?;
        let cotangent = randn(77, y.shape())?.to_dtype(y.dtype())?;
        let grads = (y * cotangent)?.sum_all()?.backward()?;
        let grad = |(_, var): &(_, Var)| Ok(grads.get(var.as_tensor()).unwrap().clone());
        vars.iter().map(grad).collect()
    }
}

/// Channels `c` and `c + half` turned by the angle of each row; the rest as they are.
fn rotate_half(
    x: &Tensor,
    rotary: &Rotary,
    heads: usize,
    head_dim: usize,
    positions: &[u32],
) -> Result<Vec<Vec<f64>>> {
    let (cos, sin) = (rotary.cos.to_vec2::<f64>()?, rotary.sin.to_vec2::<f64>()?);
    let half = cos[0].len();
    let mut rows = x.to_vec2::<f64>()?;
    for (row, &position) in rows.iter_mut().zip(positions) {
        let (cos, sin) = (&cos[position as usize], &sin[position as usize]);
        for head in 0..heads {
            for c in 0..half {
                let (a, b) = (head * head_dim + c, head * head_dim + half + c);
                let (x, y) = (row[a], row[b]);
                (row[a], row[b]) = (x * cos[c] - y * sin[c], y * cos[c] + x * sin[c]);
            }
        }
    }
    Ok(rows)
}
