use candle_core::{Result, Var};
use testkit::{gradcheck_all, randn};

use super::*;

#[test]
fn gradients_match_differences_for_every_activation() -> Result<()> {
    let activations = [
        None,
        Some(Activation::GeluTanh),
        Some(Activation::GeluErf),
        Some(Activation::Silu),
        Some(Activation::Relu),
    ];
    let var = |seed, shape: &[usize]| Var::from_tensor(&randn(seed, shape)?);
    let (x, w, b, r) = (
        var(1, &[5, 7])?,
        var(2, &[3, 7])?,
        var(3, &[3])?,
        var(4, &[5, 3])?,
    );
    for activation in activations {
        eprintln!("{activation:?}");
        gradcheck_all(&[("x", &x), ("w", &w), ("b", &b), ("r", &r)], || {
            linear(&x, &w, Some(&b), activation, Some(&r))
        })?;
    }
    Ok(())
}
