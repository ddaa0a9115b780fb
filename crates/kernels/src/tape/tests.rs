use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor, Var};
use testkit::{gradcheck_all, randn};

use super::{Backward, Node, record};
use crate::storage::tensor;
use crate::{
    Activation, FlatGrads, activate, add, backward, layer_norm, linear, linear_concat, swiglu,
};

/// Variables of a small graph: input, three weights, three biases, one wide weight.
fn variables(dtype: DType) -> Result<Vec<Var>> {
    let shapes: [&[usize]; 8] = [
        &[5, 4],
        &[4, 4],
        &[4, 4],
        &[4, 4],
        &[4],
        &[4],
        &[4],
        &[4, 12],
    ];
    let var = |(seed, shape): (usize, &&[usize])| {
        Var::from_tensor(&randn(seed as u64, *shape)?.to_dtype(dtype)?)
    };
    shapes.iter().enumerate().map(var).collect()
}

/// A weight used twice, a node of seven tracked arguments (so an anchor on an anchor),
/// and a result that four nodes read. Its sum is the objective.
fn graph(vars: &[Var]) -> Result<Tensor> {
    let [x, w0, w1, w2, b0, b1, b2, wide] = vars else {
        unreachable!("eight variables")
    };
    let first = linear(x, w0, Some(b0), Some(Activation::GeluTanh), Some(x))?;
    let y = linear_concat(&first, &[(w0, Some(b0)), (w1, Some(b1)), (w2, Some(b2))])?;
    let y = linear(&y, wide, None, None, Some(&first))?;
    linear(&y, w1, None, Some(Activation::Silu), Some(&first))
}

fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()
}

#[test]
fn gradients_of_shared_and_anchored_arguments_match_differences() -> Result<()> {
    let vars = variables(DType::F64)?;
    let names = ["x", "w0", "w1", "w2", "b0", "b1", "b2", "wide"];
    let named: Vec<_> = names.iter().copied().zip(&vars).collect();
    gradcheck_all(&named, || graph(&vars))
}

#[test]
fn both_ways_back_and_the_slots_give_the_same_bits() -> Result<()> {
    let vars = variables(DType::F32)?;
    let by_candle = graph(&vars)?.backward()?;
    let by_walk = backward(graph(&vars)?)?;
    let mut slots = FlatGrads::new(&vars)?;
    slots.backward(graph(&vars)?)?;
    for (i, var) in vars.iter().enumerate() {
        let want = by_candle.get(var).expect("Candle reaches every variable");
        let walked = by_walk.get(var).expect("the walk reaches every variable");
        assert_eq!(flat(want)?, flat(walked)?, "variable {i}");
        let slot: Vec<f64> = slots
            .of(var)?
            .expect("a slot")
            .iter()
            .map(|&g| g.into())
            .collect();
        assert_eq!(flat(want)?, slot, "variable {i}");
    }
    Ok(())
}

#[test]
fn an_operation_of_candles_in_between_changes_nothing() -> Result<()> {
    let vars = variables(DType::F32)?;
    let with_candle = || (graph(&vars)? * 2.0)?.broadcast_add(&vars[4]);
    let want = with_candle()?.backward()?;
    let got = backward(with_candle()?)?;
    let mut slots = FlatGrads::new(&vars)?;
    slots.backward(with_candle()?)?;
    for var in &vars {
        let want = flat(want.get(var).expect("reached"))?;
        assert_eq!(want, flat(got.get(var).expect("reached"))?);
        // The slot adds its two parts in another order.
        let slot = Tensor::new(&slots.of(var)?.expect("a slot")[..], var.device())?;
        testkit::assert_close(
            &slot.to_dtype(DType::F64)?,
            &Tensor::new(want, var.device())?,
            1e-6,
        )?;
    }
    Ok(())
}

#[test]
fn slots_add_up_over_passes_until_they_are_cleared() -> Result<()> {
    let vars = variables(DType::F32)?;
    let mut slots = FlatGrads::new(&vars)?;
    slots.backward(graph(&vars)?)?;
    let once = slots.values()?.to_vec();
    slots.backward(graph(&vars)?)?;
    for (twice, once) in slots.values()?.iter().zip(&once) {
        assert!(
            (twice - 2.0 * once).abs() <= 1e-5 * once.abs().max(1.0),
            "{twice} {once}"
        );
    }
    slots.clear();
    slots.backward(graph(&vars)?)?;
    assert_eq!(slots.values()?[..], once);
    Ok(())
}

#[test]
fn constants_are_not_recorded() -> Result<()> {
    let vars = variables(DType::F32)?;
    let constants: Vec<Tensor> = vars.iter().map(|v| v.as_detached_tensor()).collect();
    let y = linear(
        &constants[0],
        &constants[1],
        Some(&constants[4]),
        None,
        None,
    )?;
    assert!(!y.track_op());
    Ok(())
}

/// The norm hands one tensor to both of its arguments, which are read elsewhere, too.
#[test]
fn a_gradient_that_two_arguments_share_is_not_added_to_in_place() -> Result<()> {
    let var = |seed| Var::from_tensor(&randn(seed, (3, 4))?);
    let (a, b) = (var(1)?, var(2)?);
    let gamma = randn(3, 4)?;
    let graph = || {
        let x = activate(&a, Activation::Silu)?;
        let y = activate(&b, Activation::Silu)?;
        let normed = layer_norm(&x, Some(&y), &gamma, None, 1e-5)?;
        add(&add(&normed, &x)?, &swiglu(&y, &normed)?)
    };
    let by_candle = graph()?.backward()?;
    let by_walk = backward(graph()?)?;
    for var in [&a, &b] {
        let want = by_candle.get(var).expect("reached");
        assert_eq!(flat(want)?, flat(by_walk.get(var).expect("reached"))?);
    }
    Ok(())
}

/// Nodes that write over the gradient they are handed must not when another reads it.
#[test]
fn a_gradient_that_two_nodes_read_is_not_written_over() -> Result<()> {
    let vars = variables(DType::F32)?;
    let [x, w0, w1, ..] = &vars[..] else {
        unreachable!("eight variables")
    };
    let graph = || {
        let gelu = Some(Activation::GeluTanh);
        let (a, b) = (
            linear(x, w0, None, gelu, None)?,
            linear(x, w1, None, gelu, None)?,
        );
        let normed = layer_norm(&a, None, &vars[4], Some(&vars[5]), 1e-5)?;
        add(&add(&a, &b)?, &add(&normed, &b)?)
    };
    let by_candle = graph()?.backward()?;
    let by_walk = backward(graph()?)?;
    for var in &vars[..6] {
        let want = by_candle.get(var).map(flat).transpose()?;
        assert_eq!(want, by_walk.get(var).map(flat).transpose()?);
    }
    Ok(())
}

/// Its backward pass holds what it is given against what it should be.
struct Witness {
    reads_output: bool,
    /// Whether nobody else reads the gradient.
    owned: bool,
}

impl Node for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn reads_output(&self) -> bool {
        self.reads_output
    }

    fn backward(&self, pass: &Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        assert_eq!(pass.output().is_ok(), self.reads_output);
        let mut grad = pass.take_grad::<f32>()?;
        assert_eq!(grad, [1.0; 3]);
        grad.fill(2.0);
        if !self.owned {
            assert_eq!(flat(pass.grad)?, [1.0; 3]);
        }
        Ok(vec![Some(tensor(grad, 3))])
    }
}

#[test]
fn a_node_gets_its_result_if_it_reads_it_and_a_gradient_of_its_own() -> Result<()> {
    let x = Var::from_tensor(&randn(1, 3)?.to_dtype(DType::F32)?)?;
    let witness = |reads_output, owned| {
        let node = Witness {
            reads_output,
            owned,
        };
        record(node, &[&x], vec![0f32; 3], 3)
    };
    for reads_output in [false, true] {
        let alone = backward(witness(reads_output, true)?)?;
        assert_eq!(flat(alone.get(&x).expect("reached"))?, [2.0; 3]);
        let two = [witness(reads_output, false)?, witness(reads_output, false)?];
        let both = backward(add(&two[0], &two[1])?)?;
        assert_eq!(flat(both.get(&x).expect("reached"))?, [4.0; 3]);
    }
    Ok(())
}

#[test]
fn one_tensor_in_every_place_gets_all_gradients() -> Result<()> {
    let x = Var::from_tensor(&randn(1, (4, 4))?)?;
    let graph = || {
        let y = linear(&x, &x, None, Some(Activation::Silu), Some(&x))?;
        linear_concat(&y, &[(&x, None), (&y, None), (&x, None), (&y, None)])
    };
    gradcheck_all(&[("x", &x)], graph)?;
    let by_candle = graph()?.backward()?;
    let by_walk = backward(graph()?)?;
    let grad = |store: &GradStore| flat(store.get(&x).expect("reached"));
    assert_eq!(grad(&by_candle)?, grad(&by_walk)?);
    Ok(())
}

/// Any of the seven arguments of a node may be a constant.
#[test]
fn constants_among_the_arguments_are_left_out() -> Result<()> {
    let vars = variables(DType::F64)?;
    let args = &vars[..7];
    for constant in 0..128u32 {
        let is_constant = |i: usize| constant & (1 << i) != 0;
        let pick = |(i, var): (usize, &Var)| match is_constant(i) {
            true => var.as_detached_tensor(),
            false => var.as_tensor().clone(),
        };
        let picked: Vec<Tensor> = args.iter().enumerate().map(pick).collect();
        let [x, w0, w1, w2, b0, b1, b2] = &picked[..] else {
            unreachable!("seven arguments")
        };
        let graph = || linear_concat(x, &[(w0, Some(b0)), (w1, Some(b1)), (w2, Some(b2))]);
        let (by_candle, by_walk) = (graph()?.backward()?, backward(graph()?)?);
        let all = linear_concat(
            &vars[0],
            &[0, 1, 2].map(|i| (vars[1 + i].as_tensor(), Some(vars[4 + i].as_tensor()))),
        )?;
        let want = all.backward()?;
        for (i, var) in args.iter().enumerate() {
            for got in [&by_candle, &by_walk] {
                match got.get(var) {
                    None => assert!(is_constant(i), "no gradient for {i} of {constant:b}"),
                    Some(_) if constant == 127 => {}
                    Some(got) => {
                        assert!(!is_constant(i), "a gradient for {i} of {constant:b}");
                        assert_eq!(flat(got)?, flat(want.get(var).expect("reached"))?);
                    }
                }
            }
        }
    }
    Ok(())
}
