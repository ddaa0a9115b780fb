//! What must hold for all operations together.

use std::process::Command;
use std::sync::Arc;

use candle_core::{DType, Result, Tensor, Var};
use testkit::{rand_ids, randn};

use crate::optim::{AdamW, Optimizer, Parameter, Update, flatten, global_norm};
use crate::rng::{Domain, Key};
use crate::*;

const N: usize = 500;
const D: usize = 65;
const CLASSES: usize = 3001;

/// Parameters: a table that is also the head, two matrices, a scale, a bias, and three
/// matrices in one.
fn parameters() -> Result<Vec<Var>> {
    let shapes: [&[usize]; 6] = [&[CLASSES, D], &[D, D], &[D, D], &[D], &[D], &[3 * D, D]];
    let var = |(seed, shape): (usize, &&[usize])| {
        Var::from_tensor(&randn(seed as u64, *shape)?.to_dtype(DType::F32)?)
    };
    shapes.iter().enumerate().map(var).collect()
}

/// Every operation, on enough rows for several pieces and chunks; returns the sum of losses.
fn graph(vars: &[Var]) -> Result<Tensor> {
    let [table, w, v, gamma, bias, triple] = vars else {
        unreachable!("six parameters")
    };
    let key = Key {
        seed: 1,
        domain: Domain::Dropout,
        step: 2,
        site: 3,
    };
    let ids = |seed| -> Arc<[u32]> { rand_ids(seed, N, CLASSES as u32).into() };
    let x = embedding(ids(1), table)?;
    let h = layer_norm(&x, None, gamma, Some(bias), 1e-5)?;
    let h = linear(&h, w, Some(bias), Some(Activation::GeluErf), Some(&x))?;
    let pair = linear_concat(&h, &[(w, None), (v, Some(bias))])?;
    let h = add(
        &h,
        &activate(&linear(&h, v, None, None, None)?, Activation::GeluTanh)?,
    )?;
    let h = dropout(&swiglu(&h, &x)?, Some(&h), 0.1, key)?;
    let h = rms_norm(&h, Some(&x), gamma, 1e-5)?;
    let objective = CrossEntropy {
        label_smoothing: 0.1,
        ..CrossEntropy::default()
    };
    let loss = linear_cross_entropy(&h, table, None, ids(2), &objective)?;
    let pooled = segment_pool(&pair, [0, 100, 499, 500].into(), Pool::Mean)?;
    let other = cross_entropy(&pooled, [1, 2, 3].into(), &objective)?;
    let loss = add(&loss, &other)?;

    let segments: Arc<[u32]> = [0, 100, 499, 500].into();
    let windows = Windows::over_segments(segments.clone(), Window::around(3, 1))?;
    let h = gru(
        &unfold(&h, &windows)?,
        triple,
        None,
        &segments,
        Direction::Backward,
    )?;
    let pairs = Windows::over_segments(segments, Window::around(2, 2))?;
    let h = window_pool(&h, &pairs, WindowPool::Max)?;
    let labels = LabelSequences {
        labels: &rand_ids(3, 60, D as u32 - 1),
        ends: &[20, 60, 60],
    };
    let options = Ctc {
        blank: D as u32 - 1,
        ..Ctc::default()
    };
    let logits = linear(&h, v, Some(bias), None, None)?;
    add(
        &loss,
        &ctc_loss(&logits, &pairs.cu_seqlens(), labels, &options)?,
    )
}

/// All bits of three steps: losses, gradients, norms, parameters.
fn train() -> Result<Vec<u64>> {
    let vars = parameters()?;
    let named = |(i, var): (usize, &Var)| Parameter::new(i.to_string(), var.clone());
    let mut optimizer = Optimizer::new(AdamW::default(), vars.iter().enumerate().map(named))?;
    let mut grads = FlatGrads::new(&vars)?;
    let mut bits = Vec::new();
    for step in 0..3 {
        grads.clear();
        let loss = graph(&vars)?;
        bits.push(u64::from(loss.to_scalar::<f32>()?.to_bits()));
        grads.backward(loss)?;
        let values = grads.values()?;
        bits.extend(values.iter().map(|g| u64::from(g.to_bits())));
        bits.push(global_norm(&values).to_bits());
        let update = Update {
            step,
            lr: 0.01,
            weight_decay: 0.1,
            grad_scale: 0.5,
        };
        optimizer.step_by(&grads, &update)?;
    }
    bits.extend(flatten(&vars)?.iter().map(|p| u64::from(p.to_bits())));
    Ok(bits)
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() -> Result<()> {
    let with_threads = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
        pool.expect("a pool can be built").install(train)
    };
    let one = with_threads(1)?;
    for n in [2, 4] {
        let many = with_threads(n)?;
        let first = one.iter().zip(&many).position(|(a, b)| a != b);
        assert_eq!((first, one.len()), (None, many.len()), "{n} threads");
    }
    Ok(())
}

/// The instruction set is chosen once for a process: so all tests run once more in
/// a process for each of the others.
#[test]
fn every_instruction_set_passes_all_tests() {
    let this_test = "every_instruction_set_passes_all_tests";
    for isa in ["scalar", "avx2"] {
        if isa == instruction_set() || std::env::var_os("KERNELS_ISA").is_some() {
            continue;
        }
        let tests = std::env::current_exe().expect("the test binary has a path");
        let output = Command::new(tests)
            .args(["--skip", this_test])
            .env("KERNELS_ISA", isa)
            .output()
            .expect("the test binary starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{isa}: {text}");
    }
}

#[test]
fn the_environment_narrows_the_instruction_set() {
    if let Ok(wanted) = std::env::var("KERNELS_ISA")
        && cfg!(target_arch = "x86_64")
    {
        let order = ["scalar", "avx2", "avx512"];
        let place = |name: &str| order.iter().position(|&isa| isa == name);
        assert!(place(instruction_set()) <= place(&wanted), "{wanted}");
    }
}
