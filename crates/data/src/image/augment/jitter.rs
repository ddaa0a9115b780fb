//! Other light.

use super::{AugmentConfig, Draws, Site};

/// Multiplies the brightness, then the distance from the mean, each by a factor of its
/// own; what leaves 0 to 1 is cut off.
pub(super) fn jitter(config: &AugmentConfig, draws: Draws, pixels: &mut [f32]) {
    let AugmentConfig {
        brightness,
        contrast,
        ..
    } = *config;
    if brightness == 0.0 && contrast == 0.0 {
        return;
    }
    let [light, distance, ..] = draws.numbers(Site::Jitter);
    let factor = |most: f64, number: f32| 1.0 + most as f32 * (2.0 * number - 1.0);
    let (light, distance) = (factor(brightness, light), factor(contrast, distance));
    for pixel in pixels.iter_mut() {
        *pixel = (*pixel * light).clamp(0.0, 1.0);
    }
    let sum: f64 = pixels.iter().map(|&pixel| f64::from(pixel)).sum();
    let mean = (sum / pixels.len() as f64) as f32;
    for pixel in pixels.iter_mut() {
        *pixel = (mean + (*pixel - mean) * distance).clamp(0.0, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{config, draws};
    use super::*;

    #[test]
    fn brightness_scales_and_contrast_spreads_within_their_bounds() {
        let mean = |pixels: &[f32]| pixels.iter().sum::<f32>() / pixels.len() as f32;
        let (mut darkest, mut brightest) = (f32::MAX, f32::MIN);
        for index in 0..300 {
            let mut pixels = [0.2, 0.4, 0.3];
            jitter(
                &config(json!({"brightness": 0.5})),
                draws(index),
                &mut pixels,
            );
            let factor = pixels[0] / 0.2;
            assert!((pixels[1] / 0.4 - factor).abs() < 1e-5);
            darkest = darkest.min(factor);
            brightest = brightest.max(factor);
            let mut pixels = [0.2, 0.4, 0.3];
            jitter(&config(json!({"contrast": 0.5})), draws(index), &mut pixels);
            assert!((mean(&pixels) - 0.3).abs() < 1e-6);
            assert!((0.099..0.301).contains(&(pixels[1] - pixels[0])));
        }
        assert!((0.5..0.52).contains(&darkest), "{darkest}");
        assert!((1.48..1.5).contains(&brightest), "{brightest}");
    }
}
