//! Recurrent layers against their definition, differences, and themselves in other words.

use candle_core::{DType, Result, Tensor, Var};
use testkit::{assert_close, gradcheck_all, oracle, randn, reach};

use super::*;

type Layer = fn(&Tensor, &Tensor, Option<&Tensor>, &[u32], Direction) -> Result<Tensor>;
type Definition = fn(&Tensor, &Tensor, Option<&Tensor>, &[u32], oracle::From) -> Result<Tensor>;

/// Name, parts, layer and definition.
const LAYERS: [(&str, usize, Layer, Definition); 2] = [
    ("gru", 3, gru, oracle::gru),
    ("lstm", 4, lstm, oracle::lstm),
];

const DIRECTIONS: [(Direction, oracle::From); 2] = [
    (Direction::Forward, oracle::From::First),
    (Direction::Backward, oracle::From::Last),
];

/// Walls and widths: a vector and parts of one, empty sequences, more rows a step than
/// one piece holds.
fn sizes() -> Vec<(Vec<u32>, usize)> {
    let many: Vec<u32> = (0..=300).map(|i| 2 * i + i % 2).collect();
    vec![
        (vec![0, 1], 1),
        (vec![0, 3, 4, 9], 3),
        (vec![0, 0, 5, 5, 18, 20, 20], 17),
        (vec![0, 70, 100], 33),
        (many, 65),
    ]
}

struct Inputs {
    x: Tensor,
    w: Tensor,
    bias: Tensor,
}

fn inputs(n: usize, parts: usize, d: usize) -> Result<Inputs> {
    Ok(Inputs {
        x: randn(1, (n, parts * d))?,
        w: (randn(2, (parts * d, d))? / (d as f64).sqrt())?,
        bias: randn(3, parts * d)?,
    })
}

#[test]
fn oracle_every_layer_and_direction_in_both_types() -> Result<()> {
    for (segments, d) in sizes() {
        for (_, parts, layer, definition) in LAYERS {
            let Inputs { x, w, bias } = inputs(segments[segments.len() - 1] as usize, parts, d)?;
            for (direction, from) in DIRECTIONS {
                for bias in [None, Some(&bias)] {
                    let want = definition(&x, &w, bias, &segments, from)?;
                    let got = layer(&x, &w, bias, &segments, direction)?;
                    assert_close(&got, &want, 1e-13)?;
                    let single = |x: &Tensor| x.to_dtype(DType::F32);
                    let bias = bias.map(single).transpose()?;
                    let got = layer(
                        &single(&x)?,
                        &single(&w)?,
                        bias.as_ref(),
                        &segments,
                        direction,
                    )?;
                    // States are at most one; a step adds a few ulp and keeps a part of
                    // those before.
                    assert_close(&got, &want, 5e-6)?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn gradients_match_differences_by_every_argument() -> Result<()> {
    for (name, parts, layer, _) in LAYERS {
        for (segments, d) in [(&[0, 1][..], 2), (&[0, 3, 3, 4, 9], 3)] {
            let Inputs { x, w, bias } = inputs(segments[segments.len() - 1] as usize, parts, d)?;
            let (x, w) = (Var::from_tensor(&x)?, Var::from_tensor(&w)?);
            let bias = Var::from_tensor(&bias)?;
            for (direction, _) in DIRECTIONS {
                let of = |bias: Option<&Tensor>| layer(&x, &w, bias, segments, direction);
                let all = [("x", &x), ("w", &w), ("bias", &bias)];
                // One row a sequence: no state before it, and no gradient by `w`.
                let all = match segments.len() {
                    2 => &all[..1],
                    _ => &all[..],
                };
                gradcheck_all(all, || of(Some(&bias)))
                    .map_err(|error| error.context(format!("{name}, {direction:?}")))?;
                gradcheck_all(&all[..all.len().min(2)], || of(None))?;
            }
        }
    }
    Ok(())
}

/// The gradients of a batch of many rows, in both types, against those of its sequences
/// one by one.
#[test]
fn a_batch_passes_back_what_its_sequences_pass_back_together() -> Result<()> {
    let (segments, d) = (vec![0u32, 9, 9, 10, 40, 75], 19);
    for (_, parts, layer, _) in LAYERS {
        let Inputs { x, w, bias } = inputs(75, parts, d)?;
        let dy = randn(4, (75, d))?;
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
            let var = |x: &Tensor| Var::from_tensor(&x.to_dtype(dtype)?);
            let (x, w, bias) = (var(&x)?, var(&w)?, var(&bias)?);
            let dy = dy.to_dtype(dtype)?;
            for (direction, _) in DIRECTIONS {
                let together = layer(&x, &w, Some(&bias), &segments, direction)?;
                let together = (together * &dy)?.sum_all()?.backward()?;
                let mut alone = Vec::new();
                for wall in segments.windows(2) {
                    let (start, len) = (wall[0] as usize, (wall[1] - wall[0]) as usize);
                    let x = x.narrow(0, start, len)?.contiguous()?;
                    let y = layer(&x, &w, Some(&bias), &[0, len as u32], direction)?;
                    alone.push((y * dy.narrow(0, start, len)?)?.sum_all()?);
                }
                let alone = Tensor::stack(&alone, 0)?.sum_all()?.backward()?;
                for var in [&x, &w, &bias] {
                    assert_close(
                        together.get(var).unwrap(),
                        alone.get(var).unwrap(),
                        tolerance,
                    )?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn sequences_do_not_see_each_other_and_the_past_does_not_see_the_future() -> Result<()> {
    for (name, parts, layer, _) in LAYERS {
        let Inputs { x, w, bias } = inputs(12, parts, 5)?;
        let other = Tensor::cat(&[&x.narrow(0, 0, 6)?, &randn(9, (6, parts * 5))?], 0)?;
        let states = |x: &Tensor, direction| -> Result<Vec<Vec<f64>>> {
            layer(x, &w, Some(&bias), &[0, 4, 12], direction)?.to_vec2()
        };
        // Rows 6 and up differ: in the second sequence, behind its rows 4 and 5.
        let (a, b) = (
            states(&x, Direction::Forward)?,
            states(&other, Direction::Forward)?,
        );
        assert_eq!(a[..6], b[..6], "{name}");
        assert!(a[6..].iter().zip(&b[6..]).all(|(a, b)| a != b), "{name}");
        let (a, b) = (
            states(&x, Direction::Backward)?,
            states(&other, Direction::Backward)?,
        );
        assert_eq!(a[..4], b[..4], "{name}");
        assert!(a[4..].iter().zip(&b[4..]).all(|(a, b)| a != b), "{name}");
    }
    Ok(())
}

#[test]
fn backward_is_forward_on_reversed_rows() -> Result<()> {
    for (_, parts, layer, _) in LAYERS {
        let Inputs { x, w, bias } = inputs(7, parts, 4)?;
        let reversed = |x: &Tensor| x.flip(&[0])?.contiguous();
        let there = layer(&x, &w, Some(&bias), &[0, 7], Direction::Backward)?;
        let back = layer(&reversed(&x)?, &w, Some(&bias), &[0, 7], Direction::Forward)?;
        assert_close(&there, &reversed(&back)?, 0.0)?;
    }
    Ok(())
}

#[test]
fn every_argument_is_reached() -> Result<()> {
    for (_, parts, layer, _) in LAYERS {
        let Inputs { x, w, bias } = inputs(5, parts, 3)?;
        let (x, w) = (Var::from_tensor(&x)?, Var::from_tensor(&w)?);
        let bias = Var::from_tensor(&bias)?;
        let y = layer(&x, &w, Some(&bias), &[0, 2, 5], Direction::Forward)?;
        reach(
            &y.sqr()?.sum_all()?,
            [("x", &x), ("w", &w), ("bias", &bias)],
        )?;
    }
    Ok(())
}

#[test]
fn no_rows_give_no_states() -> Result<()> {
    for (_, parts, layer, _) in LAYERS {
        let Inputs { x, w, bias } = inputs(0, parts, 3)?;
        let w = Var::from_tensor(&w)?;
        for segments in [&[0][..], &[0, 0, 0]] {
            let y = layer(&x, &w, Some(&bias), segments, Direction::Backward)?;
            assert_eq!(y.dims(), [0, 3]);
            let grads = y.sum_all()?.backward()?;
            let dw = grads.get(&w).unwrap();
            assert_close(dw, &dw.zeros_like()?, 0.0)?;
        }
    }
    Ok(())
}

#[test]
fn shapes_that_disagree_are_refused() -> Result<()> {
    let Inputs { x, w, bias } = inputs(4, 3, 2)?;
    let forward = Direction::Forward;
    assert!(lstm(&x, &w, None, &[0, 4], forward).is_err());
    assert!(gru(&x, &w.t()?.contiguous()?, None, &[0, 4], forward).is_err());
    assert!(gru(&x, &w, Some(&bias.narrow(0, 0, 5)?), &[0, 4], forward).is_err());
    assert!(gru(&x, &w.to_dtype(DType::F32)?, None, &[0, 4], forward).is_err());
    for bad in [&[][..], &[0, 3], &[0, 5], &[0, 3, 2, 4]] {
        assert!(gru(&x, &w, None, bad, forward).is_err(), "{bad:?}");
    }
    Ok(())
}
