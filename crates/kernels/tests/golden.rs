//! Every operation against the values that `scripts/golden.py` had from PyTorch.
//!
//! The files hold results and gradients that were computed in `f64` and rounded to
//! `f32` once. Each case is run in both types.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use kernels::optim::{AdamW, Optimizer, Parameter, Rule, Sgd, Update, clip_factor};
use kernels::{
    Activation, Attention, CrossEntropy, EdgeAttention, EdgeBias, Edges, GatAttention,
    RelativeBias, Rotary, Spans,
};
use testkit::assert_close;

#[path = "golden/sequences.rs"]
mod sequences;

const NORM_EPS: f64 = 1e-5;

/// The tensors of one file, and the type to compute in.
struct Golden {
    tensors: HashMap<String, Tensor>,
    dtype: DType,
}

impl Golden {
    /// The file `name`, once for each type.
    fn load(name: &str) -> Result<[Self; 2]> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let path = path.join(format!("{name}.safetensors"));
        let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
        Ok([DType::F32, DType::F64].map(|dtype| Self {
            tensors: tensors.clone(),
            dtype,
        }))
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        let Some(x) = self.tensors.get(name) else {
            candle_core::bail!("the file has no `{name}`");
        };
        x.to_dtype(self.dtype)
    }

    fn var(&self, name: &str) -> Result<Var> {
        Var::from_tensor(&self.tensor(name)?)
    }

    fn ids(&self, name: &str) -> Result<Arc<[u32]>> {
        Ok(self.tensors[name].to_vec1::<u32>()?.into())
    }

    /// In `f64` only the rounding of the file is left, half an ulp of `f32`. In
    /// `f32` sums of a dozen products stay within four ulp; the derivative of GELU
    /// multiplies the rounding of `1 − tanh` by up to `x u'(x)`, about twenty, where
    /// it is half an ulp: sixteen ulp.
    fn tolerance(&self) -> f64 {
        let ulp = f64::from(f32::EPSILON);
        if self.dtype == DType::F64 {
            0.6 * ulp
        } else {
            16.0 * ulp
        }
    }

    /// Compares `y` with `case.y`, and the gradient by each input, of `Σ y dy` if
    /// the file has a `case.dy` or a `dy`, with `case.d…`.
    #[track_caller]
    fn check(&self, case: &str, y: &Tensor, inputs: &[(&str, &Var)]) -> Result<()> {
        assert_close(y, &self.tensor(&format!("{case}.y"))?, self.tolerance())?;
        let of_case = format!("{case}.dy");
        let dy = [of_case.as_str(), "dy"]
            .into_iter()
            .find(|dy| self.tensors.contains_key(*dy));
        let loss = match dy {
            Some(dy) => (y * self.tensor(dy)?)?.sum_all()?,
            None => y.clone(),
        };
        let grads = loss.backward()?;
        for (name, x) in inputs {
            let Some(grad) = grads.get(x) else {
                panic!("{case}: no gradient reached {name}");
            };
            assert_close(
                grad,
                &self.tensor(&format!("{case}.d{name}"))?,
                self.tolerance(),
            )?;
        }
        Ok(())
    }
}

#[test]
fn linear_agrees_with_every_activation() -> Result<()> {
    for golden in Golden::load("linear")? {
        let [x, w, bias, residual] = ["x", "w", "bias", "residual"].map(|name| golden.var(name));
        let (x, w, bias, residual) = (x?, w?, bias?, residual?);
        let y = kernels::linear(&x, &w, None, None, None)?;
        golden.check("without_bias", &y, &[("x", &x), ("w", &w)])?;
        for (case, activation) in [
            ("identity", None),
            ("gelu_tanh", Some(Activation::GeluTanh)),
            ("gelu_erf", Some(Activation::GeluErf)),
            ("silu", Some(Activation::Silu)),
            ("relu", Some(Activation::Relu)),
        ] {
            let y = kernels::linear(&x, &w, Some(&bias), activation, Some(&residual))?;
            golden.check(
                case,
                &y,
                &[
                    ("x", &x),
                    ("w", &w),
                    ("bias", &bias),
                    ("residual", &residual),
                ],
            )?;
        }
    }
    Ok(())
}

#[test]
fn attention_along_edges_agrees_with_gathering_and_scattering() -> Result<()> {
    for golden in Golden::load("edges")? {
        let [q, k, v] = ["q", "k", "v"].map(|name| golden.var(name));
        let (q, k, v) = (q?, k?, v?);
        let (offsets, sources) = (golden.ids("offsets")?, golden.ids("sources")?);
        let edges = Arc::new(Edges::new(offsets, sources, 7)?);
        let plain = EdgeAttention::new(4, 8, edges.clone());
        let inputs = [("q", &q), ("k", &k), ("v", &v)];
        let y = kernels::edge_attention(&q, &k, &v, &plain)?;
        golden.check("plain", &y, &inputs)?;

        let features = golden.var("features")?;
        let with_features = EdgeAttention {
            features: Some(features.as_tensor().clone()),
            ..plain.clone()
        };
        let y = kernels::edge_attention(&q, &k, &v, &with_features)?;
        golden.check(
            "features",
            &y,
            &[&inputs[..], &[("features", &features)]].concat(),
        )?;

        let table = golden.var("table")?;
        let by_kind = EdgeAttention {
            bias: Some(EdgeBias {
                table: table.as_tensor().clone(),
                buckets: golden.ids("kinds")?,
            }),
            ..plain
        };
        let y = kernels::edge_attention(&q, &k, &v, &by_kind)?;
        golden.check("kinds", &y, &[&inputs[..], &[("table", &table)]].concat())?;

        let gat = GatAttention {
            n_heads: 4,
            head_dim: 8,
            edges,
            slope: 0.2,
            dropout: None,
        };
        let (to, from) = (golden.var("to")?, golden.var("from")?);
        let y = kernels::gat_attention(&v, &to, &from, &gat)?;
        golden.check("gat", &y, &[("v", &v), ("to", &to), ("from", &from)])?;
    }
    Ok(())
}

#[test]
fn activations_agree_from_minus_six_to_six() -> Result<()> {
    for golden in Golden::load("activation")? {
        let (x, up) = (golden.var("x")?, golden.var("up")?);
        for (case, activation) in [
            ("gelu_tanh", Activation::GeluTanh),
            ("gelu_erf", Activation::GeluErf),
            ("silu", Activation::Silu),
            ("relu", Activation::Relu),
        ] {
            golden.check(case, &kernels::activate(&x, activation)?, &[("x", &x)])?;
        }
        golden.check(
            "swiglu",
            &kernels::swiglu(&x, &up)?,
            &[("x", &x), ("up", &up)],
        )?;
    }
    Ok(())
}

#[test]
fn norms_agree_with_and_without_residual() -> Result<()> {
    for golden in Golden::load("norm")? {
        let [x, residual, gamma, beta] =
            ["x", "residual", "gamma", "beta"].map(|name| golden.var(name));
        let (x, residual, gamma, beta) = (x?, residual?, gamma?, beta?);
        let inputs = [
            ("x", &x),
            ("gamma", &gamma),
            ("beta", &beta),
            ("residual", &residual),
        ];
        let layer = |residual: Option<&Tensor>, beta: Option<&Tensor>| {
            kernels::layer_norm(&x, residual, &gamma, beta, NORM_EPS)
        };
        golden.check("layer", &layer(None, Some(&beta))?, &inputs[..3])?;
        golden.check("layer_without_beta", &layer(None, None)?, &inputs[..2])?;
        golden.check(
            "layer_of_sum",
            &layer(Some(&residual), Some(&beta))?,
            &inputs,
        )?;

        let inputs = [("x", &x), ("gamma", &gamma), ("residual", &residual)];
        let rms = |residual: Option<&Tensor>| kernels::rms_norm(&x, residual, &gamma, NORM_EPS);
        golden.check("rms", &rms(None)?, &inputs[..2])?;
        golden.check("rms_of_sum", &rms(Some(&residual))?, &inputs)?;
    }
    Ok(())
}

#[test]
fn attention_agrees_under_every_pattern_and_encoding() -> Result<()> {
    for golden in Golden::load("attention")? {
        let [q, k, v, table] = ["q", "k", "v", "table"].map(|name| golden.var(name));
        let (q, k, v, table) = (q?, k?, v?, table?);
        let walls = golden.ids("cu_seqlens")?;
        let positions: Arc<[u32]> = walls
            .windows(2)
            .flat_map(|wall| 0..wall[1] - wall[0])
            .collect();
        let longest = 1 + positions.iter().max().expect("there are rows");

        let plain = |span: &dyn Fn(u32) -> Range<u32>| -> Result<Attention> {
            let segments = walls
                .windows(2)
                .map(|wall| (wall[0]..wall[1], wall[0]..wall[1]))
                .collect();
            // `span` speaks of positions in the segment; the kernel, of rows.
            let spans = Spans::new(segments, |i, keys| {
                let span = span(i - keys.start);
                keys.start + span.start..(keys.start + span.end).min(keys.end)
            })?;
            Ok(Attention {
                n_kv_heads: 2,
                ..Attention::new(4, 8, Arc::new(spans))
            })
        };
        let full = |_| 0..longest;
        let causal = |i| 0..i + 1;
        let band = |i: u32| i.saturating_sub(2)..i + 2;
        let chunk = |i: u32| (i / 3).saturating_sub(1) * 3..(i / 3 + 1) * 3;

        let (cos, sin) = testkit::oracle::rope_tables(longest as usize, 8, 10_000.0)?;
        let rotary = Rotary {
            cos: cos.to_dtype(golden.dtype)?,
            sin: sin.to_dtype(golden.dtype)?,
            query_positions: positions.clone(),
            key_positions: positions.clone(),
        };
        let bias = |table: &Tensor| RelativeBias {
            table: table.clone(),
            offset: i64::from(longest) - 1,
            query_positions: positions.clone(),
            key_positions: positions.clone(),
        };
        let distance = |bucket: u32| -f64::from(bucket.abs_diff(longest - 1));
        let alibi: Vec<Vec<f64>> = testkit::oracle::alibi_slopes(4)
            .iter()
            .map(|slope| {
                (0..2 * longest - 1)
                    .map(|bucket| slope * distance(bucket))
                    .collect()
            })
            .collect();
        let alibi = Tensor::new(alibi, &Device::Cpu)?.to_dtype(golden.dtype)?;

        let inputs = [("q", &q), ("k", &k), ("v", &v), ("table", &table)];
        for (case, attention, n_inputs) in [
            ("full", plain(&full)?, 3),
            ("causal", plain(&causal)?, 3),
            ("band", plain(&band)?, 3),
            ("chunk", plain(&chunk)?, 3),
            (
                "causal_rotary",
                Attention {
                    rotary: Some(rotary),
                    ..plain(&causal)?
                },
                3,
            ),
            (
                "causal_alibi",
                Attention {
                    bias: Some(bias(&alibi)),
                    ..plain(&causal)?
                },
                3,
            ),
            (
                "full_relative",
                Attention {
                    bias: Some(bias(&table)),
                    ..plain(&full)?
                },
                4,
            ),
        ] {
            let y = kernels::attention(&q, &k, &v, &attention)?;
            golden.check(case, &y, &inputs[..n_inputs])?;
        }
    }
    Ok(())
}

#[test]
fn cross_entropy_agrees_with_ignored_targets_and_smoothing() -> Result<()> {
    for golden in Golden::load("cross_entropy")? {
        let (x, w, bias) = (golden.var("x")?, golden.var("w")?, golden.var("bias")?);
        for (case, targets, label_smoothing) in [
            ("all", "all.targets", 0.0),
            ("some", "some.targets", 0.0),
            ("smooth", "some.targets", 0.1),
        ] {
            let targets = golden.ids(targets)?;
            let objective = CrossEntropy {
                ignore_index: Some(u32::MAX),
                label_smoothing,
                divisor: None,
            };
            let loss = kernels::linear_cross_entropy(&x, &w, Some(&bias), targets, &objective)?;
            golden.check(case, &loss, &[("x", &x), ("w", &w), ("bias", &bias)])?;
        }
    }
    Ok(())
}

#[test]
fn embedding_agrees_where_ids_repeat() -> Result<()> {
    for golden in Golden::load("embedding")? {
        let table = golden.var("table")?;
        let y = kernels::embedding(golden.ids("ids")?, &table)?;
        golden.check("rows", &y, &[("table", &table)])?;
    }
    Ok(())
}

#[test]
fn optimisers_agree_for_three_steps() -> Result<()> {
    let [golden, _] = Golden::load("optimizers")?;
    let sgd = |nesterov| {
        Rule::from(Sgd {
            momentum: 0.9,
            nesterov,
        })
    };
    let adamw = Rule::from(AdamW {
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        coupled: false,
    });
    for (case, rule, max_norm) in [
        ("adamw", adamw, 1.0),
        ("sgd", sgd(false), f64::INFINITY),
        ("nesterov", sgd(true), f64::INFINITY),
    ] {
        let (matrix, vector) = (golden.var("matrix")?, golden.var("vector")?);
        let parameters = [("matrix", &matrix), ("vector", &vector)];
        let named = parameters.map(|(name, var)| Parameter::new(name, var.clone()));
        let mut optimizer = Optimizer::new(rule, named)?;
        for step in 0..3 {
            let at = |name: &str| format!("{case}.step{step}.{name}");
            let mut grads = Vec::new();
            for (name, _) in parameters {
                let grad = golden.tensor(&format!("step{step}.d{name}"))?;
                grads.extend(grad.flatten_all()?.to_vec1::<f32>()?);
            }
            let norm = kernels::optim::global_norm(&grads);
            let want = golden.tensor(&at("norm"))?;
            assert_close(&Tensor::new(norm, &Device::Cpu)?, &want, golden.tolerance())?;

            let grad_scale = clip_factor(norm, max_norm);
            let update = Update {
                step,
                lr: 0.02,
                weight_decay: 0.1,
                grad_scale,
            };
            optimizer.step(&grads, &update)?;
            for (name, var) in parameters {
                assert_close(var, &golden.tensor(&at(name))?, golden.tolerance())?;
            }
            for moment in optimizer.state()? {
                let got = Tensor::from_slice(&moment.values, moment.shape, &Device::Cpu)?;
                assert_close(&got, &golden.tensor(&at(&moment.name))?, golden.tolerance())?;
            }
        }
    }
    Ok(())
}
