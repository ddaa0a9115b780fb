use candle_core::{Result, Var};
use testkit::randn;

use super::*;
use crate::Precision;

#[test]
fn a_step_is_told_apart_and_adds_up() -> Result<()> {
    let x = randn(1, 6 * 5)?.reshape((6, 5))?;
    let w = Var::from_tensor(&randn(2, 7 * 5)?.reshape((7, 5))?)?;
    let loss = || crate::linear(&x, &w, None, None, None)?.sqr()?.sum_all();

    crate::backward(loss()?)?;
    assert_eq!(
        finish(),
        Measured::default(),
        "nothing is measured before the start"
    );

    start();
    let begin = Instant::now();
    for _ in 0..2 {
        crate::linear(&x, &w, None, None, None)?;
    }
    mark("rest", Phase::Update);
    let whole = begin.elapsed();
    let Measured {
        operations: rows,
        products,
    } = finish();

    let names: Vec<_> = rows
        .iter()
        .map(|row| (row.name, row.phase, row.calls))
        .collect();
    assert_eq!(
        names,
        [("linear", Phase::Forward, 2), ("rest", Phase::Update, 1)]
    );
    // Two products; x, w and y of 8 bytes an element.
    assert_eq!(rows[0].flops, 2.0 * 2.0 * 6.0 * 7.0 * 5.0);
    assert_eq!(rows[0].bytes, 2.0 * 8.0 * (30.0 + 35.0 + 42.0));
    assert!(rows[0].products <= rows[0].time);
    let shape = Shape {
        m: 6,
        n: 7,
        k: 5,
        turned: [false, true],
        precision: Precision::F32,
    };
    assert_eq!((products[0].shape, products[0].calls), (shape, 2));
    assert_eq!((products.len(), products[0].time), (1, rows[0].products));
    assert!(rows.iter().map(|row| row.time).sum::<Duration>() <= whole + rows[0].time);
    Ok(())
}

#[test]
fn the_way_back_has_rows_of_its_own() -> Result<()> {
    let x = randn(1, 6 * 5)?.reshape((6, 5))?;
    let w = Var::from_tensor(&randn(2, 7 * 5)?.reshape((7, 5))?)?;
    start();
    let y = crate::linear(&x, &w, None, None, None)?;
    let loss = crate::cross_entropy(&y, [0; 6].into(), &crate::CrossEntropy::default())?;
    crate::backward(loss)?;
    let rows = finish().operations;
    let back = rows
        .iter()
        .find(|row| (row.name, row.phase) == ("linear", Phase::Backward))
        .expect("linear has a way back");
    // Only the weight's gradient is wanted.
    assert_eq!(back.flops, 2.0 * 6.0 * 7.0 * 5.0);
    // x, w and dy, and the gradient.
    assert_eq!(back.bytes, 8.0 * (30.0 + 35.0 + 42.0 + 35.0));
    Ok(())
}

#[test]
fn a_shape_is_measured_alone_in_cache_and_in_memory() {
    for turned in [[false, true], [false, false], [true, false], [true, true]] {
        let shape = Shape {
            m: 96,
            n: 64,
            k: 80,
            turned,
            precision: Precision::F32,
        };
        assert_eq!(shape.flops(), 2.0 * 96.0 * 64.0 * 80.0);
        for operands in [Operands::InCache, Operands::InMemory] {
            assert!(shape.alone(operands) > 0.0);
        }
    }
}
