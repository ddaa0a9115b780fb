//! Optimisers, averages and the norm of the gradient on a GPU.

use candle_core::{CudaDevice, Result, Var, bail};

use super::average::same_length;
use super::{Optimizer, Rule, Update};
use crate::cuda::{Arg, Buffer, Grid, Pointer, launch, pointer};
use crate::memory::Memory;

impl Optimizer {
    /// As [`Optimizer::step`], by gradients on the GPU of the parameters.
    pub(super) fn step_on_gpu(&mut self, grads: &Buffer<f32>, update: &Update) -> Result<()> {
        let len: usize = self.parameters.iter().map(|p| p.var.elem_count()).sum();
        if grads.len() != len {
            bail!("optimizer: {} gradients for {len} numbers", grads.len());
        }
        let moment = |memory: &Memory| match memory {
            Memory::Gpu(moment) => Ok(moment.pointer()),
            Memory::Host(_) => bail!("optimizer: the gradients are on a GPU, the parameters not"),
        };
        let moments = self
            .moments
            .iter()
            .map(moment)
            .collect::<Result<Vec<_>>>()?;
        let mut start = 0;
        for parameter in &self.parameters {
            let n = parameter.var.elem_count();
            let mut args = vec![
                pointer::<f32>(&parameter.var)?.into(),
                grads.pointer().at::<f32>(start).into(),
            ];
            args.extend(
                moments
                    .iter()
                    .map(|moment| Arg::from(moment.at::<f32>(start))),
            );
            args.push(n.into());
            let (kernel, settings) = self.rule.settings(&update.of(parameter));
            args.extend(settings);
            launch::<f32>(grads.device(), kernel, Grid::elements(n), &args)?;
            start += n;
        }
        Ok(())
    }
}

impl Rule {
    /// The kernel of the rule, and what it gets beside memory.
    fn settings(self, update: &Update) -> (&'static str, Vec<Arg>) {
        let numbers = |numbers: &[f32]| numbers.iter().map(|&x| Arg::F32(x)).collect();
        match self {
            Self::AdamW(rule) => {
                let step = rule.step(update);
                let settings = numbers(&[
                    step.grad_scale,
                    step.shrink,
                    step.penalty,
                    step.one_less_beta1,
                    step.beta2,
                    step.one_less_beta2,
                    step.root_of_correction2,
                    step.eps,
                    step.step_size,
                ]);
                ("adamw", settings)
            }
            Self::Sgd(rule) => {
                let step = rule.step(update);
                let mut settings: Vec<Arg> =
                    numbers(&[step.grad_scale, step.weight_decay, step.momentum]);
                settings.extend([step.nesterov.into(), Arg::F32(step.lr)]);
                ("sgd", settings)
            }
            Self::Lion(rule) => {
                let step = rule.step(update);
                let settings = numbers(&[
                    step.grad_scale,
                    step.shrink,
                    step.beta1,
                    step.one_less_beta1,
                    step.beta2,
                    step.one_less_beta2,
                    step.lr,
                ]);
                ("lion", settings)
            }
        }
    }
}

/// `average += by (parameter − average)`
pub(super) fn approach<'a>(
    average: &Buffer<f32>,
    params: impl IntoIterator<Item = &'a Var>,
    by: f32,
) -> Result<()> {
    each(average, params, |device, average, param, n| {
        let args = [average.into(), param.into(), Arg::F32(by), n.into()];
        launch::<f32>(device, "approach", Grid::elements(n), &args)
    })
}

/// Exchanges the average with the values of the parameters.
pub(super) fn swap<'a>(
    average: &Buffer<f32>,
    params: impl IntoIterator<Item = &'a Var>,
) -> Result<()> {
    each(average, params, |device, average, param, n| {
        let args = [average.into(), param.into(), n.into()];
        launch::<f32>(device, "exchange", Grid::elements(n), &args)
    })
}

/// Calls `f` with each parameter, its part of `flat`, and how many numbers it has.
fn each<'a>(
    flat: &Buffer<f32>,
    params: impl IntoIterator<Item = &'a Var>,
    f: impl Fn(&CudaDevice, Pointer, Pointer, usize) -> Result<()>,
) -> Result<()> {
    let params = Vec::from_iter(params);
    same_length(flat.len(), &params)?;
    let mut start = 0;
    for param in params {
        let n = param.elem_count();
        let part = flat.pointer().at::<f32>(start);
        f(flat.device(), part, pointer::<f32>(param)?, n)?;
        start += n;
    }
    Ok(())
}

/// Euclidean norm, added up in `f64`.
pub(crate) fn norm(grads: &Buffer<f32>) -> Result<f64> {
    /// Numbers that a block adds up, as the kernel has it.
    const PIECE: usize = 4096;
    let blocks = grads.len().div_ceil(PIECE);
    let sums = Buffer::<f64>::new(grads.device(), blocks)?;
    let args = [
        grads.pointer().into(),
        grads.len().into(),
        sums.pointer().into(),
    ];
    launch::<f32>(
        grads.device(),
        "sum_of_squares",
        Grid::blocks(blocks, 256),
        &args,
    )?;
    Ok(sums.to_host()?.iter().sum::<f64>().sqrt())
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Tensor};
    use testkit::randn;

    use super::super::{AdamW, Average, Lion, Parameter, Sgd, flatten};
    use super::*;
    use crate::cuda::agree::gpu;
    use crate::{FlatGrads, add, linear};

    /// Variables of two shapes, on the GPU or not, with the same values.
    fn vars(on_gpu: bool) -> Result<[Var; 2]> {
        let var = |seed, shape: (usize, usize)| {
            let values = randn(seed, shape)?.to_dtype(DType::F32)?;
            match on_gpu {
                true => Var::from_tensor(&values.to_device(&gpu()?)?),
                false => Var::from_tensor(&values),
            }
        };
        Ok([var(1, (70, 90))?, var(2, (1, 33))?])
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn updates_have_the_bits_of_the_cpu() -> Result<()> {
        let rules: [Rule; 5] = [
            AdamW::default().into(),
            AdamW {
                coupled: true,
                ..AdamW::default()
            }
            .into(),
            Sgd {
                momentum: 0.9,
                nesterov: true,
            }
            .into(),
            Sgd::default().into(),
            Lion::default().into(),
        ];
        for rule in rules {
            let named = |vars: &[Var; 2]| {
                let [a, b] = vars.clone();
                [
                    Parameter::new("a", a).with_lr_scale(0.5),
                    Parameter::new("b", b),
                ]
            };
            let (here, there) = (vars(false)?, vars(true)?);
            let mut on_cpu = Optimizer::new(rule, named(&here))?;
            let mut on_gpu = Optimizer::new(rule, named(&there))?;
            for step in 0..5 {
                let grads = randn(10 + step, 70 * 90 + 33)?
                    .to_dtype(DType::F32)?
                    .to_vec1::<f32>()?;
                let update = Update {
                    step,
                    lr: 0.01,
                    weight_decay: 0.1,
                    grad_scale: 0.7,
                };
                on_cpu.step(&grads, &update)?;
                let device = crate::cuda::device_of(&there[0]).expect("it is on the GPU");
                on_gpu.step_on_gpu(&Buffer::from_host(device, &grads)?, &update)?;
            }
            assert_eq!(flatten(&here)?, flatten(&there)?, "{rule:?}");
            assert_eq!(on_cpu.state()?, on_gpu.state()?, "{rule:?}");
            // What was saved is taken over, and updates go on alike.
            let saved: Vec<_> = on_gpu
                .state()?
                .into_iter()
                .map(|m| (m.name, m.values.into_owned()))
                .collect();
            on_gpu.load_state(
                saved
                    .iter()
                    .map(|(name, values)| (name.as_str(), &values[..])),
            )?;
            assert_eq!(on_cpu.state()?, on_gpu.state()?, "{rule:?}");
        }
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn an_average_follows_and_is_exchanged_as_on_the_cpu() -> Result<()> {
        let (here, there) = (vars(false)?, vars(true)?);
        let (mut on_cpu, mut on_gpu) = (Average::new(&here)?, Average::new(&there)?);
        for vars in [&here, &there] {
            for var in vars {
                var.set(&(var.as_tensor() * 2.0)?)?;
            }
        }
        on_cpu.approach(&here, 0.9)?;
        on_gpu.approach(&there, 0.9)?;
        assert_eq!(on_cpu.values()?, on_gpu.values()?);
        on_cpu.swap(&here)?;
        on_gpu.swap(&there)?;
        assert_eq!(on_cpu.values()?, on_gpu.values()?);
        assert_eq!(flatten(&here)?, flatten(&there)?);
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn slots_hold_what_a_store_of_gradients_would() -> Result<()> {
        let [w, b] = vars(true)?;
        let x = Tensor::ones((5, 90), DType::F32, &gpu()?)?;
        let loss = || -> Result<Tensor> {
            let y = linear(&x, &w, None, Some(crate::Activation::Tanh), None)?;
            add(&y.sqr()?.sum_all()?, &b.sqr()?.sum_all()?)
        };
        let store = loss()?.backward()?;
        let mut flat = FlatGrads::new([&w, &b])?;
        for times in [1.0, 2.0] {
            flat.backward(loss()?)?;
            for var in [&w, &b] {
                let want = store
                    .get(var)
                    .expect("a gradient")
                    .flatten_all()?
                    .to_vec1::<f32>()?;
                let got = flat.of(var)?.expect("a slot");
                assert!(
                    got.iter()
                        .zip(&want)
                        .all(|(got, want)| *got == times * want)
                );
            }
        }
        let norm = crate::optim::global_norm(&flat.values()?);
        assert!((flat.norm()? - norm).abs() < 1e-12 * norm);
        Ok(())
    }
}
