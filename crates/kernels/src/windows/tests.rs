//! Windows against their definition, differences, and a convolution written out.

use candle_core::{DType, Result, Tensor, Var};
use testkit::{assert_close, gradcheck, oracle, randn, reach};

use super::*;
use crate::linear;

fn walls(walls: &[u32]) -> Arc<[u32]> {
    walls.into()
}

fn slide(window: Window) -> oracle::Slide {
    let Window {
        width,
        stride,
        before,
        after,
    } = window;
    oracle::Slide {
        width,
        stride,
        before,
        after,
    }
}

/// Inside, around and behind; strides within and beyond the width.
fn some_windows() -> Vec<Window> {
    let lopsided = Window {
        width: 4,
        stride: 3,
        before: 1,
        after: 3,
    };
    vec![
        Window::inside(1, 1),
        Window::inside(3, 1),
        Window::inside(2, 3),
        Window::around(3, 1),
        Window::around(3, 2),
        Window::around(4, 1),
        Window::past(3, 1),
        Window::past(5, 2),
        lopsided,
    ]
}

const SEGMENTS: [&[u32]; 4] = [
    &[0, 7],
    &[0, 1, 3, 3, 9],
    &[0, 0, 40, 41, 41],
    &[0, 900, 901, 2500],
];

const GRIDS: [(usize, Grid); 4] = [
    (
        1,
        Grid {
            height: 4,
            width: 5,
        },
    ),
    (
        3,
        Grid {
            height: 7,
            width: 3,
        },
    ),
    (
        2,
        Grid {
            height: 1,
            width: 6,
        },
    ),
    (
        9,
        Grid {
            height: 14,
            width: 14,
        },
    ),
];

#[test]
fn oracle_unfolding_of_segments_is_a_copy() -> Result<()> {
    for segments in SEGMENTS {
        let n = segments[segments.len() - 1] as usize;
        for d in [1, 17] {
            let x = randn(1, (n, d))?;
            for window in some_windows() {
                let windows = Windows::over_segments(walls(segments), window)?;
                let want = oracle::unfold_segments(&x, segments, slide(window))?;
                assert_close(&unfold(&x, &windows)?, &want, 0.0)?;
                let single = unfold(&x.to_dtype(DType::F32)?, &windows)?;
                assert_close(&single, &want.to_dtype(DType::F32)?, 0.0)?;
                assert_eq!(windows.cu_seqlens().len(), segments.len());
                assert_eq!(windows.len(), want.dim(0)?);
            }
        }
    }
    Ok(())
}

#[test]
fn oracle_unfolding_and_pooling_of_images_in_both_types() -> Result<()> {
    for (n_images, grid) in GRIDS {
        let (size, d) = ((grid.height, grid.width), 5);
        let x = randn(1, (n_images * grid.len(), d))?;
        let single = x.to_dtype(DType::F32)?;
        for down in some_windows() {
            for across in [
                Window::around(3, 1),
                Window::inside(2, 2),
                Window::past(3, 2),
            ] {
                let windows = Windows::over_grid(n_images, grid, down, across)?;
                let (a, b) = (slide(down), slide(across));
                let want = oracle::unfold_images(&x, size, a, b)?;
                assert_close(&unfold(&x, &windows)?, &want, 0.0)?;
                let want = oracle::max_pool_images(&x, size, a, b)?;
                assert_close(&window_pool(&x, &windows, WindowPool::Max)?, &want, 0.0)?;
                let want = oracle::mean_pool_images(&x, size, a, b)?;
                assert_close(&window_pool(&x, &windows, WindowPool::Mean)?, &want, 1e-14)?;
                // A sum of a dozen numbers.
                let got = window_pool(&single, &windows, WindowPool::Mean)?;
                assert_close(&got, &want, 1e-6)?;
            }
        }
    }
    Ok(())
}

#[test]
fn gradients_match_differences() -> Result<()> {
    let x = Var::from_tensor(&randn(1, (12, 2))?)?;
    for window in some_windows() {
        let segments = Windows::over_segments(walls(&[0, 1, 1, 8, 12]), window)?;
        let grid = Grid {
            height: 2,
            width: 3,
        };
        let grid = Windows::over_grid(2, grid, Window::around(3, 1), window)?;
        for windows in [segments, grid]
            .iter()
            .filter(|windows| !windows.is_empty())
        {
            gradcheck(&x, |x| unfold(x, windows))?;
            gradcheck(&x, |x| window_pool(x, windows, WindowPool::Mean))?;
            gradcheck(&x, |x| window_pool(x, windows, WindowPool::Max))?;
        }
    }
    Ok(())
}

/// `⟨unfold(x), y⟩ = ⟨x, fold(y)⟩` at sizes of many pieces, where a piece starts inside a
/// segment.
#[test]
fn folding_is_the_transpose_of_unfolding() -> Result<()> {
    let window = Window::around(5, 2);
    let long = Windows::over_segments(walls(&[0, 2000, 2000, 2011, 6000]), window)?;
    let grid = Grid {
        height: 30,
        width: 50,
    };
    let images = Windows::over_grid(4, grid, window, Window::around(3, 1))?;
    for windows in [long, images] {
        let x = Var::from_tensor(&randn(1, (6000, 8))?)?;
        let unfolded = unfold(&x, &windows)?;
        let y = randn(2, unfolded.shape())?;
        let there = (&unfolded * &y)?.sum_all()?;
        let grads = there.backward()?;
        let back = (x.as_tensor() * grads.get(&x).unwrap())?.sum_all()?;
        // 10⁵ terms of either sign.
        assert_close(&there, &back, 1e-10)?;
    }
    Ok(())
}

/// The convolution of a batch of two, written out, forward and backward: Candle's
/// `conv1d` passes back a wrong gradient to the weight here.
#[test]
fn a_convolution_is_a_linear_map_of_unfolded_rows() -> Result<()> {
    let (d, out) = (3, 4);
    let x = Var::from_tensor(&randn(1, (11, d))?)?;
    let w = Var::from_tensor(&randn(2, (out, 3 * d))?)?;
    let segments = [0, 5, 11];
    let windows = Windows::over_segments(walls(&segments), Window::around(3, 1))?;
    let fast = linear(&unfold(&x, &windows)?, &w, None, None, None)?;

    let mut parts = Vec::new();
    for wall in segments.windows(2) {
        let (start, len) = (wall[0] as usize, (wall[1] - wall[0]) as usize);
        let x = x.narrow(0, start, len)?.pad_with_zeros(0, 1, 1)?;
        let taps = (0..3).map(|tap| -> Result<Tensor> {
            let w = w.narrow(1, tap * d, d)?;
            x.narrow(0, tap, len)?.matmul(&w.t()?.contiguous()?)
        });
        let taps = taps.collect::<Result<Vec<_>>>()?;
        parts.push(((&taps[0] + &taps[1])? + &taps[2])?);
    }
    let plain = Tensor::cat(&parts, 0)?;
    assert_close(&fast, &plain, 1e-13)?;
    let cotangent = randn(3, plain.shape())?;
    let grads = |y: &Tensor| (y * &cotangent)?.sum_all()?.backward();
    let (fast, plain) = (grads(&fast)?, grads(&plain)?);
    for var in [&x, &w] {
        assert_close(fast.get(var).unwrap(), plain.get(var).unwrap(), 1e-13)?;
    }
    Ok(())
}

#[test]
fn nothing_is_read_across_a_wall() -> Result<()> {
    let x = randn(1, (9, 2))?;
    let other = Tensor::cat(&[&x.narrow(0, 0, 4)?, &randn(2, (5, 2))?], 0)?;
    for window in some_windows() {
        let windows = Windows::over_segments(walls(&[0, 4, 9]), window)?;
        let n = windows.cu_seqlens()[1] as usize;
        let first = |x: &Tensor| unfold(x, &windows)?.narrow(0, 0, n)?.to_vec2::<f64>();
        assert_eq!(first(&x)?, first(&other)?, "{window:?}");
    }
    Ok(())
}

#[test]
fn a_window_of_the_past_does_not_read_the_future() -> Result<()> {
    let x = randn(1, (6, 2))?;
    let windows = Windows::over_segments(walls(&[0, 6]), Window::past(3, 1))?;
    let y = unfold(&x, &windows)?;
    assert_eq!(y.dims(), [6, 6]);
    // The last place of every window is the row itself.
    assert_close(&y.narrow(1, 4, 2)?, &x, 0.0)
}

#[test]
fn the_first_of_equal_maxima_gets_the_gradient_and_a_nan_wins() -> Result<()> {
    let x = Var::new(
        &[[1.0], [1.0], [0.0], [f64::NAN]],
        &candle_core::Device::Cpu,
    )?;
    let windows = Windows::over_segments(walls(&[0, 4]), Window::inside(2, 2))?;
    let y = window_pool(&x, &windows, WindowPool::Max)?;
    let grads = y.sum_all()?.backward()?;
    let dx = grads.get(&x).unwrap().flatten_all()?.to_vec1::<f64>()?;
    assert_eq!(dx, [1.0, 0.0, 0.0, 1.0]);
    let y = y.flatten_all()?.to_vec1::<f64>()?;
    assert!(y[0] == 1.0 && y[1].is_nan());
    Ok(())
}

#[test]
fn the_argument_is_reached() -> Result<()> {
    let x = Var::from_tensor(&randn(1, (4, 3))?)?;
    let windows = Windows::over_segments(walls(&[0, 1, 4]), Window::around(3, 1))?;
    reach(&unfold(&x, &windows)?.sum_all()?, [("x", &x)])?;
    for pool in [WindowPool::Max, WindowPool::Mean] {
        reach(&window_pool(&x, &windows, pool)?.sum_all()?, [("x", &x)])?;
    }
    Ok(())
}

#[test]
fn no_rows_and_segments_shorter_than_the_window_give_no_windows() -> Result<()> {
    let windows = Windows::over_segments(walls(&[0, 2, 2]), Window::inside(3, 1))?;
    assert!(windows.is_empty());
    assert_eq!(windows.cu_seqlens()[..], [0, 0, 0]);
    let x = Var::from_tensor(&randn(1, (2, 3))?)?;
    let y = unfold(&x, &windows)?;
    assert_eq!(y.dims(), [0, 9]);
    assert_eq!(window_pool(&x, &windows, WindowPool::Max)?.dims(), [0, 3]);
    let empty = Grid {
        height: 0,
        width: 3,
    };
    let none = Windows::over_grid(2, empty, Window::around(3, 1), Window::around(3, 1))?;
    assert_eq!(none.cu_seqlens()[..], [0, 0, 0]);
    assert_eq!(unfold(&x.narrow(0, 0, 0)?, &none)?.dims(), [0, 27]);
    Ok(())
}

#[test]
fn windows_that_mean_nothing_are_refused() -> Result<()> {
    let window = |width, stride, before, after| Window {
        width,
        stride,
        before,
        after,
    };
    for bad in [
        window(0, 1, 0, 0),
        window(1, 0, 0, 0),
        window(3, 1, 3, 0),
        window(3, 1, 0, 3),
        window(usize::MAX, 1, 0, 0),
    ] {
        assert!(
            Windows::over_segments(walls(&[0, 4]), bad).is_err(),
            "{bad:?}"
        );
    }
    for bad in [&[][..], &[1, 4], &[0, 3, 2]] {
        let windows = Windows::over_segments(walls(bad), Window::inside(1, 1));
        assert!(windows.is_err(), "{bad:?}");
    }
    let huge = Grid {
        height: 1 << 40,
        width: 1 << 40,
    };
    let inside = Window::inside(1, 1);
    assert!(Windows::over_grid(1, huge, inside, inside).is_err());
    let windows = Windows::over_segments(walls(&[0, 4]), inside)?;
    assert!(unfold(&randn(1, (5, 2))?, &windows).is_err());
    Ok(())
}
