//! Another place, and the mirror.

use attn_core::input::ImageShape;

use super::{AugmentConfig, Draws, Site};

/// Copies `pixels` to `to`, from 0 to 1, moved by up to `crop` pixels each way and
/// mirrored half of the time.
///
/// A window of an image with a black border (He et al. 2015, §4.2
/// <https://arxiv.org/abs/1512.03385>).
pub(super) fn shift(
    config: &AugmentConfig,
    shape: ImageShape,
    draws: Draws,
    pixels: &[u8],
    to: &mut [f32],
) {
    let AugmentConfig { flip, crop, .. } = *config;
    let ImageShape {
        height,
        width,
        channels,
    } = shape;
    let [down, right, mirror, _] = draws.words(Site::Shift);
    let places = 2 * crop as u64 + 1;
    let place = |word: u32| ((u64::from(word) * places) >> 32) as isize - crop as isize;
    let (down, right) = (place(down), place(right));
    let mirrored = flip && mirror >> 31 == 1;
    let inside = |at: usize, by: isize, n: usize| at.checked_add_signed(by).filter(|&at| at < n);
    for (y, row) in to.chunks_exact_mut(width * channels).enumerate() {
        let from_row = inside(y, down, height);
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let x = if mirrored { width - 1 - x } else { x };
            match from_row.zip(inside(x, right, width)) {
                None => pixel.fill(0.0),
                Some((y, x)) => {
                    let from = &pixels[(y * width + x) * channels..][..channels];
                    for (to, from) in pixel.iter_mut().zip(from) {
                        *to = f32::from(*from) / 255.0;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{SHAPE, config, draws};
    use super::*;

    /// Every variation is one of the definition's, and each of them comes up.
    #[test]
    fn every_window_and_its_mirror_comes_up_and_nothing_else() {
        let crop = 1;
        let table = config(json!({"flip": true, "crop": crop}));
        let pixels: Vec<u8> = (0..SHAPE.n_values()).map(|i| (i + 1) as u8).collect();
        let mut windows = Vec::new();
        for down in 0..=2 * crop {
            for right in 0..=2 * crop {
                for mirrored in [false, true] {
                    windows.push(by_definition(&pixels, crop, down, right, mirrored));
                }
            }
        }
        let mut counts = vec![0; windows.len()];
        for index in 0..1800 {
            let mut to = vec![f32::NAN; pixels.len()];
            shift(&table, SHAPE, draws(index), &pixels, &mut to);
            let found = windows.iter().position(|window| *window == to);
            counts[found.expect("a window of the definition")] += 1;
        }
        // 100 of each are expected, with a standard deviation of 10.
        assert!(counts.iter().all(|&n| (60..140).contains(&n)), "{counts:?}");
    }

    /// A whole bordered image, of which the window is cut.
    fn by_definition(
        pixels: &[u8],
        crop: usize,
        down: usize,
        right: usize,
        mirrored: bool,
    ) -> Vec<f32> {
        let ImageShape {
            height,
            width,
            channels,
        } = SHAPE;
        let wide = width + 2 * crop;
        let mut bordered = vec![0.0; (height + 2 * crop) * wide * channels];
        for y in 0..height {
            for x in 0..width * channels {
                bordered[(y + crop) * wide * channels + crop * channels + x] =
                    f32::from(pixels[y * width * channels + x]) / 255.0;
            }
        }
        let mut window = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let x = if mirrored { width - 1 - x } else { x };
                let at = ((y + down) * wide + x + right) * channels;
                window.extend(&bordered[at..at + channels]);
            }
        }
        window
    }
}
