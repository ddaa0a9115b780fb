//! What runs along sequences and slides over images.

use candle_core::{Result, Tensor};
use kernels::{Ctc, Direction, Grid, LabelSequences, Window, WindowPool, Windows};

use super::Golden;

#[test]
fn recurrent_layers_agree_in_both_directions() -> Result<()> {
    for golden in Golden::load("recurrent")? {
        let x = golden.var("x")?;
        let walls = golden.ids("walls")?;
        for name in ["gru", "lstm"] {
            let var = |part: &str| golden.var(&format!("{name}_{part}"));
            let (w, b) = (var("w_input")?, var("b_input")?);
            let (w_state, b_state) = (var("w_state")?, var("b_state")?);
            for (direction, case) in [
                (Direction::Forward, "forward"),
                (Direction::Backward, "backward"),
            ] {
                let projected = kernels::linear(&x, &w, Some(&b), None, None)?;
                let layer = if name == "gru" {
                    kernels::gru
                } else {
                    kernels::lstm
                };
                let y = layer(&projected, &w_state, Some(&b_state), &walls, direction)?;
                let inputs = [
                    ("x", &x),
                    ("w_input", &w),
                    ("w_state", &w_state),
                    ("b_input", &b),
                    ("b_state", &b_state),
                ];
                golden.check(&format!("{name}_{case}"), &y, &inputs)?;
            }
        }
    }
    Ok(())
}

#[test]
fn ctc_agrees_with_repeats_and_without_labels() -> Result<()> {
    for golden in Golden::load("ctc")? {
        let logits = golden.var("logits")?;
        let (labels, ends) = (golden.ids("labels")?, golden.ids("ends")?);
        let targets = LabelSequences {
            labels: &labels,
            ends: &ends,
        };
        let options = Ctc {
            divisor: Some(1.0),
            ..Ctc::default()
        };
        let y = kernels::ctc_loss(&logits, &golden.ids("walls")?, targets, &options)?;
        golden.check("sum", &y, &[("logits", &logits)])?;
    }
    Ok(())
}

#[test]
fn convolutions_and_pools_agree_by_unfolding() -> Result<()> {
    for golden in Golden::load("windows")? {
        let [x, w, bias] = ["x", "w", "bias"].map(|name| golden.var(name));
        let (x, w, bias) = (x?, w?, bias?);
        let convolve = |x: &Tensor, w: &Tensor, windows: &Windows| {
            kernels::linear(&kernels::unfold(x, windows)?, w, Some(&bias), None, None)
        };
        for stride in [1, 2] {
            let windows = Windows::over_segments(golden.ids("walls")?, Window::around(3, stride))?;
            let y = convolve(&x, &w, &windows)?;
            let inputs = [("x", &x), ("w", &w), ("bias", &bias)];
            golden.check(&format!("conv1d_{stride}"), &y, &inputs)?;
        }
        let (image, kernel) = (golden.var("image")?, golden.var("kernel")?);
        let grid = Grid {
            height: 5,
            width: 4,
        };
        let over = |down, across| Windows::over_grid(2, grid, down, across);
        let y = convolve(
            &image,
            &kernel,
            &over(Window::around(3, 2), Window::around(3, 1))?,
        )?;
        let inputs = [("image", &image), ("kernel", &kernel), ("bias", &bias)];
        golden.check("conv2d", &y, &inputs)?;
        let pooled = |window, pool| kernels::window_pool(&image, &over(window, window)?, pool);
        let y = pooled(Window::inside(2, 2), WindowPool::Max)?;
        golden.check("max", &y, &[("image", &image)])?;
        let y = pooled(Window::around(3, 1), WindowPool::Mean)?;
        golden.check("mean", &y, &[("image", &image)])?;
    }
    Ok(())
}
