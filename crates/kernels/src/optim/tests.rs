//! Optimisers against their definition, and their state.

use candle_core::{Result, Tensor, Var};
use testkit::{oracle, randn};

use super::*;

/// A matrix of several pieces, a vector, a ragged matrix, nothing.
const SHAPES: [&[usize]; 4] = [&[130, 131], &[7], &[3, 17], &[0, 5]];
const STEPS: u64 = 5;

fn parameters() -> Result<Vec<Parameter>> {
    let mut parameters = Vec::new();
    for (i, &shape) in SHAPES.iter().enumerate() {
        let value = randn(i as u64, shape)?.to_dtype(DType::F32)?;
        parameters.push(Parameter::new(format!("p{i}"), Var::from_tensor(&value)?));
    }
    Ok(parameters)
}

fn grads(step: u64) -> Result<Vec<f32>> {
    let n: usize = SHAPES.iter().map(|s| s.iter().product::<usize>()).sum();
    randn(100 + step, n)?.to_dtype(DType::F32)?.to_vec1()
}

fn vars(optimizer: &Optimizer) -> Vec<&Var> {
    optimizer.parameters().iter().map(|p| &p.var).collect()
}

fn update(step: u64) -> Update {
    Update {
        step,
        lr: 0.1 / (step + 1) as f64,
        weight_decay: 0.2,
        grad_scale: 0.25,
    }
}

/// Takes the steps in `f64` with `definition(step, decay, p, g, m, v)` on each parameter.
fn assert_steps_as(
    rule: impl Into<Rule>,
    definition: impl Fn(&Update, &mut [f64], &[f64], &mut [f64], &mut [f64]),
) -> Result<()> {
    let mut optimizer = Optimizer::new(rule, parameters()?)?;
    let double = |flat: &[f32]| -> Vec<f64> { flat.iter().map(|&x| f64::from(x)).collect() };
    let mut want = double(&flatten(vars(&optimizer))?);
    let (mut m, mut v) = (vec![0.0; want.len()], vec![0.0; want.len()]);
    for step in 0..STEPS {
        let grads = grads(step)?;
        optimizer.step(&grads, &update(step))?;
        let scaled: Vec<f64> = double(&grads).iter().map(|g| 0.25 * g).collect();
        let mut first = 0;
        for parameter in optimizer.parameters() {
            let at = first..first + parameter.var.elem_count();
            let mut update = update(step);
            if parameter.var.rank() < 2 {
                update.weight_decay = 0.0;
            }
            let g = &scaled[at.clone()];
            let (m, v) = (&mut m[at.clone()], &mut v[at.clone()]);
            definition(&update, &mut want[at.clone()], g, m, v);
            first = at.end;
        }
    }
    let got = flatten(vars(&optimizer))?;
    for (i, (&got, want)) in got.iter().zip(&want).enumerate() {
        // Steps of up to 0.1 each in single precision: a few ulp of one.
        let error = (f64::from(got) - want).abs() / want.abs().max(1.0);
        assert!(error < 1e-6, "{i}: {got}, want {want}");
    }
    Ok(())
}

#[test]
fn oracle_adam_with_its_decay_in_the_gradient() -> Result<()> {
    for (beta1, beta2, eps) in [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-3)] {
        let rule = AdamW {
            beta1,
            beta2,
            eps,
            coupled: true,
        };
        assert_steps_as(rule, |update, p, g, m, v| {
            let oracle = oracle::Adam {
                lr: update.lr,
                beta1,
                beta2,
                eps,
                weight_decay: update.weight_decay,
            };
            oracle.step(p, g, m, v, update.step as i32 + 1);
        })?;
    }
    Ok(())
}

#[test]
fn oracle_adamw() -> Result<()> {
    for (beta1, beta2, eps) in [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-3)] {
        let rule = AdamW {
            beta1,
            beta2,
            eps,
            coupled: false,
        };
        assert_steps_as(rule, |update, p, g, m, v| {
            let oracle = oracle::AdamW {
                lr: update.lr,
                beta1,
                beta2,
                eps,
                weight_decay: update.weight_decay,
            };
            oracle.step(p, g, m, v, update.step as i32 + 1);
        })?;
    }
    Ok(())
}

#[test]
fn oracle_sgd() -> Result<()> {
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        assert_steps_as(Sgd { momentum, nesterov }, |update, p, g, m, _| {
            let oracle = oracle::Sgd {
                lr: update.lr,
                momentum,
                nesterov,
                weight_decay: update.weight_decay,
            };
            oracle.step(p, g, m);
        })?;
    }
    Ok(())
}

#[test]
fn oracle_lion() -> Result<()> {
    let Lion { beta1, beta2 } = Lion::default();
    assert_steps_as(Lion::default(), |update, p, g, m, _| {
        let oracle = oracle::Lion {
            lr: update.lr,
            beta1,
            beta2,
            weight_decay: update.weight_decay,
        };
        oracle.step(p, g, m);
    })
}

#[test]
fn oracle_norm_and_clipping() -> Result<()> {
    for n in [0, 1, 15, 16, 17, 100_000] {
        let grads = randn(1, n)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        let double: Vec<f64> = grads.iter().map(|&g| f64::from(g)).collect();
        let norm = global_norm(&grads);
        let want = oracle::global_norm(&[&double]);
        assert!((norm - want).abs() <= 1e-12 * want, "{norm}, {want}");
        for max_norm in [0.5, 1e6] {
            let mut clipped = double.clone();
            oracle::clip_global_norm(&mut [&mut clipped], max_norm);
            let factor = clip_factor(norm, max_norm);
            for (g, want) in double.iter().zip(&clipped) {
                assert!((g * factor - want).abs() < 1e-12);
            }
        }
    }
    assert!(clip_factor(f64::NAN, 1.0).is_nan());
    assert_eq!(
        global_norm(&[3e30, 4e30]),
        f64::from(3e30f32).hypot(f64::from(4e30f32))
    );
    Ok(())
}

#[test]
fn only_matrices_decay_unless_told_otherwise() -> Result<()> {
    let mut parameters = parameters()?;
    parameters[2].decays = false;
    let mut optimizer = Optimizer::new(AdamW::default(), parameters)?;
    let before: Vec<_> = vars(&optimizer)
        .iter()
        .map(|v| v.copy())
        .collect::<Result<_>>()?;
    let n = grads(0)?.len();
    optimizer.step(&vec![0.0; n], &update(0))?;
    for (i, (var, before)) in vars(&optimizer).iter().zip(&before).enumerate() {
        let factor = if i == 0 { 1.0 - 0.1 * 0.2 } else { 1.0 };
        testkit::assert_close(var, &(before * factor)?, 1e-7)?;
    }
    Ok(())
}

#[test]
fn a_gradient_that_is_not_a_number_stays_visible() -> Result<()> {
    for rule in [
        Rule::AdamW(AdamW::default()),
        Rule::Sgd(Sgd::default()),
        Rule::Lion(Lion::default()),
    ] {
        let mut optimizer = Optimizer::new(rule, parameters()?)?;
        let mut grads = grads(0)?;
        grads[20] = f32::NAN;
        optimizer.step(&grads, &update(0))?;
        let moved = flatten(vars(&optimizer))?;
        let broken: Vec<usize> = (0..moved.len()).filter(|&i| moved[i].is_nan()).collect();
        assert_eq!(broken, [20], "{rule:?}");
    }
    Ok(())
}

#[test]
fn a_run_that_saves_and_loads_its_state_goes_on_to_the_bit() -> Result<()> {
    for rule in [
        Rule::AdamW(AdamW::default()),
        Rule::Sgd(Sgd {
            momentum: 0.9,
            nesterov: true,
        }),
        Rule::Lion(Lion::default()),
    ] {
        let mut whole = Optimizer::new(rule, parameters()?)?;
        let mut halves = Optimizer::new(rule, parameters()?)?;
        for step in 0..STEPS {
            whole.step(&grads(step)?, &update(step))?;
            halves.step(&grads(step)?, &update(step))?;
            let state = halves.state()?;
            assert_eq!(state.len(), SHAPES.len() * rule.moments().len());
            assert_eq!(state[1].name, format!("{}.p1", rule.moments()[0]));
            assert_eq!(state[2].shape, SHAPES[2]);
            let saved: Vec<(String, Vec<f32>)> = state
                .into_iter()
                .rev()
                .map(|m| (m.name, m.values.to_vec()))
                .collect();
            halves = Optimizer::new(rule, halves.parameters().to_vec())?;
            halves.load_state(saved.iter().map(|(n, v)| (n.as_str(), v.as_slice())))?;
        }
        assert_eq!(flatten(vars(&whole))?, flatten(vars(&halves))?);
        assert_eq!(whole.state()?, halves.state()?);
    }
    Ok(())
}

#[test]
fn state_that_does_not_fit_is_listed_and_changes_nothing() -> Result<()> {
    let mut optimizer = Optimizer::new(Lion::default(), parameters()?)?;
    optimizer.step(&grads(0)?, &update(0))?;
    let before: Vec<f32> = optimizer.state()?[0].values.to_vec();
    let zeros = vec![0f32; 130 * 131];
    let saved = [
        ("exp_avg.p0", &zeros[..]),
        ("exp_avg.p1", &zeros[..6]),
        ("exp_avg.p3", &[]),
        ("exp_avg.p9", &[]),
    ];
    let error = optimizer.load_state(saved).unwrap_err().to_string();
    let want = "optimizer state does not fit: exp_avg.p1 has 6 numbers instead of 7, \
                exp_avg.p2 is missing, exp_avg.p9 is unexpected";
    assert!(error.starts_with(want), "{error}");
    assert_eq!(optimizer.state()?[0].values, before);
    Ok(())
}

#[test]
fn parameters_and_gradients_that_do_not_fit_are_refused() -> Result<()> {
    let w = Parameter::new(
        "w",
        Var::from_tensor(&Tensor::zeros(
            (2, 3),
            DType::F32,
            &candle_core::Device::Cpu,
        )?)?,
    );
    let double = Parameter::new("d", Var::from_tensor(&randn(1, 3)?)?);
    let named = |name| Parameter::new(name, w.var.clone());
    let new = |parameters: Vec<Parameter>| Optimizer::new(AdamW::default(), parameters);
    assert!(new(vec![double]).is_err());
    assert!(new(vec![named("a"), named("b")]).is_err());
    let other = Parameter::new("w", Var::from_tensor(&w.var.copy()?)?);
    assert!(new(vec![named("w"), other]).is_err());
    assert!(new(vec![named("w")])?.step(&[0.0; 5], &update(0)).is_err());
    Ok(())
}

#[test]
fn the_average_follows_the_parameters_and_trades_places_with_them() -> Result<()> {
    let optimizer = Optimizer::new(AdamW::default(), parameters()?)?;
    let vars = vars(&optimizer);
    let start = flatten(vars.iter().copied())?;
    let mut average = Average::new(vars.iter().copied())?;
    assert_eq!(average.values()?[..], start);
    average.set(vec![1f32; start.len()])?;
    average.approach(vars.iter().copied(), 0.75)?;
    for (average, start) in average.values()?.iter().zip(&start) {
        assert!((average - (0.75 + 0.25 * start)).abs() < 1e-6);
    }
    let kept = average.values()?.to_vec();
    average.swap(vars.iter().copied())?;
    assert_eq!(flatten(vars.iter().copied())?, kept);
    assert_eq!(average.values()?[..], start);
    average.swap(vars.iter().copied())?;
    assert_eq!(flatten(vars.iter().copied())?, start);
    assert_eq!(average.values()?[..], kept);
    assert!(average.set(vec![0.0; start.len() - 1]).is_err());
    assert!(average.swap(vars[1..].iter().copied()).is_err());
    assert!(average.approach(vars[1..].iter().copied(), 0.5).is_err());
    Ok(())
}

#[test]
fn a_parameter_learns_at_its_own_rate() -> Result<()> {
    let scaled = |scale: f64| {
        let of = move |p: Parameter| p.with_lr_scale(scale);
        Ok::<_, candle_core::Error>(parameters()?.into_iter().map(of))
    };
    let mut half = Optimizer::new(AdamW::default(), scaled(0.5)?)?;
    let mut whole = Optimizer::new(AdamW::default(), scaled(1.0)?)?;
    for step in 0..STEPS {
        let grads = grads(step)?;
        half.step(&grads, &update(step))?;
        let lr = 0.5 * update(step).lr;
        whole.step(&grads, &Update { lr, ..update(step) })?;
    }
    assert_eq!(flatten(vars(&half))?, flatten(vars(&whole))?);
    Ok(())
}
