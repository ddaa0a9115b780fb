//! Every operation that `clippy.toml` bans, called once: the planted offenders.
//!
//! Two things are checked. That the lint sees each of them: `#[expect]` makes
//! clippy complain where it has nothing to suppress. And that the ban is still
//! needed: the tests fail when a newer Candle does the operation right.

use candle_core::conv::CudnnFwdAlgo;
use candle_core::{DType, Device, Module, Result, Tensor, Var};
use candle_nn::attention::AttnMask;
use candle_nn::{Conv1d, Conv1dConfig, Dropout, LayerNorm, RmsNorm, VarBuilder, VarMap};
use testkit::randn;

/// Defines a function whose one call is banned.
macro_rules! offender {
    ($name:ident($($arg:ident: $type:ty),*) -> $result:ty { $call:expr }) => {
        #[expect(clippy::disallowed_methods, reason = "planted, to see that the lint sees it")]
        fn $name($($arg: $type),*) -> $result {
            $call
        }
    };
}

fn var(seed: u64, shape: &[usize]) -> Result<Var> {
    Var::from_tensor(&randn(seed, shape)?.to_dtype(DType::F32)?)
}

mod no_backward {
    use super::*;

    offender!(softmax(x: &Tensor) -> Result<Tensor> { candle_nn::ops::softmax_last_dim(x) });
    offender!(rms_norm(x: &Tensor, w: &Tensor) -> Result<Tensor> { candle_nn::ops::rms_norm(x, w, 1e-5) });
    offender!(layer_norm(x: &Tensor, w: &Tensor) -> Result<Tensor> { candle_nn::ops::layer_norm(x, w, w, 1e-5) });
    offender!(rope(x: &Tensor, a: &Tensor) -> Result<Tensor> { candle_nn::rotary_emb::rope(x, a, a) });
    offender!(rope_i(x: &Tensor, a: &Tensor) -> Result<Tensor> { candle_nn::rotary_emb::rope_i(x, a, a) });
    offender!(rope_thd(x: &Tensor, a: &Tensor) -> Result<Tensor> { candle_nn::rotary_emb::rope_thd(x, a, a) });
    offender!(sdpa(x: &Tensor) -> Result<Tensor> { candle_nn::ops::sdpa(x, x, x, None, false, 1.0, 1.0) });
    offender!(layer_norm_layer(vb: VarBuilder<'_>) -> Result<LayerNorm> { candle_nn::layer_norm(4, 1e-5, vb) });
    offender!(layer_norm_of(w: &Tensor) -> LayerNorm { LayerNorm::new(w.clone(), w.clone(), 1e-5) });
    offender!(rms_norm_layer(vb: VarBuilder<'_>) -> Result<RmsNorm> { candle_nn::rms_norm(4, 1e-5, vb) });
    offender!(rms_norm_of(w: &Tensor) -> RmsNorm { RmsNorm::new(w.clone(), 1e-5) });
    offender!(flash_attn(x: &Tensor) -> Result<Tensor> {
        candle_nn::attention::flash_attn::<f32>(x, x, x, 1.0, AttnMask::None, None, None)
    });
    offender!(flash_attn_varlen(x: &Tensor, lens: &Tensor) -> Result<Tensor> {
        candle_nn::attention::flash_attn_varlen_cpu(x, x, x, None, lens, lens, 3, 3, 1.0, false, None, None)
    });

    #[test]
    fn nothing_upstream_of_a_banned_operation_gets_a_gradient() -> Result<()> {
        let device = Device::Cpu;
        let x = var(1, &[1, 2, 3, 4])?;
        let packed = x.reshape((2, 3, 4))?;
        let w = Tensor::ones(4, DType::F32, &device)?;
        let angles = Tensor::ones((3, 2), DType::F32, &device)?;
        let lens = Tensor::new(&[2u32], &device)?;
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, DType::F32, &device);
        let results = [
            ("softmax_last_dim", softmax(&x)?),
            ("rms_norm", rms_norm(&x, &w)?),
            ("layer_norm", layer_norm(&x, &w)?),
            ("rope", rope(&x, &angles)?),
            ("rope_i", rope_i(&x, &angles)?),
            ("rope_thd", rope_thd(&x, &angles.narrow(0, 0, 2)?)?),
            ("LayerNorm", layer_norm_layer(vb.pp("a"))?.forward(&x)?),
            ("LayerNorm::new", layer_norm_of(&w).forward(&x)?),
            ("RmsNorm", rms_norm_layer(vb.pp("b"))?.forward(&x)?),
            ("RmsNorm::new", rms_norm_of(&w).forward(&x)?),
            ("flash_attn", flash_attn(&x)?),
            ("flash_attn_varlen_cpu", flash_attn_varlen(&packed, &lens)?),
        ];
        for (name, y) in results {
            let grads = y.sqr()?.sum_all()?.backward()?;
            assert!(grads.get(&x).is_none(), "{name} now has a backward pass");
        }
        Ok(())
    }

    #[test]
    fn fused_attention_has_no_cpu_path() -> Result<()> {
        assert!(
            sdpa(&randn(2, (1, 2, 3, 4))?).is_err(),
            "sdpa now runs on the CPU"
        );
        Ok(())
    }
}

mod wrong_backward {
    use super::*;

    const ALGO: Option<CudnnFwdAlgo> = None;

    offender!(conv1d(x: &Tensor, w: &Tensor) -> Result<Tensor> { x.conv1d(w, 0, 1, 1, 1) });
    offender!(conv1d_with_algo(x: &Tensor, w: &Tensor) -> Result<Tensor> { x.conv1d_with_algo(w, 0, 1, 1, 1, ALGO) });
    offender!(conv1d_layer(vb: VarBuilder<'_>) -> Result<Conv1d> {
        candle_nn::conv1d(3, 4, 2, Conv1dConfig::default(), vb)
    });
    offender!(conv1d_no_bias(vb: VarBuilder<'_>) -> Result<Conv1d> {
        candle_nn::conv1d_no_bias(3, 4, 2, Conv1dConfig::default(), vb)
    });
    offender!(conv1d_of(w: &Tensor) -> Conv1d { Conv1d::new(w.clone(), None, Conv1dConfig::default()) });
    offender!(upsample1d(x: &Tensor) -> Result<Tensor> { x.upsample_nearest1d(6) });
    offender!(upsample2d(x: &Tensor) -> Result<Tensor> { x.upsample_nearest2d(6, 6) });
    offender!(interpolate1d(x: &Tensor) -> Result<Tensor> { x.interpolate1d(6) });
    offender!(interpolate2d(x: &Tensor) -> Result<Tensor> { x.interpolate2d(6, 6) });

    /// The gradient of `Σ y²` by the weight, for `y` the convolution of two
    /// examples at once, less that of one after the other.
    fn batching_changes_the_gradient(
        w: &Var,
        f: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<bool> {
        let x = randn(3, (2, 3, 5))?.to_dtype(DType::F32)?;
        let grad = |y: Tensor| -> Result<Tensor> {
            let grads = y.sqr()?.sum_all()?.backward()?;
            Ok(grads.get(w).expect("the weight is an input").clone())
        };
        let apart = (grad(f(&x.narrow(0, 0, 1)?)?)? + grad(f(&x.narrow(0, 1, 1)?)?)?)?;
        Ok(testkit::max_error(&grad(f(&x)?)?, &apart)? > 1e-3)
    }

    #[test]
    fn the_weight_gradient_of_a_convolution_depends_on_how_examples_are_batched() -> Result<()> {
        let w = var(4, &[4, 3, 2])?;
        assert!(batching_changes_the_gradient(&w, |x| conv1d(x, &w))?);
        assert!(batching_changes_the_gradient(&w, |x| conv1d_with_algo(
            x, &w
        ))?);
        assert!(batching_changes_the_gradient(&w, |x| conv1d_of(&w).forward(x))?);
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        for (name, layer) in [
            ("a", conv1d_layer(vb.pp("a"))?),
            ("b", conv1d_no_bias(vb.pp("b"))?),
        ] {
            let w = map.data().lock().expect("no other thread")[&format!("{name}.weight")].clone();
            assert!(batching_changes_the_gradient(&w, |x| layer.forward(x))?);
        }
        Ok(())
    }

    #[test]
    fn upsampling_overwrites_the_gradient_of_another_use() -> Result<()> {
        let lost = |x: &Var, f: &dyn Fn(&Tensor) -> Result<Tensor>| -> Result<bool> {
            // The other use comes last in the sum, so first in the backward pass.
            let loss = (f(x)?.sum_all()? + (x.as_tensor() * 100.0)?.sum_all()?)?;
            let swapped = ((x.as_tensor() * 100.0)?.sum_all()? + f(x)?.sum_all()?)?;
            let grad = |loss: Tensor| -> Result<f32> {
                let grads = loss.backward()?;
                grads.get(x).expect("x is an input").max_all()?.to_scalar()
            };
            Ok(grad(loss)?.min(grad(swapped)?) < 100.0)
        };
        let (line, plane) = (var(5, &[1, 1, 3])?, var(6, &[1, 1, 3, 3])?);
        assert!(lost(&line, &upsample1d)?);
        assert!(lost(&line, &interpolate1d)?);
        assert!(lost(&plane, &upsample2d)?);
        assert!(lost(&plane, &interpolate2d)?);
        Ok(())
    }
}

mod no_seed {
    use super::*;

    const CPU: Device = Device::Cpu;

    offender!(rand() -> Result<Tensor> { Tensor::rand(0f32, 1.0, 8, &CPU) });
    offender!(randn_tensor() -> Result<Tensor> { Tensor::randn(0f32, 1.0, 8, &CPU) });
    offender!(rand_like(x: &Tensor) -> Result<Tensor> { x.rand_like(0.0, 1.0) });
    offender!(randn_like(x: &Tensor) -> Result<Tensor> { x.randn_like(0.0, 1.0) });
    offender!(var_rand() -> Result<Var> { Var::rand(0f32, 1.0, 8, &CPU) });
    offender!(var_randn() -> Result<Var> { Var::randn(0f32, 1.0, 8, &CPU) });
    offender!(var_rand_f64() -> Result<Var> { Var::rand_f64(0.0, 1.0, 8, DType::F32, &CPU) });
    offender!(var_randn_f64() -> Result<Var> { Var::randn_f64(0.0, 1.0, 8, DType::F32, &CPU) });
    offender!(dropout(x: &Tensor) -> Result<Tensor> { candle_nn::ops::dropout(x, 0.5) });
    offender!(dropout_layer() -> Dropout { Dropout::new(0.5) });

    #[test]
    fn the_cpu_generator_takes_no_seed() {
        assert!(
            CPU.set_seed(1).is_err(),
            "the CPU generator can be seeded now"
        );
    }

    #[test]
    fn two_draws_differ() -> Result<()> {
        let ones = Tensor::ones(64, DType::F32, &CPU)?;
        let draws: [&dyn Fn() -> Result<Tensor>; 10] = [
            &rand,
            &randn_tensor,
            &|| rand_like(&ones),
            &|| randn_like(&ones),
            &|| Ok(var_rand()?.into_inner()),
            &|| Ok(var_randn()?.into_inner()),
            &|| Ok(var_rand_f64()?.into_inner()),
            &|| Ok(var_randn_f64()?.into_inner()),
            &|| dropout(&ones),
            &|| dropout_layer().forward(&ones, true),
        ];
        for (i, draw) in draws.iter().enumerate() {
            assert_ne!(
                draw()?.to_vec1::<f32>()?,
                draw()?.to_vec1::<f32>()?,
                "draw {i}"
            );
        }
        Ok(())
    }
}

#[test]
fn every_ban_has_its_planted_call() {
    let starting = |text: &str, start: &str| {
        text.lines()
            .filter(|line| line.trim_start().starts_with(start))
            .count()
    };
    let bans = starting(include_str!("../../../clippy.toml"), "{ path = ");
    let plants = starting(include_str!("bans.rs"), "offender!(");
    assert_eq!(bans, plants, "bans in `clippy.toml`, calls planted here");
}
